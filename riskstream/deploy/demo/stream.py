"""Sending at a pace, and watching the answers become visible. One thread: nothing here waits for anything else."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from confluent_kafka import Consumer, KafkaError, Message, Producer

from riskstream.deploy.demo.count import SCORED, Content, Place
from riskstream.deploy.demo.outputs import output, read
from riskstream.deploy.demo.traffic import Record
from riskstream.deploy.demo.workers import Workers

CHUNK = 1_000  # records sent before answers are looked at again
LOOK_S = 0.002
SHOW_EVERY_S = 0.05
PATIENCE_S = 30.0


class Stalled(Exception):
    """No answer became visible for a long time, though some are missing."""


class Sender:
    """Sends records, and keeps what the broker's acknowledgements say of each."""

    def __init__(self, producer: Producer, topic: str, leads_to: dict[Place, Content]) -> None:
        """`leads_to` is filled: for the place of each acknowledged record, what its answer must say."""
        self._producer = producer
        self._topic = topic
        self.sent = 0
        self._leads_to = leads_to
        self.created_ms: dict[Place, int] = {}

    def send(self, records: Sequence[Record]) -> int:
        """How many of them were taken: fewer than given while the producer's queue is full."""
        taken = 0
        for key, value, leads_to in records:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=partial(self._delivered, leads_to))
            except BufferError:
                break
            taken += 1
        self._producer.poll(0)
        self.sent += taken
        return taken

    def finish(self) -> int:
        """How many records the broker never acknowledged."""
        self._producer.flush(PATIENCE_S)
        return self.sent - len(self._leads_to)

    def _delivered(self, leads_to: Content, error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if error is None and partition is not None and offset is not None:
            self._leads_to[partition, offset] = leads_to
            self.created_ms[partition, offset] = message.timestamp()[1]


class Watch:
    """The moment at which each answer became visible to a reader of committed records."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.scores_ms: dict[Place, float] = {}
        self.dead_letters_ms: dict[Place, float] = {}

    @property
    def answered(self) -> int:
        """Records that have an answer; a second one does not count."""
        return len(self.scores_ms) + len(self.dead_letters_ms)

    def look(self) -> bool:
        """Whether answers came into view."""
        messages = read(self._consumer, LOOK_S)
        now_ms = time.time() * 1000
        before = self.answered
        for message in messages:
            if not message.error():
                answer = output(message).answer
                seen = self.scores_ms if answer.content.says == SCORED else self.dead_letters_ms
                if answer.origin:
                    seen.setdefault(answer.origin, now_ms)
        return self.answered > before


@dataclass(frozen=True)
class Phase:
    """How one part of the stream went. Its seconds are from the first record sent to the last answer visible."""

    records: int
    seconds: float
    worker_cpu_seconds: float
    latencies_ms: list[float]  # from produce to visible score

    @property
    def per_second(self) -> float:
        return self.records / self.seconds

    @property
    def worker_cpu_us(self) -> float:
        """For one event."""
        return self.worker_cpu_seconds / self.records * 1e6


class Stream:
    """Sends and watches, in phases. `show` is called now and then, for the person who waits."""

    def __init__(self, sender: Sender, watch: Watch, workers: Workers, show: Callable[[Watch], None]) -> None:
        self._sender = sender
        self._watch = watch
        self._workers = workers
        self._show = show

    def run(self, records: Sequence[Record], rate: float | None = None) -> Phase:
        """Send all at `rate` a second, None is at once, and wait until each has an answer.

        Raises Stalled, or WorkerError when a worker ends meanwhile.
        """
        already, cpu = set(self._watch.scores_ms), self._workers.cpu_seconds()
        begin = time.monotonic()
        end = self._until_answered(records, begin, rate)
        cpu = self._workers.cpu_seconds() - cpu
        self._sender.finish()
        return Phase(len(records), end - begin, cpu, self._latencies_ms(already))

    def _until_answered(self, records: Sequence[Record], begin: float, rate: float | None) -> float:
        """The moment at which the last answer came into view."""
        goal, sent = self._watch.answered + len(records), 0
        last = shown = now = begin
        while self._watch.answered < goal:
            due = len(records) if rate is None else int((now - begin) * rate) + 1
            taken = self._sender.send(records[sent : min(due, sent + CHUNK)])
            sent += taken
            news = self._watch.look()
            now = time.monotonic()
            last = now if news or taken else last
            if now - last > PATIENCE_S:
                raise Stalled(
                    f"{goal - self._watch.answered} answers are missing, and none came for {PATIENCE_S:.0f} s"
                )
            if now - shown > SHOW_EVERY_S:
                self._workers.check()
                self._show(self._watch)
                shown = now
        self._show(self._watch)
        return last

    def _latencies_ms(self, already: set[Place]) -> list[float]:
        created = self._sender.created_ms
        seen = self._watch.scores_ms.items()
        return [seen_ms - created[place] for place, seen_ms in seen if place not in already and place in created]
