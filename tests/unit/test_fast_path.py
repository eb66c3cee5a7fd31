"""Whatever goes the fast path leaves as it would have stage by stage, byte for byte; all else does not take it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, generate_latest

from riskstream.models.domain import Domain
from riskstream.models.features import Feature, FeatureSet
from riskstream.models.outputs import Answer, risk_on_line
from riskstream.models.policy import Policy
from riskstream.models.scorer import NonFiniteScore
from riskstream.models.tree_walk import TreeWalk
from riskstream.schemas.decode import Decoder, Records
from riskstream.schemas.history import Keys
from riskstream.schemas.score import HISTORY_UNAVAILABLE
from riskstream.workers.counted import counted
from riskstream.workers.errors import Unavailable
from riskstream.workers.fact_memory import LAID
from riskstream.workers.fast_path import FastPath, Taken
from riskstream.workers.join import Join
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.metrics import Metrics
from riskstream.workers.outcome import Answers, Outcome
from riskstream.workers.profiles import Profiles
from riskstream.workers.scoring import Model, Scoring, Topics
from riskstream.workers.working_set import LogSpan, WorkingSet
from tests.support.facts import is_in_memory
from tests.support.nobody_stored import Message, NobodyStored
from tests.support.tiny_bundle import model_of, stumps
from tests.support.tiny_domain import DOMAIN, Login

T0 = 1_760_000_000_000
LINE = 0.9, -0.2
WALK = TreeWalk(model_of(stumps()), 3, "probabilities", 1)
Record = tuple[int, int, int | None]
"""Partition, user, and failures: None is no event at all."""


class Spied:
    """Counts the batches that took it."""

    def __init__(self, path: FastPath) -> None:
        self.path, self.taken = path, 0

    def __call__(self, batch: Batch, scored_at: int) -> Taken | None:
        found = self.path(batch, scored_at)
        self.taken += found is not None
        return found


def answer(vectors: NDArray[np.float32]) -> Answer:
    return Answer(risk_on_line(WALK(vectors), *LINE)[0], None)


def scoring(*, fast: bool, live_from: int = 0, domain: Domain = DOMAIN) -> Scoring:
    metrics = Metrics(CollectorRegistry())
    working_set = WorkingSet(domain.layout, 16, 1 << 20, log_is_complete=True)
    for number in range(2):
        working_set.open(number, Keys.of("n", "in", number), None, LogSpan(0, live_from))
    store, profiles = cast(Any, NobodyStored()), Profiles(domain, 1)
    join = Join(domain, working_set, store, profiles, metrics, 10**9, 10**9, degrade=False)
    trees = WALK.on_line(*LINE) if fast else None
    model, topics = Model("m@1", answer, Policy(0.3, 0.6), trees=trees), Topics("scores", "dead", 1_000, 2)
    made = Scoring(
        domain, Decoder(domain.event, domain.columns), join, model, working_set, topics, metrics, lambda: 1.0
    )
    if made._fast_path:
        made._fast_path = cast(Any, Spied(made._fast_path))
    return made


def taken(one: Scoring) -> int:
    return int(cast(Any, one._fast_path).taken)


def batches(log: Sequence[Sequence[Record]]) -> list[Batch]:
    """Events of a log, the later of a partition at the next offset and a minute later; an event's id is the failures'
    and the user's, so some come again."""
    ends, made = {0: 0, 1: 0}, []
    for records in log:
        offsets = []
        values = []
        for partition, user, failures in records:
            offsets.append(ends[partition])
            ends[partition] += 1
            event: dict[str, object] = {
                "event_id": f"e-{user}-{failures}",
                "user_id": f"u-{user}",
                "address": f"a-{failures}",
            }
            event |= {"event_time": T0 + 60_000 * offsets[-1], "failures": failures}
            values.append(b"?" if failures is None else msgspec.json.encode(event))
        read = Records([b"u-%d" % user for _, user, _ in records], values, [T0] * len(records))
        places = [partition for partition, _, _ in records]
        made.append(Batch.of_columns("in", [cast(Any, Message())] * len(records), places, offsets, read, None))
    return made


