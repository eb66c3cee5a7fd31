"""Publishing on a real broker. Transactions: two producers in turn, the next one's begun when the other's is committed;
at least once: one producer that is not waited for until offsets are to be committed."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from riskstream.deploy.stack.processes import free_port
from riskstream.workers.errors import Aborted, OutcomeUnclear
from riskstream.workers.kafka.deadline import Deadline
from riskstream.workers.kafka.input import Input
from riskstream.workers.kafka.output import UNACKNOWLEDGED_MOST, AtLeastOnceOutput, Outgoing, TransactionalOutput
from riskstream.workers.settings import Settings, load_settings
from tests.support.pipeline import Pipeline, limit_records

NewPipeline = Callable[..., Pipeline]


class Owner:
    """Reads every partition from its beginning."""

    def assigned(self, spans: Any) -> dict[int, int]:
        return dict.fromkeys(spans, 0)

    def revoked(self, partitions: list[int]) -> None: ...

    lost = revoked

    def position(self, partition: int) -> int:
        return 0


@pytest.fixture
def pipeline(new_pipeline: NewPipeline) -> Pipeline:
    """One partition with records; no worker."""
    pipeline = new_pipeline(partitions=1)
    pipeline.feed([(0, b"k", b"%d" % number) for number in range(9)])
    return pipeline


@pytest.fixture
def settings(pipeline: Pipeline) -> Settings:
    source, scores, _ = pipeline.topics
    return load_settings(
        bootstrap_servers=pipeline.bootstrap, group=pipeline.name, input_topic=source, output_topic=scores
    )


def joined(settings: Settings) -> Generator[Any]:
    """What commits with the group's offsets, while this is its only member."""
    source = Input(settings, Owner(), on_error=lambda code: None)
    while (batch := source.take(1, 1.0)) is None:
        pass
    yield batch.group
    source.close()


@pytest.fixture
def group(settings: Settings) -> Iterator[Any]:
    yield from joined(settings)


@pytest.fixture
def output(settings: Settings) -> TransactionalOutput:
    output = TransactionalOutput(settings, Deadline())
    output.open()
    return output


def score(settings: Settings, number: int) -> list[Outgoing]:
    return [(settings.output_topic, 0, b"k", b"%d" % number, None)]


def committed(settings: Settings) -> int:
    client = Consumer({"bootstrap.servers": settings.bootstrap_servers, "group.id": settings.group})
    (part,) = client.committed([TopicPartition(settings.input_topic, 0)], timeout=10)
    client.close()
    return part.offset


def seen(settings: Settings, count: int) -> list[bytes | None]:
    """The first records that a reader of committed ones finds, and nothing behind them."""
    client = Consumer(
        {"bootstrap.servers": settings.bootstrap_servers, "group.id": "reader", "enable.auto.commit": False}
    )
    client.assign([TopicPartition(settings.output_topic, 0, 0)])
    values = [message.value() for message in client.consume(count, 10) + client.consume(1, 1)]
    client.close()
    return values


def test_batches_are_committed_one_after_the_other(settings: Settings, output: TransactionalOutput, group: Any) -> None:
    for number in range(5):
        output.publish(score(settings, number), {0: number + 1}, group)
        assert committed(settings) == number + 1
    assert seen(settings, 5) == [b"0", b"1", b"2", b"3", b"4"]


def test_new_producers_begin_anew(settings: Settings, output: TransactionalOutput, group: Any) -> None:
    output.publish(score(settings, 0), {0: 1}, group)
    output.open()
    output.publish(score(settings, 1), {0: 2}, group)
    assert committed(settings) == 2


def test_who_left_the_group_commits_nothing_and_the_next_batch_does(
    settings: Settings, output: TransactionalOutput
) -> None:
    (gone,) = joined(settings)
    members = joined(settings)
    here = next(members)
    for turn in range(3):
        output.publish(score(settings, turn), {0: turn + 1}, here)
        with pytest.raises(Aborted):
            output.publish(score(settings, 99), {0: 9}, gone)
    assert committed(settings) == 3
    assert seen(settings, 3) == [b"0", b"1", b"2"]
    members.close()


def test_at_least_once_who_commits_waits_for_what_was_published(settings: Settings) -> None:
    found: list[list[bytes | None]] = []
    output = AtLeastOnceOutput(settings, lambda _: found.append(seen(settings, 300)))
    output.open()
    for number in range(300):
        output.publish(score(settings, number), {0: number + 1}, None)
    output.commit({0: 300})
    assert found == [[b"%d" % number for number in range(300)]]


def test_at_least_once_a_record_that_is_refused_is_noticed_before_offsets_are_committed(settings: Settings) -> None:
    limit_records(AdminClient({"bootstrap.servers": settings.bootstrap_servers}), settings.output_topic, 64)
    output = AtLeastOnceOutput(settings, lambda _: pytest.fail("offsets were committed"))
    output.open()
    output.publish(score(settings, 10**100), {}, None)
    with pytest.raises(OutcomeUnclear, match=r"0 records unacknowledged, failed: .*too large"):
        output.commit({0: 1})


def test_at_least_once_only_so_many_records_are_under_way() -> None:
    settings = load_settings(bootstrap_servers=f"127.0.0.1:{free_port()}", transaction_timeout_ms=1_000)
    output = AtLeastOnceOutput(settings, lambda _: None)
    output.open()
    output.publish(score(settings, 1) * UNACKNOWLEDGED_MOST, {}, None)
    with pytest.raises(OutcomeUnclear, match=f"{UNACKNOWLEDGED_MOST} records unacknowledged"):
        output.publish(score(settings, 2), {}, None)


def test_at_least_once_producers_end_with_their_output_whatever_they_have_not_sent() -> None:
    settings = load_settings(bootstrap_servers=f"127.0.0.1:{free_port()}", transaction_timeout_ms=1_000)
    threads = Path("/proc/self/task")
    before = {thread.name for thread in threads.iterdir()}
    output = AtLeastOnceOutput(settings, lambda _: None)
    for _ in range(2):
        output.open()
        output.publish(score(settings, 1), {}, None)
    assert {thread.name for thread in threads.iterdir()} > before
    del output
    assert {thread.name for thread in threads.iterdir()} <= before


def test_at_least_once_a_new_producer_begins_anew(settings: Settings) -> None:
    output = AtLeastOnceOutput(settings, lambda _: None)
    for number in range(2):
        output.open()
        output.publish(score(settings, number), {}, None)
        output.settle()
    assert seen(settings, 2) == [b"0", b"1"]
