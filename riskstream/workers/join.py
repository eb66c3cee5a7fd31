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
from riskstream.workers.working_set import Gathered, Partition, WorkingSet

HISTORY_PARTIAL, HISTORY_UNAVAILABLE, PROFILE_STALE, PROFILE_UNAVAILABLE, PROFILE_INVALID = (
    np.uint8(1 << bit) for bit in range(len(DEGRADED))
)
"""Bits of a row's `degraded`, in the order of DEGRADED."""


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
        columns = self.domain.columns(decoded.events)
        users = [event.user_id for event in decoded.events]
        event_time = columns["event_time"]
        self._note_since(numbers, event_time)
        stored = self._read(numbers, users)
        profiles, degraded = self._profiles(users, event_time, stored)
        gathered = self.working_set.gather(numbers, users, self.domain.facts(columns, offsets))
        degraded |= np.where(gathered.known, np.uint8(0), HISTORY_UNAVAILABLE)
        degraded |= np.where(self._is_partial(numbers, event_time), HISTORY_PARTIAL, np.uint8(0))
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

    def _read(self, numbers: Sequence[int], users: Sequence[str]) -> Mapping[str, bytes | None] | None:
        """Loads missing histories; answers the stored profile of each user, or None while Redis is down."""
        partitions = self.working_set.partitions
        by_partition: dict[int, list[str]] = {}
        for number, user in zip(numbers, users, strict=True):
            by_partition.setdefault(number, []).append(user)
        missing = {number: self.working_set.missing(partitions[number], rows) for number, rows in by_partition.items()}
        reads = {number: Read(partitions[number].keys, rows) for number, rows in missing.items() if rows}
        writes = self._writes(list(partitions.values())) if self._is_due() else {}
        distinct = list(dict.fromkeys(users))
        self._count(distinct, reads)
        try:
            reply = self.store.exchange(list(writes.values()), list(reads.values()), distinct)
        except Unavailable:
            if not self.degrade:
                raise
            return None
        if writes:
            self._written_at = self.clock()
        self._believe_again()
        self._settle(writes, reply)
        self._load(reads, reply)
        return dict(zip(distinct, reply.profiles, strict=True))

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
                self.working_set.rewrite(partition, write)
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
        partitions = self.working_set.partitions
        since = np.array([partitions[number].since for number in numbers], np.int64)
        horizon = self.domain.features.spec.horizon_ms
        partial: NDArray[np.bool_] = (since != COMPLETE) & (event_time - horizon < since)
        return partial

    def _profiles(
        self, users: Sequence[str], event_time: NDArray[np.int64], stored: Mapping[str, bytes | None] | None
    ) -> tuple[list[Any], NDArray[np.uint8]]:
        degraded = np.zeros(len(users), np.uint8)
        if stored is None:
            degraded |= PROFILE_UNAVAILABLE
            return [None] * len(users), degraded
        known = {user: self._profile(raw) for user, raw in stored.items()}
        profiles: list[Any] = []
        for row, user in enumerate(users):
            profile = known[user]
            if profile is PROFILE_INVALID:
                degraded[row] = PROFILE_INVALID
                profile = None
            elif profile is not None and event_time[row] - profile.computed_at > self.profile_max_age_ms:
                degraded[row] = PROFILE_STALE
                profile = None
            profiles.append(profile)
        return profiles, degraded

    def _profile(self, raw: bytes | None) -> Any:
        if raw is None:
            return None
        try:
            return self._decode_profile(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return PROFILE_INVALID

    def _count(self, distinct: Sequence[str], reads: Mapping[int, Read]) -> None:
        misses = sum(len(read.users) for read in reads.values())
        self.metrics.history_cache_misses_total.inc(misses)
        self.metrics.history_cache_hits_total.inc(max(0, len(distinct) - misses))
