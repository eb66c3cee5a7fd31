"""From produce() to visible at read_committed: each event's time, at a steady rate that waits for nobody.

Sender and reader share this process, so there is one clock. The same is measured of the pass-through process in the
same run: what the worker adds is ours, the rest is the broker and the machine.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition
from numpy.typing import NDArray

from tests.bench.results import Label, Row
from tests.bench.rig import BenchError, Rig
from tests.bench.workload import Record, Workload
from tests.bench.world import World, topics_of

FIRSTS_RATE = 5_000
"""Of each user's first event, before all else: what is measured is of users who are in memory, or of such as never stay
there."""
WARM_EVENTS, WARM_RATE = 4_000, 500
"""Of each process before the first turn: a broker that has just started stands still now and then, 100 ms or more."""
SETTLE_S = 1.0
"""At the beginning of a turn: the sender has just connected."""
LOST_AFTER_S = 60.0
LONE_RATE = 2_000
"""Up to so many events a second, each is sent at once and by itself."""
WORKER = ("riskstream.workers", "worker")
FROM_REDIS = "worker, users from Redis"
PROCESSES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "passthrough": (("tests.bench.passthrough",), {}),
    "worker": (WORKER, {}),
    FROM_REDIS: (WORKER, {"HISTORY_CACHE_MB": "1"}),
}
"""The modules that run, and their settings."""
_ID = len('{"event_id":"')
"""Both what is sent and what comes out begin so."""


def event_id(value: bytes) -> bytes:
    return value[_ID : value.index(b'"', _ID)]


@dataclass
class Listener:
    """Notes when each event is seen on the output topic. A thread of its own, from `with` on."""

    rig: Rig
    seen: dict[bytes, float] = field(default_factory=dict)

    def __enter__(self) -> "Listener":
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _listen(self) -> None:
        topic = topics_of(self.rig.name)[1]
        consumer = Consumer(
            {
                "bootstrap.servers": self.rig.world.stack.bootstrap_servers,
                "group.id": "listener",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
            }
        )
        consumer.assign([TopicPartition(topic, number, end) for number, end in enumerate(self.rig.ends(topic))])
        consumer.poll(0.2)
        self._ready.set()
        while not self._stop.is_set():
            first = consumer.poll(0.1)
            if first is None:
                continue
            for message in [first, *consumer.consume(5_000, 0)]:
                if message.error() is None:
                    self.seen.setdefault(event_id(message.value() or b""), time.perf_counter())
        consumer.close()


@dataclass(frozen=True)
class Trip:
    """The sent events in order: when (seconds since the first), how long each took, how late the sender was."""

    began: float
    at_s: NDArray[np.float64]
    took_ms: NDArray[np.float64]
    late_ms: NDArray[np.float64]


def travel(rig: Rig, records: Sequence[Record], rate: float, during: Callable[[float], None] | None = None) -> Trip:
    """Send the records at `rate` and see each come out. `during` is told the time since the first at each pause."""
    with Listener(rig) as listener:
        sent, late = _send(rig, records, rate, during)
        deadline = time.perf_counter() + LOST_AFTER_S
        while len(listener.seen) < len(sent) and time.perf_counter() < deadline:
            time.sleep(0.05)
    if missing := len(sent) - len(listener.seen):
        raise BenchError(f"{rig.name}: {missing} of {len(sent)} events did not come out")
    first = next(iter(sent.values()))
    times = np.array([(at - first, 1_000 * (listener.seen[name] - at)) for name, at in sent.items()])
    return Trip(first, times[:, 0], times[:, 1], np.array(late))


def _send(
    rig: Rig, records: Sequence[Record], rate: float, during: Callable[[float], None] | None
) -> tuple[dict[bytes, float], list[float]]:
    """When each event was sent, by its id; and by how many milliseconds the sender was late."""
    producer = Producer(
        {
            "bootstrap.servers": rig.world.stack.bootstrap_servers,
            "enable.idempotence": True,
            # A request for each event would take the cores from what is measured.
            "linger.ms": 0 if rate <= LONE_RATE else 5,
        }
    )
    topic = topics_of(rig.name)[0]
    producer.list_topics(topic, timeout=10)
    sent, late = {}, []
    started = time.perf_counter() + 0.1
    for number, (partition, key, value) in enumerate(records):
        due = started + number / rate
        while (wait := due - time.perf_counter()) > 0:
            producer.poll(min(wait, 0.001))
            if during is not None:
                during(time.perf_counter() - started)
        now = sent[event_id(value)] = time.perf_counter()
        late.append(1_000 * (now - due))
        producer.produce(topic, value, key, partition)
    producer.flush(30)
    rig.fed.update(record.partition for record in records)
    return sent, late


@dataclass(frozen=True)
class Pace:
    """A latency case: `turns` times so many seconds for each process."""

    delivery: str
    rate: float
    seconds: float
    turns: int = 2

    @property
    def events(self) -> int:
        """Of one turn."""
        return int(self.rate * (SETTLE_S + self.seconds))

    @property
    def processes(self) -> list[str]:
        """At high rates, batches are large and a round trip to Redis is little beside them."""
        return [process for process in PROCESSES if process != FROM_REDIS or self.rate <= LONE_RATE]

    @property
    def needed(self) -> int:
        """Events of all turns."""
        return self.turns * self.events * len(self.processes)


def latencies(world: World, workload: Workload, paces: Sequence[Pace]) -> Iterator[Row]:
    """Worker and pass-through, side by side on topics of their own, by turns, at paces of one delivery mode."""
    settings = {"DELIVERY": paces[0].delivery}
    with ExitStack() as running:
        rigs = {}
        for number, (process, (command, more)) in enumerate(PROCESSES.items()):
            name = f"lat-{number}-{paces[0].delivery}".replace("_", "-")
            rig = running.enter_context(Rig(world, name, world.environment(name, {**settings, **more})))
            rig.store(workload)
            rig.start(command=command)
            rigs[process] = rig
        firsts, rest = _firsts(workload.records)
        stock = iter(rest)
        for rig in rigs.values():
            travel(rig, firsts, FIRSTS_RATE)
            travel(rig, list(islice(stock, WARM_EVENTS)), WARM_RATE)
        for pace in paces:
            yield from _by_turns({process: rigs[process] for process in pace.processes}, pace, stock)


def _firsts(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Each user's first event, and all the others."""
    known: set[bytes] = set()
    firsts: list[Record] = []
    rest: list[Record] = []
    for record in records:
        (rest if record.key in known else firsts).append(record)
        known.add(record.key)
    return firsts, rest


