"""The features of a whole log from its columns: a worker's vectors, bit for bit, in bounded memory.

`offline.replay` does the same from event objects. Here nothing is made per event: facts are rows of numbers, sorted by
user, measured some users at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskstream.models.domain import Domain
from riskstream.models.history import aggregate
from riskstream.models.offline import Vectors, by_user

CHUNK = 262_144
Ints = NDArray[np.int64]

# Called with how many more events are done.
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Facts:
    """A log as numbers, a position per event, in any order. `columns` are those of `Domain.columns`."""

    partition: NDArray[np.int32]
    offset: Ints
    user: NDArray[np.uint64]  # hashes
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.offset)

    def __getitem__(self, rows: NDArray[Any]) -> "Facts":
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Facts(self.partition[rows], self.offset[rows], self.user[rows], columns)

    @property
    def event_time(self) -> Ints:
        return self.columns["event_time"]


@dataclass(frozen=True)
class Snapshots:
    """Profiles as they were written over time, in order of (user, computed_at)."""

    user: NDArray[np.uint64]
    computed_at: Ints
    profiles: Sequence[Any]

    @classmethod
    def of(cls, user: NDArray[np.uint64], profiles: Sequence[Any]) -> "Snapshots":
        computed_at = np.array([profile.computed_at for profile in profiles], np.int64)
        order = np.lexsort((computed_at, user))
        return cls(user[order], computed_at[order], [profiles[k] for k in order.tolist()])

    def as_of(self, user: NDArray[np.uint64], event_time: Ints, max_age_ms: int) -> Ints:
        """For each event the newest snapshot of its user that was there at the event; -1 if none or too old."""
        count = len(self.user)
        order = np.lexsort(
            (
                np.repeat([0, 1], [count, len(user)]),  # a snapshot of the same moment was there
                np.concatenate([self.computed_at, event_time]),
                np.concatenate([self.user, user]),
            )
        )
        newest = np.maximum.accumulate(np.where(order < count, order, -1))
        found = np.full(len(user), -1, np.int64)
        is_event = order >= count
        found[order[is_event] - count] = newest[is_event]
        if count:
            known = (found >= 0) & (self.user[found] == user) & (event_time - self.computed_at[found] <= max_age_ms)
            found[~known] = -1
        return found

    def at(self, places: Ints) -> list[Any]:
        """The profiles at these positions, None for -1."""
        return [self.profiles[k] if k >= 0 else None for k in places.tolist()]


NO_SNAPSHOTS = Snapshots(np.empty(0, np.uint64), np.empty(0, np.int64), [])


def vectors(
    domain: Domain, facts: Facts, snapshots: Snapshots = NO_SNAPSHOTS, advance: Advance = lambda _: None
) -> Vectors:
    """The vectors of a complete log, and of each repeat the position of its original, -1 for what is new."""
    found = snapshots.as_of(facts.user, facts.event_time, domain.profile_max_age_ms)
    features = np.empty((len(facts), len(domain.features.rows)), np.float32)
    original = np.empty(len(facts), np.int64)
    for rows, first in users_together(facts):
        part = facts[rows]
        measured = measure(domain, part, first, snapshots.at(found[rows]))
        features[rows] = measured.features
        original[rows] = np.where(measured.original < 0, -1, rows[measured.original])
        advance(len(rows))
    return Vectors(features, original)


def measure(domain: Domain, facts: Facts, first: Ints, profiles: Sequence[Any]) -> Vectors:
    """The vectors of facts that lie user by user in offset order; `first` is where the user of each begins."""
    rows = domain.facts(facts.columns, facts.offset)
    aggregates = aggregate(domain.features.spec, rows, first, np.arange(len(facts)))
    known = domain.profiles(profiles)
    return Vectors(domain.features.assemble(facts.columns, aggregates.values, known), aggregates.original)


def users_together(facts: Facts, size: int = CHUNK) -> Iterator[tuple[Ints, Ints]]:
    """Positions of about `size` events at a time, user by user in offset order, no user cut in two; and the firsts."""
    order, first = by_user(facts.user, facts.partition, facts.offset)
    begin = 0
    while begin < len(order):
        end = begin + size
        end = _end_of_user(first, end) if end < len(order) else len(order)
        yield order[begin:end], first[begin:end] - begin
        begin = end


def _end_of_user(first: Ints, row: int) -> int:
    """The first row, not before `row`, at which another user begins."""
    return int(np.searchsorted(first, first[row - 1], side="right"))
