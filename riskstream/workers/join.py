"""The join: what is known of each event's user, from memory and, in one round trip, from Redis."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.domain import Domain
from riskstream.schemas.decode import Decoded
from riskstream.schemas.history import COMPLETE, UNKNOWN, CorruptHistory
from riskstream.schemas.score import DEGRADED
from riskstream.workers.errors import StateLost, Unavailable
from riskstream.workers.history_store import GONE, HistoryStore, Read, Reply, Write
from riskstream.workers.metrics import Metrics
from riskstream.workers.working_set import NOBODY, Gathered, Partition, WorkingSet

HISTORY_PARTIAL, HISTORY_UNAVAILABLE, PROFILE_STALE, PROFILE_UNAVAILABLE, PROFILE_INVALID = (
    np.uint8(1 << bit) for bit in range(len(DEGRADED))
)
"""Bits of a row's `degraded`, in the order of DEGRADED."""

NEVER_STALE = 1 << 62
"""In place of the time of a profile that is not there."""


class Joined(NamedTuple):
    """Columns of the accepted events with their users' histories and profiles. `degraded`: uint8[n], bits as above."""

    columns: Mapping[str, NDArray[Any]]
    gathered: Gathered
    profile: Mapping[str, NDArray[Any]]
    degraded: NDArray[np.uint8]


