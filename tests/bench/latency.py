"""From produce() to visible at read_committed: each event's time, at a steady rate that waits for nobody.

Sender and reader share this process, so there is one clock. The same is measured of the pass-through process in the
same run: what the worker adds is ours, the rest is the broker and the machine.
"""

import gc
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain, cycle, islice, permutations
from statistics import median

import numpy as np
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from numpy.typing import NDArray

from tests.bench.cpu import settle
from tests.bench.results import Label, Row
from tests.bench.rig import BenchError, Rig
from tests.bench.workload import Record, Workload
from tests.bench.world import World, topics_of

FIRSTS_RATE = 5_000
"""Of each user's first event, before all else: what is measured is of users who are in memory, or of such as never stay
there."""
WARM_EVENTS, WARM_RATE = 4_000, 500
"""Of each process before the first turn: a broker that has just started stands still now and then, 100 ms or more."""
LIVES = 2
"""Of each process."""
SETTLE_S = 1.0
"""At the beginning of a turn: the sender has just connected."""
LOST_AFTER_S = 60.0
LONE_RATE = 2_000
"""Up to so many events a second, each is sent at once and by itself."""
TICK_S = 0.001
"""Above, all that are due by then are sent together: a sender that never rests takes a core from what is measured."""
BOUT_EVENTS, MOST_AHEAD = 25_000, 12_000
"""When as many are sent as can be: one bout, and how many may be under way, which is three of the largest batches."""
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
    came: int = 0
    """So many so far, those included that came again."""
    _batches: list[tuple[float, list[Message]]] = field(default_factory=list)

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

    def seen(self) -> dict[bytes, float]:
        """When each event was first seen, by its id. Not for the time that is measured: it takes a while."""
        seen: dict[bytes, float] = {}
        for at, messages in self._batches:
            for message in messages:
                seen.setdefault(event_id(message.value() or b""), at)
        return seen

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
            taken = [first, *consumer.consume(5_000, 0)]
            at = time.perf_counter()
            messages = [message for message in taken if message.error() is None]
            self._batches.append((at, messages))
            self.came += len(messages)
        consumer.close()


@dataclass(frozen=True)
class Trip:
    """The sent events in order: when (seconds since the first), how long each took, how late the sender was."""

    began: float
    at_s: NDArray[np.float64]
    took_ms: NDArray[np.float64]
    late_ms: NDArray[np.float64]


def travel(
    rig: Rig,
    records: Sequence[Record],
    rate: float,
    during: Callable[[float], None] | None = None,
    most_ahead: float = math.inf,
) -> Trip:
    """Send the records at `rate` and see each come out.

    `during` is told the time since the first at each pause. No more than `most_ahead` are sent that have not come out.
    """
    names = [event_id(record.value) for record in records]
    with _no_collections(), Listener(rig) as listener:
        sent, due = _send(rig, records, rate, during, lambda: listener.came + most_ahead)
        deadline = time.perf_counter() + LOST_AFTER_S
        seen: dict[bytes, float] = {}
        while len(seen) < len(names) and time.perf_counter() < deadline:
            time.sleep(0.05)
            if listener.came >= len(names):
                seen = listener.seen()
    if missing := len(names) - len(seen):
        raise BenchError(f"{rig.name}: {missing} of {len(names)} events did not come out")
    out = np.array([seen[name] for name in names])
    return Trip(float(sent[0]), sent - sent[0], 1_000 * (out - sent), 1_000 * (sent - due))


