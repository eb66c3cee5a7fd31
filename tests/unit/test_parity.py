"""Parity of what was served with what the log says: each known fault of serving turns it red, and is named."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner
from xxhash import xxh3_64_intdigest

from riskstream.models.dataset.build import build
from riskstream.models.dataset.labels import SplitPlan
from riskstream.models.dataset.parity import Parity, Scored, compare
from riskstream.models.dataset.vectors import Facts, Snapshots
from riskstream.models.history import aggregate
from riskstream.models.payment import DOMAIN
from riskstream.models.simulation import SimulationConfig, simulate
from riskstream.models.simulation.log import SimulatedLog
from riskstream.schemas.digests import vector_digest
from riskstream.workers.cli import app
from tests.support.datasets import event_log, ingredients, snapshots

CONFIG = SimulationConfig(seed=4, users=20, events=600, days=60, repeat_share=0.02)
LOG = simulate(CONFIG)
FACTS = event_log(LOG.events).facts
SNAPSHOTS = snapshots(LOG, days=70)
BATCH = 25
Digests = list[str]
Vectors = NDArray[np.float32]


class Pipeline:
    """What a worker does with features, event by event in batches; each part can be replaced by a faulty one."""

    def __init__(self) -> None:
        self.history: dict[str, list[NDArray[np.int64]]] = {}
        self.seen: set[str] = set()

    def users(self, batch: Sequence[Any]) -> list[str]:
        """Whose history each event of the batch is given."""
        return [event.user_id for event in batch]

    def past(self, user: str, stored: int) -> list[NDArray[np.int64]]:
        """The facts that an event sees; `stored` of them were there before its batch."""
        return self.history.get(user, [])

    def profile(self, event: Any) -> Any:
        return SNAPSHOTS.at(_as_of(event.user_id, event.event_time))[0]

    def finish(self, vectors: Vectors) -> Vectors:
        return vectors

    def serve(self, log: SimulatedLog) -> Digests:
        digests: Digests = []
        for at in range(0, len(log.events), BATCH):
            batch = log.events[at : at + BATCH]
            columns = DOMAIN.columns(batch)
            facts = DOMAIN.facts(columns, np.arange(at, at + len(batch)))
            stored = {user: len(known) for user, known in self.history.items()}
            values = []
            for event, user, fact in zip(batch, self.users(batch), facts, strict=True):
                past = self.past(user, stored.get(user, 0))
                rows = np.ascontiguousarray([*past, fact])
                found = aggregate(DOMAIN.features.spec, rows, np.zeros(1, np.int64), np.array([len(past)]))
                values.append(found.values[0])
                if event.event_id not in self.seen:
                    self.seen.add(event.event_id)
                    self.history.setdefault(event.user_id, []).append(fact)
            profiles = DOMAIN.profiles([self.profile(event) for event in batch])
            digests += vector_digest(self.finish(DOMAIN.features.assemble(columns, np.array(values), profiles)))
        return digests


def _as_of(user_id: str, time: int, max_age_ms: int = DOMAIN.profile_max_age_ms) -> NDArray[np.int64]:
    user = np.array([xxh3_64_intdigest(user_id.encode())], np.uint64)
    return SNAPSHOTS.as_of(user, np.array([time], np.int64), max_age_ms)


class Zeroed(Pipeline):
    """Every tenth vector is lost and leaves as zeros."""

    def finish(self, vectors: Vectors) -> Vectors:
        vectors[::10] = 0
        return vectors


class OneZeroed(Pipeline):
    def finish(self, vectors: Vectors) -> Vectors:
        vectors[:, DOMAIN.features.names.index("amount_log")] = 0
        return vectors


class MixedUp(Pipeline):
    """In each batch the histories are handed out one event off."""

    def users(self, batch: Sequence[Any]) -> list[str]:
        users = super().users(batch)
        return users[-1:] + users[:-1]


class LeftOut(Pipeline):
    """An event does not see the earlier ones of its own batch."""

    def past(self, user: str, stored: int) -> list[NDArray[np.int64]]:
        return super().past(user, stored)[:stored]


class Stale(Pipeline):
    """The first profile ever read is kept for good: no age, and no change of the account's."""

    def profile(self, event: Any) -> Any:
        user = np.uint64(xxh3_64_intdigest(event.user_id.encode()))
        places = np.flatnonzero((SNAPSHOTS.user == user) & (SNAPSHOTS.computed_at <= event.event_time))
        return SNAPSHOTS.profiles[places[0]] if len(places) else None


