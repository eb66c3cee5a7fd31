"""Simulated payments whose users have a past of a chosen length.

The simulator's customers are unequally busy. For `uniform` users the payments of a customer are dealt, like cards, to
as many users as they suffice for: each has the habits of the customer and exactly as many payments as the others. For
`hot` users they are left as they are: a few are very busy, and have long pasts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.domain import Domain
from riskstream.models.simulation import SimulatedLog, SimulationConfig, simulate
from riskstream.schemas.partitioner import partitions_of
from riskstream.schemas.payment import Payment, PaymentProfile

Users = Literal["uniform", "hot"]
PARTITIONS = 6
DEALT_SHARE = 0.8
"""Of simulated payments that find a user, at least."""
RATE = 2_000
"""Events a second, by their own time: a backlog that a worker takes in seconds came in half a minute, not in days."""


class Record(NamedTuple):
    """What is sent."""

    partition: int
    key: bytes
    value: bytes


@dataclass(frozen=True)
class Shape:
    """How much of what: `events` to score, by users whose pasts are about `facts` long in the middle of the run."""

    events: int
    facts: int
    users: Users = "uniform"
    seed: int = 5

    @property
    def live(self) -> int:
        """Events of a user that are to be scored."""
        return int(np.clip(round(0.3 * self.facts), 4, 30))

    @property
    def past(self) -> int:
        return max(0, self.facts - self.live // 2)


@dataclass(frozen=True)
class Workload:
    """`records` in the order of their event times; `past` facts by user, oldest first, with offsets below zero."""

    records: list[Record]
    past: Mapping[str, NDArray[np.int64]]
    profiles: Mapping[str, PaymentProfile]

    @property
    def users(self) -> list[str]:
        return list(self.past)


def make_workload(shape: Shape, domain: Domain) -> Workload:
    """The same for the same shape."""
    each = shape.past + shape.live
    users = -(-shape.events // shape.live)
    needed = users * each if shape.users == "hot" else int(users * each / DEALT_SHARE)
    customers = max(20, users if shape.users == "hot" else users // 4)
    log = simulate(SimulationConfig(seed=shape.seed, users=customers, events=needed, days=30))
    streams = dict(_as_they_are(log) if shape.users == "hot" else _dealt(log, each))
    share = shape.past / each
    live: list[Payment] = []
    past: dict[str, NDArray[np.int64]] = {}
    for user, events in streams.items():
        cut = round(len(events) * share)
        past[user] = _facts(domain, events[:cut])
        live += events[cut:]
    live = sorted(live, key=lambda event: event.event_time)[: shape.events]
    if len(live) < shape.events:
        raise ValueError(f"{shape}: the simulation gave {len(live)} events to score")
    profiles = {user: log.profiles[source] for user in streams if (source := user.split(":")[0]) in log.profiles}
    return Workload(_records(_dense(live)), past, profiles)


def crowded(base: Workload, copies: int, events: int) -> Workload:
    """`copies` times as many users, each with the past of one of the base's; `events` of users drawn at random."""
    past = {f"{copy}.{user}": facts for copy in range(copies) for user, facts in base.past.items()}
    rng = np.random.default_rng(7)
    decode = msgspec.json.Decoder(Payment).decode
    drawn: list[Payment] = []
    profiles: dict[str, PaymentProfile] = {}
    for copy, row in zip(rng.integers(copies, size=events), rng.integers(len(base.records), size=events), strict=True):
        event = decode(base.records[row].value)
        user, number = f"{copy}.{event.user_id}", len(drawn)
        if event.user_id in base.profiles:
            profiles[user] = base.profiles[event.user_id]
        drawn.append(msgspec.structs.replace(event, user_id=user, event_id=f"{event.event_id}-{number}"))
    return Workload(_records(drawn), past, profiles)


def _dense(events: Sequence[Payment]) -> Iterator[Payment]:
    """The same order, at RATE, from the last one's time on: after everybody's past."""
    begin = events[-1].event_time
    for row, event in enumerate(events):
        yield msgspec.structs.replace(event, event_time=begin + row * 1_000 // RATE)


def _as_they_are(log: SimulatedLog) -> Iterator[tuple[str, list[Payment]]]:
    by_user: dict[str, list[Payment]] = defaultdict(list)
    for event in log.events:
        by_user[event.user_id].append(event)
    yield from by_user.items()


def _dealt(log: SimulatedLog, each: int) -> Iterator[tuple[str, list[Payment]]]:
    for customer, events in _as_they_are(log):
        players = len(events) // each
        # Spread over the whole time, so that all users live in the same days.
        spread = [events[number] for number in np.linspace(0, len(events) - 1, each * players).astype(int).tolist()]
        for player in range(players):
            user = f"{customer}:{player}"
            yield user, [msgspec.structs.replace(event, user_id=user) for event in spread[player::players]]


def _facts(domain: Domain, events: Sequence[Payment]) -> NDArray[np.int64]:
    return domain.facts(domain.columns(events), np.arange(-len(events), 0))


def _records(payments: Iterable[Payment]) -> list[Record]:
    events = list(payments)
    keys = [event.user_id.encode() for event in events]
    places = partitions_of(keys, PARTITIONS).tolist()
    values = map(msgspec.json.encode, events)
    return [Record(*record) for record in zip(places, keys, values, strict=True)]