@contextmanager
def _no_collections() -> Iterator[None]:
    """A million records lie in this process: to look through them takes half a second, and that is not measured."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _send(
    rig: Rig,
    records: Sequence[Record],
    rate: float,
    during: Callable[[float], None] | None,
    most: Callable[[], float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """When each event was sent, and when it should have been. At any time no more than `most()`."""
    lone = rate <= LONE_RATE
    producer = Producer(
        {
            "bootstrap.servers": rig.world.stack.bootstrap_servers,
            "enable.idempotence": True,
            "delivery.report.only.error": True,
            "queue.buffering.max.messages": 1_000_000,  # what is sent stays until `flush`, as nobody polls before
            "queue.buffering.max.kbytes": 1_000_000,
            # A request for each event would take the cores from what is measured.
            "linger.ms": 0 if lone else 5,
        }
    )
    topic = topics_of(rig.name)[0]
    producer.list_topics(topic, timeout=10)
    clock, produce = time.perf_counter, producer.produce
    sent: list[float] = []
    due = clock() + 0.1 + np.arange(len(records)) / rate
    for when, (partition, key, value) in zip(due.tolist(), records, strict=True):
        while (wait := when - clock()) > 0:
            time.sleep(wait if lone else max(wait, TICK_S))
            if during is not None:
                during(clock() - due[0])
        while len(sent) >= most():
            time.sleep(TICK_S)
        sent.append(clock())
        produce(topic, value, key, partition)
    producer.flush(30)
    rig.fed.update(record.partition for record in records)
    return np.array(sent), due


@dataclass(frozen=True)
class Pace:
    """A latency case: `turns` times so many seconds for each process, in all its lives."""

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


def most_sustained(world: World, workload: Workload, delivery: str) -> Row:
    """Events a second that come out of a worker when the sender sends as many as it can, all on this machine.

    The median of some bouts; one before them is not counted.
    """
    with _rig(world, "most", "worker", delivery) as rig:
        rig.store(workload)
        rig.start(command=WORKER)
        firsts, rest = _firsts(workload.records)
        settle()
        travel(rig, firsts, FIRSTS_RATE)
        bouts = [rest[start : start + BOUT_EVENTS] for start in range(0, len(rest) - BOUT_EVENTS + 1, BOUT_EVENTS)]
        trips = [travel(rig, bout, math.inf, most_ahead=MOST_AHEAD) for bout in bouts]
    return Row("latency, most", {"delivery": delivery}, {"events_per_s": median(map(_per_second, trips[1:]))})


def _per_second(trip: Trip) -> float:
    """From the first sent to the last seen."""
    return len(trip.at_s) / float((trip.at_s + trip.took_ms / 1_000).max())


def _rig(world: World, kind: str, process: str, delivery: str) -> Rig:
    name = f"{kind}-{delivery}".replace("_", "-")
    return Rig(world, name, world.environment(name, {"DELIVERY": delivery, **PROCESSES[process][1]}))


def latencies(
    world: World, workload: Workload, paces: Sequence[Pace], warm_events: int = WARM_EVENTS, lives: int = LIVES
) -> Iterator[Row]:
    """Worker and pass-through, side by side on topics of their own, by turns, at paces of one delivery mode.

    Each is started `lives` times: two processes of the same code differ by some hundredths, for as long as they live.
    """
    firsts, rest = _firsts(workload.records)
    stock = iter(rest)
    trips: dict[tuple[Pace, str], list[Trip]] = {(pace, process): [] for pace in paces for process in pace.processes}
    for life in range(lives):
        with ExitStack() as running:
            rigs = {}
            for number, process in enumerate(PROCESSES):
                rigs[process] = running.enter_context(_rig(world, f"lat-{life}-{number}", process, paces[0].delivery))
            for process, rig in rigs.items():
                rig.store(workload)
                rig.start(command=PROCESSES[process][0])
            settle()
            for rig in rigs.values():
                travel(rig, firsts, FIRSTS_RATE)
                travel(rig, list(islice(stock, warm_events)), WARM_RATE)
            for pace in paces:
                for process in _turns(pace.processes, pace.turns // lives):
                    trips[pace, process].append(travel(rigs[process], _next(stock, pace), pace.rate))
    for (pace, process), some in trips.items():
        of: dict[str, Label] = {"delivery": pace.delivery, "rate": round(pace.rate), "process": process}
        yield Row("latency", of, _found(some))


def _firsts(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Each user's first event, and all the others."""
    known: set[bytes] = set()
    firsts: list[Record] = []
    rest: list[Record] = []
    for record in records:
        (rest if record.key in known else firsts).append(record)
        known.add(record.key)
    return firsts, rest


def _turns(processes: Sequence[str], turns: int) -> Iterator[str]:
    """All see the same moods of the machine, and none is more often than another the first, or behind a certain one."""
    return chain.from_iterable(islice(cycle(permutations(processes)), turns))


def _next(stock: Iterator[Record], pace: Pace) -> list[Record]:
    """Of one turn."""
    records = list(islice(stock, pace.events))
    if len(records) < pace.events:
        raise BenchError(f"{pace}: too few events to send")
    return records


def _found(trips: Sequence[Trip]) -> dict[str, float]:
    settled = [trip.at_s >= SETTLE_S for trip in trips]
    took = np.concatenate([trip.took_ms[rows] for trip, rows in zip(trips, settled, strict=True)])
    late = np.concatenate([trip.late_ms[rows] for trip, rows in zip(trips, settled, strict=True)])
    p50, p99, p999 = np.percentile(took, [50, 99, 99.9]).tolist()
    sender = float(np.percentile(late, 99))
    return {"p50_ms": p50, "p99_ms": p99, "p99_9_ms": p999, "max_ms": float(took.max()), "sender_late_p99_ms": sender}