def changing(log: SimulatedLog) -> Snapshots:
    """Profiles that change from day to day, so that an old one is another one."""
    known = snapshots(log, days=70)
    days = (known.computed_at // 86_400_000).tolist()
    profiles = [
        msgspec.structs.replace(profile, chargebacks_365d=day % 1_000)
        for profile, day in zip(known.profiles, days, strict=True)
    ]
    return Snapshots(known.user, known.computed_at, profiles)


SNAPSHOTS = changing(LOG)


def served(pipeline: Pipeline, degraded: Callable[[int], bool] = lambda _: False) -> Scored:
    flags = np.array([degraded(k) for k in range(len(LOG.events))])
    return Scored(FACTS.columns["event_hash"], pipeline.serve(LOG), flags)


def compared(pipeline: Pipeline) -> Parity:
    return compare(DOMAIN, FACTS, SNAPSHOTS, served(pipeline))


def test_a_faultless_pipeline_agrees_bit_for_bit() -> None:
    found = compared(Pipeline())
    assert found.holds
    assert (found.agree, found.differ, found.unknown, found.unscored) == (600, 0, 0, 0)
    assert found.causes == ()


@pytest.mark.parametrize(
    ("pipeline", "fault", "features"),
    [
        (Zeroed, "all features are zero", {"amount_log", "mcc"}),
        (OneZeroed, "amount_log is zero", {"amount_log"}),
        (MixedUp, "the history of another user was taken", {"count_30d", "amount_mean_30d"}),
        (LeftOut, "the newest facts were left out of the windows", {"count_30d", "since_last"}),
        (Stale, "the oldest profile was used", {"chargebacks_365d"}),
    ],
)
def test_each_fault_turns_red_and_is_named_with_its_features(
    pipeline: type[Pipeline], fault: str, features: set[str]
) -> None:
    found = compared(pipeline())
    assert not found.holds
    assert found.differ > 5
    cause = found.causes[0]
    assert cause.fault == fault
    assert cause.events >= 0.8 * sum(each.events for each in found.causes)
    named = {name for name, _ in cause.features}
    assert features <= named
    assert (pipeline not in (OneZeroed, Stale)) or named == features


def test_a_fault_that_nobody_knows_is_red_all_the_same() -> None:
    class Odd(Pipeline):
        def finish(self, vectors: Vectors) -> Vectors:
            vectors[3] *= np.float32(1.0000001)
            return vectors

    found = compared(Odd())
    assert not found.holds
    assert found.causes[0].fault == "no known fault"


def test_a_score_that_declares_what_it_lacked_is_counted_and_not_blamed() -> None:
    found = compare(DOMAIN, FACTS, SNAPSHOTS, served(Zeroed(), degraded=lambda k: k % BATCH % 10 == 0))
    assert found.holds
    assert (found.degraded, found.differ) == (72, 0)


def test_scores_of_unknown_events_and_events_without_scores_are_counted() -> None:
    scored = served(Pipeline())
    part = Scored(np.append(scored.event_hash[:100], 5), [*scored.vector[:100], "0" * 16], np.zeros(101, bool))
    found = compare(DOMAIN, FACTS, SNAPSHOTS, part)
    assert (found.agree, found.unknown) == (100, 1)
    assert found.unscored == len(set(scored.event_hash.tolist())) - len(set(scored.event_hash[:100].tolist()))
    assert not found.holds


def test_no_score_is_no_proof() -> None:
    nothing = Scored(np.empty(0, np.int64), [], np.empty(0, bool))
    assert not compare(DOMAIN, FACTS, SNAPSHOTS, nothing).holds


def test_the_command_reads_scores_as_they_are_on_the_topic(tmp_path: Path) -> None:
    given = ingredients(CONFIG)
    build(DOMAIN, given, SplitPlan(), tmp_path / "d")
    scores = tmp_path / "scores.jsonl"
    truth = compare_lines(given.log.facts, given.snapshots)
    scores.write_bytes(b"\n".join(truth) + b"\n")
    good = CliRunner().invoke(app, ["parity", str(tmp_path / "d"), "--scores", str(scores)])
    assert good.exit_code == 0, good.output
    assert "agree=600 differ=0" in good.output
    scores.write_bytes(b"\n".join([*truth[:-1], truth[-1].replace(b'"vector":"', b'"vector":"0')]))
    assert CliRunner().invoke(app, ["parity", str(tmp_path / "d"), "--scores", str(scores)]).exit_code == 1
    scores.write_bytes(b'{"event_id": 1}\n')
    assert CliRunner().invoke(app, ["parity", str(tmp_path / "d"), "--scores", str(scores)]).exit_code == 2


def compare_lines(facts: Facts, known: Snapshots) -> list[bytes]:
    from riskstream.models.dataset.vectors import vectors

    digests = vector_digest(vectors(DOMAIN, facts, known).features)
    rows = zip(LOG.events, digests, strict=True)
    return [msgspec.json.encode({"event_id": event.event_id, "vector": name, "score": 0.5}) for event, name in rows]
