"""Topics read from end to end with a plain client, each record reduced to what a judge has to know of it."""

import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import xxhash
from confluent_kafka import Consumer, Message, TopicPartition

# The clock, and the input's topic and timestamps, by which two runs over the same records differ.
APART = re.compile(rb'"scored_at":\d+,|"topic":"[^"]*",')
ORIGIN = "__connect.errors."

WATCHDOG_S = 15.0

Place = tuple[int, int]
"""Partition and offset of an input record."""


class Seen(NamedTuple):
    """An output record: where it lies, which input record it says it is of, and a digest of all but the clock."""

    topic: str
    partition: int
    offset: int
    of: Place
    digest: int
    scored: bool
    degraded: tuple[str, ...]
    vector: str


def read(bootstrap: str, topics: Sequence[tuple[str, int]], isolation: str = "read_committed") -> Iterator[Message]:
    """All records of all (topic, partitions), up to the ends that hold when the reading begins."""
    consumer = Consumer(_config(bootstrap, isolation))
    ends: dict[tuple[str, int], int] = {}
    try:
        for topic, partitions in topics:
            for number in range(partitions):
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)
                if high > low:
                    ends[topic, number] = high
        consumer.assign([TopicPartition(topic, number, 0) for topic, number in ends])
        deadline = time.monotonic() + 60
        while ends:
            for message in consumer.consume(5_000, 0.5):
                if message.error() is None:
                    deadline = time.monotonic() + 60
                    yield message
            for part in consumer.position([TopicPartition(*which) for which in ends]):
                if part.offset >= ends[part.topic, part.partition]:
                    del ends[part.topic, part.partition]
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing more to read below {ends} at {isolation}")
    finally:
        consumer.close()


def seen(message: Message) -> Seen:
    """What the judge keeps of an output record."""
    headers = cast(list[tuple[str, Any]], message.headers() or [])
    origin = {name: value for name, value in headers if name.startswith(ORIGIN)}
    key, value = message.key() or b"", message.value() or b""
    where = str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)
    if ORIGIN + "offset" in origin:
        of = int(origin[ORIGIN + "partition"]), int(origin[ORIGIN + "offset"])
        return Seen(*where, of, _digest(key, value, _told(headers)), False, (), "")
    score = json.loads(value)
    if score["user_id"].encode() != key:
        raise AssertionError(f"{where}: the key is not the user of the score")
    of = score["partition"], score["offset"]
    return Seen(
        *where, of, _digest(key, APART.sub(b"", value)), True, tuple(score.get("degraded", ())), score["vector"]
    )


def _told(headers: list[tuple[str, Any]]) -> bytes:
    apart = (ORIGIN + "topic", ORIGIN + "timestamp")
    return repr([header for header in headers if header[0] not in apart]).encode()


@dataclass
class Follower:
    """A downstream consumer: reads committed records while they come, and remembers what it was told."""

    bootstrap: str
    topics: Sequence[tuple[str, int]]
    count: int = 0
    told: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    """Per topic and partition: the last offset and a running digest over offsets and values."""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread:
            self._thread.join(30)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._read_while_it_comes()

    def _read_while_it_comes(self) -> None:
        """A client may stop to fetch after its broker was away; like any service with a watchdog, it is made anew.

        That hides nothing: `Progress` tells how long a reader stood still, and whether the group did.
        """
        consumer = Consumer(_config(self.bootstrap, "read_committed"))
        where = [(name, number) for name, count in self.topics for number in range(count)]
        consumer.assign([TopicPartition(*which, self.told.get(which, (-1, 0))[0] + 1) for which in where])
        quiet_since = time.monotonic()
        while not self._stopping.is_set() and time.monotonic() < quiet_since + WATCHDOG_S:
            for message in consumer.consume(1_000, 0.2):
                if message.error() is None:
                    running(self.told, message)
                    self.count += 1
                    quiet_since = time.monotonic()
        consumer.close()


def running(told: dict[tuple[str, int], tuple[int, int]], message: Message) -> None:
    """Add a record to the running digest of its partition."""
    which = str(message.topic()), int(message.partition() or 0)
    offset = int(message.offset() or 0)
    _, before = told.get(which, (-1, 0))
    told[which] = offset, _digest(b"%d %d" % (before, offset), message.value() or b"")


def _config(bootstrap: str, isolation: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "group.id": "judge",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": isolation,
        "fetch.wait.max.ms": 50,
        "fetch.error.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "log_level": 0,
    }


def _digest(*parts: bytes) -> int:
    return xxhash.xxh3_64_intdigest(b"\0".join(parts))