def answered(one: Scoring, log: Sequence[Batch]) -> list[Answers]:
    some = []
    for batch in log:
        some.append(one(batch))
        one.absorb(some[-1])
    return some


def run(one: Scoring, log: Sequence[Batch]) -> list[Outcome]:
    return [answers.outcome() for answers in answered(one, log)]


def said(outcome: Outcome) -> tuple[object, ...]:
    arrays = outcome.scored.vectors, outcome.aggregates.values, outcome.joined.degraded
    return outcome.records, outcome.offsets, outcome.refused, [array.tobytes() for array in arrays]


records = st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 9) | st.none())


@given(st.lists(st.lists(records, min_size=1, max_size=6), max_size=30))
def test_both_ways_say_the_same(log: list[list[Record]]) -> None:
    fast, slow = scoring(fast=True), scoring(fast=False)
    assert [said(one) for one in run(fast, batches(log))] == [said(one) for one in run(slow, batches(log))]
    assert kept(fast) == kept(slow)


def counts(some: Sequence[Answers]) -> tuple[object, ...]:
    """What would be counted of them, but how long they took and which were fast."""
    whole = counted(some)
    places = whole.partitions, whole.offsets, whole.timestamps, whole.rows, whole.event_times
    arrays: list[NDArray[Any]] = [*places, *whole.events]
    return [(array.dtype, array.tobytes()) for array in arrays], whole.refused, whole.hits, whole.misses


@given(st.lists(st.lists(records, min_size=1, max_size=6), min_size=1, max_size=30), st.integers(1, 9))
def test_batches_of_both_ways_count_the_same_one_by_one_or_many_together(log: list[list[Record]], some: int) -> None:
    ways = [answered(scoring(fast=fast), batches(log)) for fast in (True, False)]
    for first in range(0, len(log), some):
        assert counts(ways[0][first : first + some]) == counts(ways[1][first : first + some])


def test_batches_are_counted_together_wherever_they_lie() -> None:
    one = scoring(fast=True)
    path = cast(Any, one._fast_path).path
    some = answered(one, batches([ONE, ONE, [(0, 1, 5)]]))
    path._arena, path._used = np.empty(0, np.int64), 0
    some += answered(one, [batches([*[ONE] * 3, [(0, 1, 6), (0, 1, 7)]])[3]])
    whole = counted(some)
    assert (whole.fast, whole.hits, whole.misses) == (3, 4, 1)
    assert whole.offsets.tolist() == [0, 1, 2, 3, 4]
    assert [len(whole.seconds[stage]) for stage in ("decode", "decide", "publish")] == [4, 4, 4]


def kept(one: Scoring) -> list[object]:
    """Every user's facts in memory."""
    memory, names = one.working_set, [b"u-0", b"u-1", b"u-2"]
    known = [
        (part, name) for part in memory.partitions.values() for name in names if is_in_memory(memory, part.number, name)
    ]
    return [(part.number, name, memory.history(part, name).tolist()) for part, name in known]


ONE: list[Record] = [(0, 1, 4)]


def test_all_but_the_first_batch_takes_the_fast_path_to_which_new_users_are_brought() -> None:
    one = scoring(fast=True)
    some = answered(one, batches([ONE, [(0, 1, 5)], [(1, 2, 5)], [(0, 1, 6), (1, 0, 6), (1, 0, 7), (1, 2, 8)]]))
    assert taken(one) == 3
    assert [counted([answers]).misses for answers in some] == [1, 0, 1, 2]
    assert b"riskstream_fast_batches_total 3.0" in generate_latest(one.metrics.registry)