def _by_turns(rigs: Mapping[str, Rig], pace: Pace, stock: Iterator[Record]) -> Iterator[Row]:
    """All see the same moods of the machine, and none is always the first."""
    trips: dict[str, list[Trip]] = {process: [] for process in rigs}
    for turn in range(pace.turns):
        for process in list(rigs)[:: 1 if turn % 2 else -1]:
            records = list(islice(stock, pace.events))
            if len(records) < pace.events:
                raise BenchError(f"{pace}: too few events to send")
            trips[process].append(travel(rigs[process], records, pace.rate))
    for process, some in trips.items():
        of: dict[str, Label] = {"delivery": pace.delivery, "rate": round(pace.rate), "process": process}
        yield Row("latency", of, _found(some))


def _found(trips: Sequence[Trip]) -> dict[str, float]:
    settled = [trip.at_s >= SETTLE_S for trip in trips]
    took = np.concatenate([trip.took_ms[rows] for trip, rows in zip(trips, settled, strict=True)])
    late = np.concatenate([trip.late_ms[rows] for trip, rows in zip(trips, settled, strict=True)])
    p50, p99, p999 = np.percentile(took, [50, 99, 99.9]).tolist()
    sender = float(np.percentile(late, 99))
    return {"p50_ms": p50, "p99_ms": p99, "p99_9_ms": p999, "max_ms": float(took.max()), "sender_late_p99_ms": sender}