@dataclass(slots=True)
class Join:
    """Reads what is missing and, riding along in the same round trip, writes behind what was committed."""

    domain: Domain
    working_set: WorkingSet
    store: HistoryStore
    metrics: Metrics
    profile_max_age_ms: int
    write_behind_ms: int
    write_behind_users: int
    degrade: bool
    clock: Callable[[], float] = time.monotonic

    _decode_profile: Callable[[bytes], Any] = field(init=False)
    _written_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._decode_profile = msgspec.json.Decoder(self.domain.profile).decode
        self._written_at = self.clock()

    def __call__(self, numbers: Sequence[int], offsets: NDArray[np.int64], decoded: Decoded) -> Joined:
        """Rows are the accepted events; `numbers` their partitions, `offsets` int64[n].

        Raises StateLost when Redis does not hold what it should; Unavailable when it does not answer and scoring
        without it was not chosen.
        """
        columns = decoded.columns
        users = [user.decode() for user in decoded.users]
        event_time = columns["event_time"]
        self._note_since(numbers, event_time)
        seats, stored = self._read(numbers, users)
        profiles, degraded = self._profiles(users, event_time, stored)
        gathered = self.working_set.gather(seats, numbers, users, self.domain.facts(columns, offsets))
        degraded[~gathered.known] |= HISTORY_UNAVAILABLE
        degraded[self._is_partial(numbers, event_time)] |= HISTORY_PARTIAL
        return Joined(columns, gathered, self.domain.profiles(profiles, event_time), degraded)

    def flush(self, partitions: Sequence[Partition]) -> None:
        """Write behind to the end. Raises StateLost, Unavailable."""
        while writes := self._writes(partitions):
            self._settle(writes, self.store.exchange(list(writes.values()), [], []))

    def flush_if_due(self) -> None:
        """For quiet times, when no batch takes the writes along."""
        if self._is_due() and not self.store.down:
            try:
                self.flush(list(self.working_set.partitions.values()))
            except Unavailable:
                if not self.degrade:
                    raise
            self._written_at = self.clock()

    def _is_due(self) -> bool:
        partitions = self.working_set.partitions.values()
        return (self.clock() - self._written_at) * 1000 >= self.write_behind_ms or sum(
            len(partition.pending) for partition in partitions
        ) >= self.write_behind_users

    def _writes(self, partitions: Sequence[Partition]) -> dict[int, Write]:
        found = ((partition.number, self.working_set.write(partition)) for partition in partitions)
        return {number: write for number, write in found if write is not None}

    def _read(
        self, numbers: Sequence[int], users: Sequence[str]
    ) -> tuple[NDArray[np.int64], Mapping[str, bytes | None] | None]:
        """Loads missing histories; answers each row's seat, and the stored profile of each user or None while Redis is
        down."""
        seats = self.working_set.find(numbers, users)
        missing = np.flatnonzero(seats == NOBODY).tolist()
        reads = self._reads([numbers[row] for row in missing], [users[row] for row in missing])
        writes = self._writes(list(self.working_set.partitions.values())) if self._is_due() else {}
        distinct = list(dict.fromkeys(users))
        self._count(distinct, reads)
        try:
            reply = self.store.exchange(list(writes.values()), list(reads.values()), distinct)
        except Unavailable:
            if not self.degrade:
                raise
            return seats, None
        if writes:
            self._written_at = self.clock()
        self._believe_again()
        self._settle(writes, reply)
        self._load(reads, reply)
        if missing:
            seats[missing] = self.working_set.find([numbers[row] for row in missing], [users[row] for row in missing])
        return seats, dict(zip(distinct, reply.profiles, strict=True))

    def _reads(self, numbers: Sequence[int], users: Sequence[str]) -> dict[int, Read]:
        by_partition: dict[int, dict[str, None]] = {}
        for number, user in zip(numbers, users, strict=True):
            by_partition.setdefault(number, {})[user] = None
        partitions = self.working_set.partitions
        return {number: Read(partitions[number].keys, list(some)) for number, some in by_partition.items()}

    def _believe_again(self) -> None:
        behind = [number for number, partition in self.working_set.partitions.items() if not partition.whole]
        if behind:
            raise StateLost(behind, "redis_back")

    def _settle(self, writes: Mapping[int, Write], reply: Reply) -> None:
        lost = []
        for (number, write), mark in zip(writes.items(), reply.marks, strict=True):
            partition = self.working_set.partitions[number]
            if mark == write.applied:
                self.working_set.settle(partition, write)
            elif mark == GONE:
                self.working_set.rewrite(partition)
            else:
                lost.append(number)
        if lost:
            raise StateLost(lost, "mark_differs")

    def _load(self, reads: Mapping[int, Read], reply: Reply) -> None:
        for (number, read), (mark, values) in zip(reads.items(), reply.histories, strict=True):
            partition = self.working_set.partitions[number]
            if mark != partition.mark:
                raise StateLost([number], "mark_differs")
            try:
                self.working_set.load(partition, read.users, values)
            except CorruptHistory as error:
                raise StateLost([number], "corrupt") from error

    def _note_since(self, numbers: Sequence[int], event_time: NDArray[np.int64]) -> None:
        partitions = self.working_set.partitions
        unknown = {number for number in set(numbers) if partitions[number].since == UNKNOWN}
        for number in unknown:
            partitions[number].since = int(event_time[numbers.index(number)])

    def _is_partial(self, numbers: Sequence[int], event_time: NDArray[np.int64]) -> NDArray[np.bool_]:
        since_of = {number: partition.since for number, partition in self.working_set.partitions.items()}
        if set(since_of.values()) <= {COMPLETE}:
            return np.zeros(len(numbers), np.bool_)
        since = np.array([since_of[number] for number in numbers], np.int64)
        horizon = self.domain.features.spec.horizon_ms
        partial: NDArray[np.bool_] = (since != COMPLETE) & (event_time - horizon < since)
        return partial

    def _profiles(
        self, users: Sequence[str], event_time: NDArray[np.int64], stored: Mapping[str, bytes | None] | None
    ) -> tuple[list[Any], NDArray[np.uint8]]:
        if stored is None:
            return [None] * len(users), np.full(len(users), PROFILE_UNAVAILABLE)
        degraded = np.zeros(len(users), np.uint8)
        known, broken = self._decoded(stored)
        profiles = [known[user] for user in users]
        computed_at = [NEVER_STALE if profile is None else profile.computed_at for profile in profiles]
        for row in np.flatnonzero(event_time - np.array(computed_at, np.int64) > self.profile_max_age_ms).tolist():
            degraded[row], profiles[row] = PROFILE_STALE, None
        if broken:
            degraded[[user in broken for user in users]] = PROFILE_INVALID
        return profiles, degraded

    def _decoded(self, stored: Mapping[str, bytes | None]) -> tuple[dict[str, Any], set[str]]:
        """Each user's profile, None for those who have none; and those whose profile is broken."""
        decode, known, broken = self._decode_profile, dict[str, Any](), set[str]()
        for user, raw in stored.items():
            try:
                known[user] = None if raw is None else decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                known[user] = None
                broken.add(user)
        return known, broken

    def _count(self, distinct: Sequence[str], reads: Mapping[int, Read]) -> None:
        misses = sum(len(read.users) for read in reads.values())
        self.metrics.history_cache_misses_total.inc(misses)
        self.metrics.history_cache_hits_total.inc(max(0, len(distinct) - misses))
