"""The sidecar on a real Kafka: its windows hold every committed event once, whatever is done to it."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from riskstream.schemas.drift import DriftReport
from riskstream.schemas.stats import StatsRecord, encode_stats
from tests.integration.conftest import NewPipeline
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Pipeline
from tests.support.sidecar import Sidecar

SETTINGS = {"STATS_SLOT_S": "86400", "DRIFT_WINDOWS": "1d,5d/1d", "DRIFT_LATENESS_S": "0", "DRIFT_IDLE_S": "2"}
BUSY = {**SETTINGS, "MAX_BATCH": "50", "STATS_INTERVAL_MS": "50", "DRIFT_IDLE_S": "60"}
DAY = 86_400_000

NewSidecar = Callable[[Pipeline], Sidecar]


@pytest.fixture
def new_sidecar() -> Iterator[NewSidecar]:
    made: list[Sidecar] = []

    def make(pipeline: Pipeline) -> Sidecar:
        made.append(Sidecar(pipeline))
        return made[-1]

    yield make
    for sidecar in made:
        sidecar.close()


def events(reports: list[DriftReport]) -> int:
    return sum(r.events + sum(r.dead_letters.values()) for r in reports if r.length_ms == DAY and r.segment is None)


def assert_published_once(sidecar: Sidecar) -> None:
    differing = {key: len(set(values)) for key, values in sidecar.versions().items() if len(set(values)) > 1}
    assert differing == {}, "windows were reported twice with different content"


def rewind(pipeline: Pipeline, group: str) -> None:
    """To the beginning, as soon as the broker takes the killed member for dead."""
    client = AdminClient({"bootstrap.servers": pipeline.bootstrap, "log_level": 4})
    parts = [TopicPartition(pipeline.stats_topic, number, 0) for number in range(pipeline.partitions)]
    deadline = time.monotonic() + 20
    while True:
        future = client.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, parts)])[group]
        with suppress(KafkaException):
            if all(part.error is None for part in future.result(10).topic_partitions):
                return
        assert time.monotonic() < deadline, "the group is never free of members"
        time.sleep(0.5)


def test_windows_hold_every_event_once(new_pipeline: NewPipeline, new_sidecar: NewSidecar) -> None:
    pipeline = new_pipeline(**SETTINGS, STATS_SEGMENT="channel")
    sidecar = new_sidecar(pipeline)
    pipeline.feed(records_of(log_of(events=1_500), 3, malformed_share=0))
    pipeline.start()
    sidecar.start()
    pipeline.outputs()
    reports = sidecar.wait_for(lambda found: events(found) >= len(pipeline.fed))
    assert events(reports) == len(pipeline.fed)
    segments = [r for r in reports if r.segment is not None and r.length_ms == DAY]
    assert sum(report.events for report in segments) == len(pipeline.fed)
    assert sidecar.stop() == 0


def test_neither_a_kill_nor_a_rewind_changes_a_window(new_pipeline: NewPipeline, new_sidecar: NewSidecar) -> None:
    pipeline = new_pipeline(**BUSY)
    sidecar = new_sidecar(pipeline)
    records = records_of(log_of(events=1_500), 3, malformed_share=0)
    pipeline.feed(records[:800])
    pipeline.start()
    sidecar.start()
    early = sidecar.wait_for(lambda found: events(found) > 300)
    sidecar.kill()
    pipeline.feed(records[800:])
    rewind(pipeline, sidecar.group)
    sidecar.start(DRIFT_IDLE_S="2")
    reports = sidecar.wait_for(lambda found: events(found) >= len(records))
    assert events(reports) == len(records)
    assert_published_once(sidecar)
    assert [report for report in reports if report in early] == early


@pytest.mark.faults
@pytest.mark.slow
def test_windows_wait_for_a_partition_whose_worker_is_behind(
    new_pipeline: NewPipeline, new_sidecar: NewSidecar
) -> None:
    pipeline = new_pipeline(**{**BUSY, "DRIFT_IDLE_S": "1"}, SESSION_TIMEOUT_MS="30000")
    sidecar = new_sidecar(pipeline)
    records = records_of(log_of(events=1_500), 3, malformed_share=0)
    pipeline.start("a")
    slow = pipeline.start("b")
    sidecar.start()
    deadline = time.monotonic() + 60
    while not all("state is taken" in pipeline.log(slot) for slot in "ab"):
        assert time.monotonic() < deadline, pipeline.log("a") + pipeline.log("b")
        time.sleep(0.2)
    time.sleep(4)  # longer than a partition has to be silent to be waited for no more
    slow.send_signal(signal.SIGSTOP)
    pipeline.feed(records)
    time.sleep(6)
    assert 0 < len(pipeline.outputs(timeout_s=1)) < len(records), "each worker has some of the partitions"
    slow.send_signal(signal.SIGCONT)
    pipeline.outputs()
    assert events(sidecar.wait_for(lambda found: events(found) >= len(records))) == len(records)


@pytest.mark.faults
def test_an_instance_that_slept_while_another_took_over_says_nothing_any_more(
    new_pipeline: NewPipeline, new_sidecar: NewSidecar
) -> None:
    pipeline = new_pipeline(**BUSY)
    sidecar = new_sidecar(pipeline)
    records = records_of(log_of(events=1_500), 3, malformed_share=0)
    pipeline.feed(records[:700])
    pipeline.start()
    first = sidecar.start("first")
    sidecar.wait_for(lambda found: events(found) > 200)
    first.send_signal(signal.SIGSTOP)
    sidecar.start("second", DRIFT_IDLE_S="2")
    pipeline.feed(records[700:])
    sidecar.wait_for(lambda found: events(found) >= len(records), 60)
    first.send_signal(signal.SIGCONT)
    time.sleep(6)
    assert events(sidecar.reports()) == len(records)
    assert_published_once(sidecar)


def test_what_was_aborted_is_in_no_window(new_pipeline: NewPipeline, new_sidecar: NewSidecar) -> None:
    """Faust by itself reads uncommitted records."""
    pipeline = new_pipeline(**SETTINGS)
    sidecar = new_sidecar(pipeline)
    producer = Producer({"bootstrap.servers": pipeline.bootstrap, "transactional.id": pipeline.name})
    producer.init_transactions(20)
    ghost = StatsRecord(
        model="random@1.0.0", layout="0" * 16, partition=0, first_offset=0, next_offset=10**9, slot_ms=1_000
    )
    producer.begin_transaction()
    producer.produce(pipeline.stats_topic, encode_stats(ghost), partition=0)
    producer.flush(10)
    producer.abort_transaction(20)
    pipeline.feed(records_of(log_of(events=300), 3, malformed_share=0))
    pipeline.start()
    sidecar.start()
    reports = sidecar.wait_for(lambda found: events(found) >= len(pipeline.fed))
    assert {report.unseen for report in reports} == {0}
