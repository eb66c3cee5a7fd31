"""The output topics, read as any downstream consumer would: committed records only, by the contract alone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, cast

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from riskstream.deploy.demo.count import SCORED, Answer, Content

SCORES, DEAD_LETTERS = "risk-scores", "dead-letters"
MOST = 2_000  # records at once
END_WITHIN_S = 30.0
ERRORS = "__connect.errors."


class Score(msgspec.Struct):
    """Of a risk score, what the demo looks at."""

    event_id: str
    score: float
    decision: str
    topic: str
    partition: int
    offset: int
    duplicate: bool
    degraded: list[str]


class Output(NamedTuple):
    answer: Answer
    score: Score | None


_decode = msgspec.json.Decoder(Score).decode


def output(message: Message) -> Output:
    """What an output record says. One that does not follow the contract answers nothing."""
    topic, partition, key, value = message.topic(), message.partition() or 0, message.key(), message.value()
    try:
        if topic == SCORES:
            score = _decode(value or b"")
            content = Content(key, SCORED, score.event_id)
            return Output(Answer(partition, (score.partition, score.offset), content), score)
        headers = dict(cast("list[tuple[str, bytes]]", message.headers() or []))
        origin = int(headers[ERRORS + "partition"]), int(headers[ERRORS + "offset"])
        return Output(Answer(partition, origin, Content(key, headers[ERRORS + "reason"].decode(), value)), None)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, ValueError):
        return Output(Answer(partition, None, Content(key, f"unreadable in {topic}", value)), None)


@contextmanager
def open_outputs(bootstrap_servers: str) -> Iterator[Consumer]:
    """A consumer of all partitions of both topics from their beginning. It is in no group and commits nothing."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "demo-count",  # asked for by the client; nothing is stored under it
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    try:
        consumer.assign(_partitions(consumer))
        yield consumer
    finally:
        consumer.close()


def read(consumer: Consumer, wait_s: float) -> list[Message]:
    """What is there, after waiting for a first one. An end of a partition is a message too, with an error."""
    first = consumer.poll(wait_s)
    messages = [] if first is None else [first, *consumer.consume(MOST, 0)]
    for message in messages:
        if (error := message.error()) and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
    return messages


def read_to_end(bootstrap_servers: str) -> list[Output]:
    """All that stands in both topics, in order within a partition. Nothing may write to them any more."""
    outputs, deadline = [], time.monotonic() + END_WITHIN_S
    with open_outputs(bootstrap_servers) as consumer:
        open_ends = {(each.topic, each.partition) for each in consumer.assignment()}
        _wait_until_settled(bootstrap_servers, consumer.assignment(), deadline)
        while open_ends:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(open_ends)} output partitions could not be read to their end")
            for message in read(consumer, 0.1):
                if message.error():
                    open_ends.discard((message.topic(), message.partition()))
                else:
                    outputs.append(output(message))
    return outputs


def _wait_until_settled(bootstrap_servers: str, partitions: list[TopicPartition], deadline: float) -> None:
    """Until no transaction is open: a committed one is marked as such a moment later, a dead worker's is aborted."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    ends = [
        partial(admin.list_offsets, dict.fromkeys(partitions, OffsetSpec.latest()), isolation_level=level)
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    ]
    while True:
        committed, written = ([future.result(10).offset for future in end().values()] for end in ends)
        if committed == written:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"a transaction on the output topics stayed open for {END_WITHIN_S:.0f} s")
        time.sleep(0.1)


def _partitions(consumer: Consumer) -> list[TopicPartition]:
    topics = [consumer.list_topics(name, timeout=10).topics[name] for name in (SCORES, DEAD_LETTERS)]
    return [TopicPartition(topic.topic, number, OFFSET_BEGINNING) for topic in topics for number in topic.partitions]
