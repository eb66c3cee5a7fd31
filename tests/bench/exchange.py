"""Consume, and produce with commit, on the real broker: CPU per event of the whole client, its threads included.

The worker's own consumer and producers, and beside each the cheapest known way with the same library. A consumer is
started at the end of the log and then sent to its beginning, so that joining the group is not measured.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from riskstream.workers.kafka.deadline import Deadline
from riskstream.workers.kafka.input import Input
from riskstream.workers.kafka.offsets import Span
from riskstream.workers.kafka.output import AtLeastOnceOutput, Outgoing, Output, TransactionalOutput
from riskstream.workers.settings import Settings
from tests.bench.cpu import Work, cpu_us
from tests.bench.rig import BenchError, Rig
from tests.bench.world import topics_of

PUBLISHED = {1: 40, 32: 20, 256: 8, 2_048: 3}
"""By batch size, how many batches are one measurement."""
ROUNDS = 3


@dataclass
class AtTheEnd:
    """Starts every partition at the end of the log."""

    known: bool = False

    def assigned(self, spans: Mapping[int, Span]) -> dict[int, int]:
        self.known = True
        return {number: span.log_end for number, span in spans.items()}

    def revoked(self, partitions: list[int]) -> None: ...

    def lost(self, partitions: list[int]) -> None: ...

    def position(self, partition: int) -> int:
        raise NotImplementedError


@contextmanager
def worker_input(settings: Settings) -> Iterator[Input]:
    """The worker's consumer, all partitions assigned."""
    seat = AtTheEnd()
    source = Input(settings, seat, on_error=lambda _: None)
    try:
        for _ in range(300):
            source.take(1, 0.1)
            if seat.known:
                break
        else:
            raise BenchError("the consumer was given no partitions")
        yield source
    finally:
        source.close()


def consume_us(rig: Rig, source: Input, size: int) -> float:
    """As the worker takes batches of at most `size`."""

    def work() -> int:
        source.seek(dict.fromkeys(rig.fed, 0))
        taken = 0
        while taken < rig.fed.total():
            batch = source.take(size, 5)
            if batch is None:
                raise BenchError("no records came")
            taken += len(batch.messages)
        return taken

    return cpu_us(work, ROUNDS)


@contextmanager
def consume_floor(rig: Rig, size: int) -> Iterator[Work]:
    """consume(n) and value(), of all that was fed."""
    topic = topics_of(rig.name)[0]
    consumer = Consumer(
        {"bootstrap.servers": rig.world.stack.bootstrap_servers, "group.id": "floor", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, number, end) for number, end in rig.fed.items()])
    consumer.consume(1, 0.5)

    def work() -> int:
        for number in rig.fed:
            consumer.seek(TopicPartition(topic, number, 0))
        taken, total = 0, rig.fed.total()
        while taken < total:
            values = [message.value() for message in consumer.consume(min(size, total - taken), 5)]
            if not values:
                raise BenchError("no records came")
            taken += len(values)
        return taken

    try:
        yield work
    finally:
        consumer.close()


def open_output(settings: Settings) -> Output:
    """The worker's output for the delivery mode of the settings."""
    output: Output = (
        TransactionalOutput(settings, Deadline())
        if settings.delivery == "exactly_once"
        else AtLeastOnceOutput(settings, lambda _: None)
    )
    output.open()
    return output


def publish_us(rig: Rig, output: Output, group: Any, records: list[Outgoing]) -> float:
    """One transaction a batch, or a flush."""
    size = len(records)

    def work() -> int:
        for _ in range(PUBLISHED[size]):
            output.publish(records, dict.fromkeys(rig.fed, 1), group)
            output.settle()
        return size * PUBLISHED[size]

    return cpu_us(work, ROUNDS)


def produce_floor(rig: Rig, records: list[Outgoing]) -> Work:
    """produce() and flush()."""
    producer, size = Producer(_floor_config(rig)), len(records)

    def work() -> int:
        for _ in range(PUBLISHED[size]):
            _produce(producer, records)
            producer.flush(30)
        return size * PUBLISHED[size]

    return work


def transaction_floor(rig: Rig, group: Any, records: list[Outgoing]) -> Work:
    """A transaction's own part, whatever the batch: one with a single record and the offsets. Counts transactions."""
    offsets = [TopicPartition(topics_of(rig.name)[0], number, 1) for number in rig.fed]
    producers = [Producer({**_floor_config(rig), "transactional.id": f"floor-{turn}"}) for turn in ("a", "b")]
    for producer in producers:
        producer.init_transactions(30)

    def work() -> int:
        for number in range(20):
            producer = producers[number % 2]
            producer.begin_transaction()
            _produce(producer, records[:1])
            producer.send_offsets_to_transaction(offsets, group, 30)
            producer.commit_transaction(30)
        return 20

    return work


def group_of(rig: Rig, source: Input) -> Any:
    """The group's metadata, as a batch brings it."""
    source.seek(dict.fromkeys(rig.fed, 0))
    batch = source.take(1, 5)
    if batch is None:
        raise BenchError("no records came")
    return batch.group


def _produce(producer: Producer, records: list[Outgoing]) -> None:
    for topic, partition, key, value, _ in records:
        producer.produce(topic, value, key, partition)


def _floor_config(rig: Rig) -> dict[str, Any]:
    return {
        "bootstrap.servers": rig.world.stack.bootstrap_servers,
        "enable.idempotence": True,
        "compression.type": "lz4",
        "retry.backoff.ms": 2,
        "queue.buffering.max.messages": 1_000_000,
        "log_level": 3,
    }
