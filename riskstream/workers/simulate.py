"""Where simulated payments go: to a topic at a rate, to a Parquet file; and their profiles to where workers read them.

The Kafka producer and the clock are given, so this module knows no client library.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from riskstream.models.offline import Log, write_log
from riskstream.models.simulation import SimulatedLog, SimulationConfig
from riskstream.models.simulation.labels import known_at
from riskstream.models.simulation.malformed import malformed_records
from riskstream.models.simulation.profiles import daily
from riskstream.schemas.history import profile_key
from riskstream.schemas.payment import Payment

BURST = 1_000  # at once, before the bar moves and delivery reports are taken
QUEUE_FULL_WAIT_S = 0.1
SHORTEST_SLEEP_S = 0.001
FLUSH_S = 60.0

Advance = Callable[[int], None]


class Message(NamedTuple):
    key: bytes | None
    value: bytes | None


class Producer(Protocol):
    """What is needed of a producer; confluent_kafka's is one. `produce` raises BufferError while its queue is full."""

    def produce(
        self, topic: str, *, key: bytes | None, value: bytes | None, on_delivery: Callable[[Any, Any], None]
    ) -> None: ...
    def poll(self, timeout: float) -> int: ...
    def flush(self, timeout: float) -> int: ...


@dataclass(frozen=True)
class Pace:
    """Messages a second, against a clock. None is as fast as they are taken."""

    rate: float | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        if self.rate is not None and self.rate <= 0:
            raise ValueError("a rate must be more than nought")

    def due(self, begin: float) -> int:
        """How many messages should have been sent by now."""
        return sys.maxsize if self.rate is None else int((self.clock() - begin) * self.rate) + 1

    def wait(self, begin: float, sent: int) -> None:
        """Sleep until the message after `sent` others is due; a moment at least, as rounding may say that it is."""
        if self.rate is not None:
            self.sleep(max(SHORTEST_SLEEP_S, begin + sent / self.rate - self.clock()))


@dataclass
class Sent:
    """How sending ended. What was not delivered may have arrived all the same."""

    sent: int = 0
    delivered: int = 0

    @property
    def undelivered(self) -> int:
        return self.sent - self.delivered


def messages(log: SimulatedLog, malformed_share: float = 0.0, seed: int = 0) -> list[Message]:
    """The log's events as records keyed by user, and among them malformed ones: so many per event of the log."""
    good = [Message(event.user_id.encode(), msgspec.json.encode(event)) for event in log.events]
    if not (count := round(len(good) * malformed_share)):
        return good
    bad = malformed_records(seed, count, [message.value for message in good if message.value])
    places = np.random.default_rng([seed, *b"places"]).integers(0, len(good) + 1, count)
    order = np.argsort(np.concatenate([np.arange(len(good)), places]), kind="stable")
    mixed = [*good, *(Message(record.key, record.value) for record in bad)]
    return [mixed[place] for place in order.tolist()]


def to_topic(producer: Producer, topic: str, records: Sequence[Message], pace: Pace, advance: Advance) -> Sent:
    """Send all records in order, and wait until the broker has them.

    Message k is due k/rate seconds after the first, however late earlier ones were: a stall is made up for in one
    burst, and the mean rate does not drift. `advance` is told how many more were sent.
    """
    result = Sent()

    def on_delivery(error: Any, _: Any) -> None:
        result.delivered += error is None

    begin = pace.clock()
    while result.sent < len(records):
        due = records[result.sent : result.sent + min(BURST, pace.due(begin) - result.sent)]
        for record in due:
            _produce(producer, topic, record, on_delivery)
            result.sent += 1
        advance(len(due))
        producer.poll(0)
        if not due:
            pace.wait(begin, result.sent)
    producer.flush(FLUSH_S)
    return result


def _produce(producer: Producer, topic: str, record: Message, on_delivery: Callable[[Any, Any], None]) -> None:
    """A full queue empties by itself: what cannot be delivered is given up after the producer's delivery timeout."""
    while True:
        try:
            return producer.produce(topic, key=record.key, value=record.value, on_delivery=on_delivery)
        except BufferError:
            producer.poll(QUEUE_FULL_WAIT_S)


def to_parquet(path: Path, log: SimulatedLog, config: SimulationConfig) -> None:
    """The log as one partition with offsets in its order, with the columns `label`, `known_at` and `fraud_kind`."""
    offsets = np.arange(len(log.events), dtype=np.int64)
    times = np.array([time or None for time in known_at(config, log).tolist()], dtype=object)
    labels = {"label": log.labels, "known_at": times, "fraud_kind": np.array(log.fraud_kinds, dtype=object)}
    try:
        write_log(path, Payment, [Log(log.events, np.zeros(len(offsets), np.int32), offsets, labels)])
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('Parquet needs the extra "train": pip install "riskstream[train]"') from error


def profiles_to_parquet(path: Path, log: SimulatedLog, days: int) -> int:
    """Every profile as it was written each day, with its `user_id`; answers their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = [(user, profile) for user, profile in log.profiles.items() for profile in daily(profile, days)]
    rows = [{"user_id": user} | msgspec.structs.asdict(profile) for user, profile in written]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return len(rows)


def encode_profiles(log: SimulatedLog) -> list[tuple[bytes, bytes]]:
    """Redis keys and values of the log's profiles, as another system would write them."""
    return [(profile_key(user.encode()), msgspec.json.encode(profile)) for user, profile in log.profiles.items()]


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Advance]:
    """A bar on the terminal; yields the function that moves it."""
    done = (MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), *done) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.update(task, advance=count)
