"""Who stood still, and for how long: the group, as its committed offsets tell, or only a reader of its outputs."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

LOOK_EVERY_S = 0.5
WORTH_TELLING_S = 15.0


class Look(NamedTuple):
    """At a time: input offsets that the group has committed, input offsets there are, outputs that a reader has."""

    at: float
    committed: int
    fed: int
    read: int


class Standstill(NamedTuple):
    """Nothing came for so long, although there was something to do, or to read."""

    who: str
    began: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.who} stood still for {self.seconds:.1f} s, {self.began:.0f} s after the start"


@dataclass
class Progress:
    """Looks twice a second, in a thread and with a client of its own. While no broker answers, nobody can tell."""

    bootstrap: str
    group: str
    topic: str
    partitions: int
    outputs_read: Callable[[], int]
    looks: list[Look] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread:
            self._thread.join(30)

    @property
    def lag(self) -> int:
        """Input that was not committed at the last look."""
        return self.looks[-1].fed - self.looks[-1].committed if self.looks else 0

    def standstills(self) -> list[Standstill]:
        return standstills(self.looks)

    def _run(self) -> None:
        isolation = {"isolation.level": "read_uncommitted", "log_level": 0, "reconnect.backoff.max.ms": 1_000}
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group, **isolation})
        parts = [TopicPartition(self.topic, number) for number in range(self.partitions)]
        begin = time.monotonic()
        while not self._stopping.wait(LOOK_EVERY_S):
            with suppress(KafkaException):
                committed = sum(max(0, part.offset) for part in consumer.committed(parts, timeout=5))
                fed = sum(consumer.get_watermark_offsets(part, timeout=5)[1] for part in parts)
                self.looks.append(Look(time.monotonic() - begin, committed, fed, self.outputs_read()))
        consumer.close()


def standstills(looks: list[Look]) -> list[Standstill]:
    """Of the group while it had a lag; of the reader while it lacked outputs that were committed by then."""
    found = _still("the group", looks, lambda look: look.committed, lambda look: look.fed)
    return found + _still("the reader", looks, lambda look: look.read, lambda look: look.committed)


def _still(who: str, looks: list[Look], done: Callable[[Look], int], due: Callable[[Look], int]) -> list[Standstill]:
    found: dict[float, Standstill] = {}
    since = looks[0] if looks else None
    for look in looks:
        if since is None or done(look) > done(since) or done(since) >= due(since):
            since = look
        elif look.at - since.at >= WORTH_TELLING_S:
            found[since.at] = Standstill(who, since.at, look.at - since.at)
    return list(found.values())
