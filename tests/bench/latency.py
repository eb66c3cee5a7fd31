"""From produce() to visible at read_committed: each event's time, at a steady rate that waits for nobody.

Sender and reader share this process, so there is one clock. The same is measured of the pass-through process in the
same run: what the worker adds is ours, the rest is the broker and the machine.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition
from numpy.typing import NDArray

from tests.bench.results import Label, Row
from tests.bench.rig import BenchError, Rig
from tests.bench.workload import Record, Workload
from tests.bench.world import World, topics_of

WARM_S = 2.0
LOST_AFTER_S = 60.0
PASSTHROUGH = ("tests.bench.passthrough",)
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

    def found(self) -> dict[str, float]:
        p50, p99, p999 = np.percentile(self.took_ms, [50, 99, 99.9]).tolist()
        most, late = float(self.took_ms.max()), float(np.percentile(self.late_ms, 99))
        return {"p50_ms": p50, "p99_ms": p99, "p99_9_ms": p999, "max_ms": most, "sender_late_p99_ms": late}


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
        {"bootstrap.servers": rig.world.stack.bootstrap_servers, "linger.ms": 0, "enable.idempotence": True}
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
    """A latency case."""

    delivery: str
    rate: float
    seconds: float

    @property
    def events(self) -> int:
        return int(self.rate * (WARM_S + self.seconds))


def latencies(world: World, workload: Workload, paces: Sequence[Pace], process: str) -> list[Row]:
    """The paces one after the other on one process, all of one delivery mode. `process`: worker or passthrough."""
    name = f"lat-{process}-{paces[0].delivery}".replace("_", "-")
    command = PASSTHROUGH if process == "passthrough" else ("riskstream.workers", "worker")
    rows, begin = [], 0
    with Rig(world, name, world.environment(name, {"DELIVERY": paces[0].delivery})) as rig:
        rig.store(workload)
        rig.start(process, command)
        for pace in paces:
            records = workload.records[begin : begin + pace.events]
            begin += pace.events
            if len(records) < pace.events:
                raise BenchError(f"{pace}: only {len(records)} events left to send")
            _warm(rig, records[: int(pace.rate * WARM_S)], pace.rate)
            trip = travel(rig, records[int(pace.rate * WARM_S) :], pace.rate)
            of: dict[str, Label] = {"delivery": pace.delivery, "rate": round(pace.rate), "process": process}
            rows.append(Row("latency", of, trip.found()))
    return rows


def _warm(rig: Rig, records: Sequence[Record], rate: float) -> None:
    """Until the process has scored these: it is started, its caches are filled."""
    travel(rig, records, rate)