@pytest.mark.parametrize("degrade", [True, False])
def test_without_redis_a_new_user_gets_what_the_stages_give(degrade: bool) -> None:
    first, second = batches([ONE, [(0, 1, 5), (0, 2, 5)]])
    one = scoring(fast=True)
    run(one, [first])
    one.join.degrade = degrade
    cast(Any, one.join.store).is_away = True
    if not degrade:
        with pytest.raises(Unavailable):
            one(second)
        return
    (outcome,) = run(one, [second])
    assert (taken(one), outcome.joined.misses) == (0, 1)
    assert (outcome.joined.degraded & HISTORY_UNAVAILABLE != 0).tolist() == [False, True]


def test_facts_that_came_the_fast_way_are_written_as_well() -> None:
    one = scoring(fast=True)
    first, second = batches([ONE, [(0, 1, 5)]])
    partition, memory = one.working_set.partitions[0], one.working_set
    run(one, [first])
    memory.settle(partition, cast(Any, memory.write(partition)))
    run(one, [second])
    assert taken(one) == 1
    assert cast(Any, memory.write(partition)).users == [b"u-1"]


def test_a_history_that_grows_the_fast_way_is_trimmed_as_any_other() -> None:
    log = batches([[(0, 1, number)] for number in range(60)])
    fast, slow = scoring(fast=True), scoring(fast=False)
    run(fast, log)
    run(slow, log)
    assert taken(fast) > 50
    assert kept(fast) == kept(slow)
    assert len(fast.working_set.history(fast.working_set.partitions[0], b"u-1")) <= fast.working_set.limit


@pytest.mark.parametrize(
    "log",
    [
        pytest.param([ONE, [(0, 1, None)]], id="a record that is no event"),
        pytest.param([ONE, [(0, 1, 5), (0, 2, None)]], id="such a record among others"),
    ],
)
def test_what_is_out_of_the_ordinary_goes_stage_by_stage(log: list[list[Record]]) -> None:
    one = scoring(fast=True)
    run(one, batches(log))
    assert taken(one) == 0


class Freer(Login):
    """With ids of any characters."""

    user_id: Annotated[str, msgspec.Meta(max_length=64)]


def test_a_user_whose_id_is_quoted_in_json_goes_stage_by_stage() -> None:
    first, second = batches([ONE, ONE])
    domain = replace(DOMAIN, event=Freer)
    quoted = [replaced(batch, b"u-1", "ü-1".encode()) for batch in (first, second)]
    fast, slow = scoring(fast=True, domain=domain), scoring(fast=False, domain=domain)
    cast(Any, fast._fast_path).path._arena = np.ones(1 << 16, np.int64)  # as used memory is, not all zeros
    outcomes = run(fast, quoted)
    assert [said(one) for one in outcomes] == [said(one) for one in run(slow, quoted)]
    assert [len(one.refused) for one in outcomes] == [0, 0]
    assert taken(fast) == 0


def replaced(batch: Batch, old: bytes, new: bytes) -> Batch:
    keys, values = (
        [text.replace(old, new) for text in texts if text] for texts in (batch.records.keys, batch.records.values)
    )
    taken = Records(keys, values, batch.records.timestamps)
    return Batch.of_columns(batch.topic, batch.messages, batch.partitions, batch.offsets, taken, None)


def test_records_that_are_facts_only_go_stage_by_stage() -> None:
    one = scoring(fast=True, live_from=2)
    outcomes = run(one, batches([ONE, [(0, 1, 5)], [(0, 1, 6)]]))
    assert [len(outcome.records) for outcome in outcomes] == [0, 0, 1]
    assert taken(one) == 1


def test_a_crowd_of_new_users_for_whom_all_tables_grow_takes_the_fast_path() -> None:
    log = batches([ONE, [(user % 2, user, user % 10) for user in range(3, 2_400)]])
    fast, slow = scoring(fast=True), scoring(fast=False)
    assert [said(one) for one in run(fast, log)] == [said(one) for one in run(slow, log)]
    assert taken(fast) == 1


def profile_reads(one: Scoring) -> float | None:
    return one.metrics.registry.get_sample_value("riskstream_profile_reads_total")


