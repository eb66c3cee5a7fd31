"""However batches come, the metrics say the same of them."""

from collections.abc import Sequence
from types import SimpleNamespace as Stub
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from riskstream.schemas.dead_letter import Rejection
from riskstream.schemas.decode import Records
from riskstream.schemas.partitioner import partitions_of
from riskstream.workers.batch_counts import ENOUGH, ENOUGH_BATCHES, BatchCounts
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.metrics import Metrics

PARTITIONS = 6
NOW_S = 1_000.0


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def page(metrics: Metrics) -> set[str]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {line.removeprefix("riskstream_") for line in lines if line.startswith("riskstream_")}


def answers(rows: Sequence[tuple[int, int, bool]], refused: Sequence[str] = (), recovered: int = 0) -> Any:
    """A batch of scored rows (decision, degraded, repeated), dead letters, and records that were only recovered."""
    decisions, degraded, repeated = zip(*rows, strict=True) if rows else ((), (), ())
    size = len(rows) + len(refused) + recovered
    keys = [b"u-%d" % number for number in range(size)]
    partitions = partitions_of(keys, PARTITIONS).tolist()
    return told(
        Batch.of_columns(
            "in", [], partitions, list(range(size)), Records(keys, [b"{}"] * size, [999_000] * size), None
        ),
        decoded=Stub(rows=np.arange(recovered + len(rows))),
        joined=Stub(
            columns={"event_time": np.zeros(recovered + len(rows), np.int64)},
            degraded=np.array([255] * recovered + list(degraded), np.uint8),
            misses=min(1, len(rows)),
        ),
        scored=Stub(
            rows=recovered + np.arange(len(rows)),
            vectors=np.zeros((len(rows), 1), np.float32),
            scores=np.zeros(len(rows)),
            decisions=np.array(decisions, np.uint8),
            repeated=np.array(repeated, np.bool_),
        ),
        refused={recovered + len(rows) + index: Rejection(reason, "", "") for index, reason in enumerate(refused)},
        ended={"consume": 5.0, "decode": 5.5, "join": 7.5, **({"commit": 8.0} if rows or refused else {})},
    )


def told(batch: Batch, **came_to: Any) -> Any:
    return Stub(batch=batch, work=None, outcome=lambda: Stub(batch=batch, **came_to), came_to=came_to)


def test_what_a_batch_came_to_is_counted(metrics: Metrics) -> None:
    BatchCounts(metrics, PARTITIONS).note(
        answers([(0, 0, False), (0, 0b101, True), (2, 0b100, False)], ["not_json", "not_json", "too_large"], 4),
        NOW_S,
    )
    assert page(metrics) >= {
        'scores_total{decision="approve"} 2.0',
        'scores_total{decision="review"} 0.0',
        'scores_total{decision="decline"} 1.0',
        'degraded_total{kind="history_partial"} 1.0',
        'degraded_total{kind="history_unavailable"} 0.0',
        'degraded_total{kind="profile_stale"} 2.0',
        'dead_letters_total{reason="not_json"} 2.0',
        'dead_letters_total{reason="too_large"} 1.0',
        "duplicates_total 1.0",
        "events_total 6.0",
        "recovered_facts_total 4.0",
        "misplaced_records_total 0.0",
        "history_cache_hits_total 6.0",
        "history_cache_misses_total 1.0",
        "batch_events_sum 10.0",
        "batch_events_count 1.0",
        "fast_batches_total 0.0",
        "event_age_seconds_sum 10.0",
        'event_age_seconds_bucket{le="1.0"} 10.0',
        'stage_seconds_sum{stage="decode"} 0.5',
        'stage_seconds_sum{stage="join"} 2.0',
        'stage_seconds_count{stage="join"} 1.0',
        'stage_seconds_count{stage="score"} 0.0',
        'stage_seconds_sum{stage="commit"} 0.5',
        'transactions_total{outcome="committed"} 1.0',
    }


def test_what_was_only_recovered_was_no_transaction(metrics: Metrics) -> None:
    BatchCounts(metrics, PARTITIONS).note(answers([], recovered=4), NOW_S)
    assert page(metrics) >= {"recovered_facts_total 4.0", 'transactions_total{outcome="committed"} 0.0'}


def test_a_record_elsewhere_than_its_key_says_is_misplaced_and_one_without_key_or_time_is_not(metrics: Metrics) -> None:
    right = int(partitions_of([b"u"], PARTITIONS)[0])
    records = Records([b"u", b"u", None], [b"{}"] * 3, [-1, 2_000_000, -1])
    batch = Batch.of_columns("in", [], [right, (right + 1) % PARTITIONS, 0], [0, 0, 0], records, None)
    BatchCounts(metrics, PARTITIONS).note(told(batch, **answers([]).came_to), NOW_S)
    assert page(metrics) >= {"misplaced_records_total 1.0", "event_age_seconds_count 1.0", "event_age_seconds_sum 0.0"}


rows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 31), st.booleans()), max_size=20)


@given(st.lists(rows, max_size=6))
def test_batches_that_wait_are_counted_as_one_by_one(batches: list[list[tuple[int, int, bool]]]) -> None:
    one_by_one, together = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    counts, later = BatchCounts(one_by_one, PARTITIONS), BatchCounts(together, PARTITIONS)
    for number, each in enumerate(batches):
        batch = answers(each, ["not_json"])
        counts.note(batch, NOW_S + number)
        page(one_by_one)
        later.note(batch, NOW_S + number)
    assert page(one_by_one) == page(together)


@pytest.mark.parametrize(("batches", "records"), [(ENOUGH_BATCHES, 1), (2, ENOUGH // 2)])
def test_what_nobody_reads_does_not_pile_up(metrics: Metrics, batches: int, records: int) -> None:
    counts = BatchCounts(metrics, PARTITIONS)
    for _ in range(batches):
        counts.note(answers([(0, 0, False)] * records), NOW_S)
    (family,) = metrics.events_total.collect()  # asked by itself, which is no reading of the page
    assert [sample.value for sample in family.samples] == [batches * records]
