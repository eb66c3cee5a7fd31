"""The flow over one batch: each record that is to be answered is, as itself, and no other."""

from typing import Any, cast

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from riskstream.models.outputs import Answer
from riskstream.models.policy import Policy
from riskstream.schemas.decode import Decoder, Records
from riskstream.schemas.history import Keys
from riskstream.schemas.score import RiskScore, decode_score
from riskstream.workers.join import Join
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.metrics import Metrics
from riskstream.workers.outcome import Answers
from riskstream.workers.profiles import Profiles
from riskstream.workers.scoring import Model, Scoring, Topics
from riskstream.workers.working_set import LogSpan, WorkingSet
from tests.support.nobody_stored import Message, NobodyStored
from tests.support.tiny_domain import DOMAIN

T0 = 1_760_000_000_000
LIVE_FROM = {0: 3, 1: 0}


def tenth_of_failures(vectors: NDArray[np.float32]) -> Answer:
    return Answer(vectors[:, 0].astype(np.float64) / 10, None)


@pytest.fixture
def scoring() -> Scoring:
    """Owns partition 0, which is to be answered from offset 3 on, and partition 1 from its beginning."""
    metrics = Metrics(CollectorRegistry())
    working_set = WorkingSet(DOMAIN.layout, 16, 1 << 20, log_is_complete=True)
    for number, live_from in LIVE_FROM.items():
        working_set.open(number, Keys.of("n", "in", number), None, LogSpan(0, live_from))
    join = Join(
        DOMAIN, working_set, cast(Any, NobodyStored()), Profiles(DOMAIN, 1), metrics, 10**9, 10**9, degrade=False
    )
    model = Model("m@1", tenth_of_failures, Policy(0.3, 0.6))
    topics = Topics("scores", "dead", 1_000, 2)
    return Scoring(
        DOMAIN, Decoder(DOMAIN.event, DOMAIN.columns), join, model, working_set, topics, metrics, lambda: T0 / 1000
    )


def batch(*records: tuple[int, int, int | None]) -> Batch:
    """Of (partition, offset, failures); None is no event at all."""
    values = [
        b"?" if failures is None else msgspec.json.encode(
            {"event_id": f"e-{p}-{o}", "user_id": f"u-{p}", "event_time": T0 + o, "failures": failures, "address": "a"}
        )
        for p, o, failures in records
    ]  # fmt: skip
    taken = Records([b"u-%d" % p for p, _, _ in records], values, [T0] * len(records))
    places, offsets = [p for p, _, _ in records], [o for _, o, _ in records]
    return Batch.of_columns("in", [cast(Any, Message())] * len(records), places, offsets, taken, None)


def scores(answers: Answers) -> list[RiskScore]:
    return [decode_score(value or b"") for topic, _, _, value, _ in answers.records if topic == "scores"]


def said(answers: Answers) -> list[tuple[int, int, str, str, int, str]]:
    return [(s.partition, s.offset, s.event_id, s.user_id, s.event_time - T0, s.decision) for s in scores(answers)]


def dead(answers: Answers) -> list[tuple[int, str]]:
    """Partition and offset, as the headers say."""
    letters = [
        (partition, dict(headers or [])) for topic, partition, _, _, headers in answers.records if topic == "dead"
    ]
    return [(partition, (headers["__connect.errors.offset"] or b"").decode()) for partition, headers in letters]


def test_every_score_says_of_its_record_what_is_true(scoring: Scoring) -> None:
    answers = scoring(batch((1, 0, 1), (0, 3, 4), (1, 1, 7)))
    assert said(answers) == [
        (1, 0, "e-1-0", "u-1", 0, "approve"),
        (0, 3, "e-0-3", "u-0", 3, "review"),
        (1, 1, "e-1-1", "u-1", 1, "decline"),
    ]
    assert [(topic, number, key) for topic, number, key, _, _ in answers.records] == [
        ("scores", 1, b"u-1"), ("scores", 0, b"u-0"), ("scores", 1, b"u-1")
    ]  # fmt: skip
    assert answers.offsets == {0: 4, 1: 2}


def test_of_a_batch_that_is_partly_answered_already_the_rest_is_answered(scoring: Scoring) -> None:
    answers = scoring(batch((0, 1, 1), (0, 2, None), (1, 0, None), (0, 3, 2), (0, 4, None), (1, 1, 9)))
    assert said(answers) == [(0, 3, "e-0-3", "u-0", 3, "approve"), (1, 1, "e-1-1", "u-1", 1, "decline")]
    assert dead(answers) == [(1, "0"), (0, "4")]


def test_what_is_behind_a_dead_letter_is_answered_and_counted_as_itself(scoring: Scoring) -> None:
    answers = scoring(batch((1, 0, None), (1, 1, 9), (1, 2, 1)))
    scoring.absorb(answers)
    assert [offset for _, offset, *_ in said(answers)] == [1, 2]
    assert answers.outcome().scored.rows.tolist() == [0, 1]
    assert dead(answers) == [(1, "0")]
    assert scoring.metrics.registry.get_sample_value("riskstream_events_total") == 3


def test_what_is_answered_already_is_neither_answered_nor_committed_again(scoring: Scoring) -> None:
    answers = scoring(batch((0, 0, 1), (0, 1, None), (0, 2, 3)))
    assert (answers.records, answers.offsets) == ([], {})


def test_a_repeat_is_scored_as_what_it_was(scoring: Scoring) -> None:
    first = batch((1, 0, 5))
    again = Batch.of_columns(first.topic, first.messages, [1], [1], first.records, None)
    scoring.absorb(scoring(first))
    assert [(s.offset, s.duplicate) for s in scores(scoring(again))] == [(1, True)]


def test_what_was_committed_moves_the_positions_and_is_counted(scoring: Scoring) -> None:
    scoring.absorb(scoring(batch((0, 2, 1), (0, 3, 4), (1, 0, None))))
    assert {number: part.position for number, part in scoring.working_set.partitions.items()} == {0: 4, 1: 1}
    read = scoring.metrics.registry.get_sample_value
    assert read("riskstream_events_total") == 2
    assert read("riskstream_recovered_facts_total") == 1
    assert read("riskstream_scores_total", {"decision": "review"}) == 1
    assert read("riskstream_dead_letters_total", {"reason": "not_json"}) == 1
    assert read("riskstream_stage_seconds_count", {"stage": "join"}) == 1


def test_a_first_batch_of_nothing_but_dead_letters_goes_through(scoring: Scoring) -> None:
    answers = scoring(batch((1, 0, None), (1, 1, None)))
    scoring.absorb(answers)
    assert [topic for topic, *_ in answers.records] == ["dead", "dead"]