def test_a_changed_profile_is_read_first() -> None:
    one = scoring(fast=True)
    first, second, third = batches([ONE, ONE, ONE])
    run(one, [first])
    cast(Any, one.join.store).changed = {b"u-1"}
    (outcome,) = run(one, [second])
    assert (taken(one), outcome.joined.misses, profile_reads(one)) == (1, 0, 2.0)
    run(one, [third])
    assert (taken(one), profile_reads(one)) == (2, 2.0)


def test_a_partition_that_is_not_whole_goes_stage_by_stage() -> None:
    one = scoring(fast=True)
    first, second = batches([ONE, ONE])
    run(one, [first])
    one.working_set.partitions[1].since = T0
    run(one, [second])
    assert taken(one) == 0


@pytest.mark.parametrize("rows", [1 << 20, 8])
def test_a_history_that_outgrows_its_room_gets_a_larger_one_though_all_memory_has_to_be_moved(rows: int) -> None:
    log = batches([[(0, 1, number % 10)] * 3 + [(0, 2, number % 10)] for number in range(8)])
    fast, slow = scoring(fast=True), scoring(fast=False)
    for one in (fast, slow):
        one.working_set._memory.facts = np.empty((rows, len(one.domain.layout.words)), np.int64)
    moved = len(fast.working_set._memory.facts)
    assert [said(one) for one in run(fast, log)] == [said(one) for one in run(slow, log)]
    assert taken(fast) == 7
    assert kept(fast) == kept(slow)
    assert fast.working_set._memory.all_rows == slow.working_set._memory.all_rows
    assert (len(fast.working_set._memory.facts) > moved) == (rows == 8)
    assert not fast.working_set._memory.seats[:, LAID].any()


def test_a_score_that_is_none_is_left_to_the_stages_which_refuse_it() -> None:
    def refused(vectors: NDArray[np.float32]) -> Answer:
        raise NonFiniteScore(np.zeros(1, np.int64))

    one = scoring(fast=True)
    run(one, batches([ONE]))
    infinite = WALK.on_line(*LINE)._replace(base=np.float32(np.inf), logistic=False)
    one.model = replace(one.model, scorer=refused, trees=infinite)
    one.__post_init__()
    with pytest.raises(NonFiniteScore):
        one(batches([ONE, ONE])[1])


def test_stages_end_one_after_the_other() -> None:
    one = scoring(fast=True)
    *_, outcome = run(one, batches([ONE, [(0, 1, 5)]]))
    assert list(outcome.ended) == ["consume", "decode", "join", "assemble", "score", "decide", "publish"]
    assert all(before <= after for before, after in pairwise(outcome.ended.values()))


def test_each_stage_took_a_batch_as_long_whether_it_is_counted_alone_or_with_others() -> None:
    one, two = answered(scoring(fast=True), batches([ONE, [(0, 1, 5)], [(0, 1, 6)]]))[1:]
    alone, together = counted([one]).seconds, counted([one, two]).seconds
    for stage in ("join", "assemble", "score", "decide"):
        assert alone[stage][0] == pytest.approx(together[stage][0], abs=1e-8)


def test_a_model_or_a_domain_that_is_more_has_no_fast_path() -> None:
    features = DOMAIN.features
    by_function = Feature("zero", "nothing", "count", 1, lambda inputs: np.zeros(len(inputs.event["failures"])))
    more = FeatureSet((*features.rows[:2], by_function), features.spec)
    wider = FeatureSet((*features.rows, replace(features.rows[0], name="again")), features.spec)
    own_facts = replace(DOMAIN, facts=lambda columns, offsets: DOMAIN.facts(columns, offsets) + 0)
    assert scoring(fast=False)._fast_path is None
    for domain in (replace(DOMAIN, features=more), replace(DOMAIN, features=wider), own_facts):
        assert scoring(fast=True, domain=domain)._fast_path is None
