"""The join: what is known of each event's user, from memory and, where it is not, from Redis in one round trip."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.domain import Domain
from riskstream.schemas.decode import Decoded
from riskstream.schemas.history import COMPLETE, UNKNOWN, CorruptHistory
from riskstream.schemas.score import HISTORY_PARTIAL, HISTORY_UNAVAILABLE
from riskstream.schemas.texts import Texts
from riskstream.workers.errors import StateLost, Unavailable
from riskstream.workers.history_store import GONE, HistoryStore, Read, Reply, Write
from riskstream.workers.metrics import Metrics
from riskstream.workers.profiles import Profiles
from riskstream.workers.user_index import NOBODY
from riskstream.workers.working_set import Gathered, Partition, WorkingSet

Ints = NDArray[np.int64]

_NOTHING = np.empty(0, np.int64)


class Joined(msgspec.Struct, frozen=True):
    """Columns of the accepted events with their users' histories and profiles. `degraded`: uint8[n], bits as in
    schemas.score; `misses`: how many events' users were not in memory."""

    columns: Mapping[str, NDArray[Any]]
    gathered: Gathered
    profile: Mapping[str, NDArray[Any]]
    degraded: NDArray[np.uint8]
    misses: int


@dataclass(slots=True)
class Join:
    """Reads what is missing in one round trip, and writes behind what was committed: between batches, so that no answer
    waits for it, and Redis does it while the next batch goes on."""

    domain: Domain
    working_set: WorkingSet
    store: HistoryStore
    profiles: Profiles
    metrics: Metrics
    write_behind_ms: int
    write_behind_users: int
    degrade: bool
    commit: Callable[[dict[int, int]], None] | None = None
    """Where batches are absorbed that are not committed yet. Raises OutcomeUnclear, Unavailable."""
    clock: Callable[[], float] = time.monotonic

    _written_at: float = field(init=False)
    _begun: Mapping[int, Write] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._written_at = self.clock()

    def __call__(self, numbers: Ints, offsets: Ints, decoded: Decoded) -> Joined:
        """Rows are the accepted events; `numbers` are their partitions.

        Raises StateLost when Redis does not hold what it should; Unavailable when it does not answer and scoring
        without it was not chosen.
        """
        columns, users = decoded.columns, decoded.users
        event_time = columns["event_time"]
        partial = self._note_since(numbers, event_time)
        self._commit_firsts()
        seats = self.working_set.find(numbers, users)
        misses, answered = self.read(seats, numbers, users)
        unread = _NOTHING if answered else (seats == NOBODY).nonzero()[0]
        # While Redis does not answer, what is kept may be outdated.
        profile, degraded = (
            self.profiles.joined(seats, event_time) if answered else self.profiles.unavailable(len(seats))
        )
        gathered = self.working_set.gather(seats, unread, numbers, users, self.domain.facts(columns, offsets))
        if len(unread):
            degraded[unread] |= HISTORY_UNAVAILABLE
        if partial:
            degraded[self._is_partial(numbers, event_time)] |= HISTORY_PARTIAL
        return Joined(columns, gathered, profile, degraded, misses)

    def read(self, seats: Ints, numbers: Ints, users: Texts) -> tuple[int, bool]:
        """Loads what is missing of histories and profiles, and writes the seats of those who had none; answers how many
        rows these are, and False while Redis is down and scoring without it was chosen.

        Raises as a call does.
        """
        self.forget_changed()
        unknown = self.working_set.without_profile(seats)
        # Who is not in memory has no profile there; a partition that is not whole waits for Redis to answer again.
        if not (len(unknown) or self._behind()):
            return 0, True
        missing = unknown[seats[unknown] == NOBODY]
        reads = self._reads(numbers[missing], users.take(missing))
        of_unknown = users.take(unknown).tolist()
        asked = list(dict.fromkeys(of_unknown))
        self.metrics.profile_reads_total.inc(len(asked))
        try:
            reply = self.store.exchange([], list(reads.values()), asked)
        except Unavailable:
            if not self.degrade:
                raise
            return len(missing), False
        self._believe_again()
        self._settle_begun(wait=False)  # its answers have come before these
        self._load(reads, reply)
        seats[missing] = self.working_set.find(numbers[missing], users.take(missing))
        if asked:
            place = {user: number for number, user in enumerate(asked)}  # some are of several rows
            self.profiles.keep(seats[unknown], reply.profiles, [place[user] for user in of_unknown])
            self.working_set.note_profiles(seats[unknown])
        return len(missing), True

    def forget_changed(self) -> None:
        """The profiles that have changed since they were read."""
        self.working_set.forget_profiles(self.store.changed_profiles())

    def flush(self, partitions: Sequence[Partition]) -> None:
        """Write behind to the end. Raises StateLost, Unavailable, what `commit` raises."""
        self._commit()  # also when Redis is down, or has lost what it held
        self._settle_begun(wait=True)
        while writes := self._writes(partitions):
            self._write(writes)

    def write_behind(self) -> None:
        """After each batch, and in quiet times: what is due goes to Redis. Raises as `flush` does."""
        due = self._is_due()
        self._settle_begun(wait=due)
        if not due:
            return
        self._commit()
        self._written_at = self.clock()
        writes = {} if self.store.down else self._writes(list(self.working_set.partitions.values()))
        if not writes:
            return
        if self.store.begin(list(writes.values())):
            self._begun = writes
            return
        try:
            self._write(writes)
        except Unavailable:
            if not self.degrade:
                raise

    def _is_due(self) -> bool:
        waiting = sum([len(partition.pending) for partition in self.working_set.partitions.values()])
        return waiting >= self.write_behind_users or (self.clock() - self._written_at) * 1000 >= self.write_behind_ms

    def _writes(self, partitions: Sequence[Partition]) -> dict[int, Write]:
        found = ((partition.number, self.working_set.write(partition)) for partition in partitions)
        return {number: write for number, write in found if write is not None}

    def _write(self, writes: Mapping[int, Write]) -> None:
        """Now, and wait for it. Raises StateLost, Unavailable."""
        self._settle(writes, self.store.exchange(list(writes.values()), [], []).marks)

    def _reads(self, numbers: Ints, users: Texts) -> dict[int, Read]:
        by_partition: dict[int, dict[bytes, None]] = {}
        for number, user in zip(numbers.tolist(), users.tolist(), strict=True):
            by_partition.setdefault(number, {})[user] = None
        partitions = self.working_set.partitions
        return {number: Read(partitions[number].keys, list(some)) for number, some in by_partition.items()}

    def _believe_again(self) -> None:
        if behind := self._behind():
            raise StateLost(behind, "redis_back")

    def _behind(self) -> list[int]:
        return [number for number, partition in self.working_set.partitions.items() if not partition.whole]

    def _commit(self) -> None:
        """Before something is written: a mark beyond the committed offset would not be believed."""
        self._commit_those(list(self.working_set.partitions.values()))

    def _commit_firsts(self) -> None:
        """Before the first batch after state was taken: who cannot commit would publish it again and again, and never
        give up."""
        if firsts := [p for p in self.working_set.partitions.values() if p.committed < 0]:
            self._commit_those(firsts)

    def _commit_those(self, partitions: Sequence[Partition]) -> None:
        reached = {partition.number: max(partition.position, partition.live_from) for partition in partitions}
        ahead = [partition for partition in partitions if reached[partition.number] > partition.committed]
        if not ahead:
            return
        if self.commit:
            self.commit({partition.number: reached[partition.number] for partition in ahead})
        for partition in ahead:
            partition.committed = reached[partition.number]

    def _settle_begun(self, *, wait: bool) -> None:
        """What will never be known is written again: done twice, it changes nothing."""
        if self._begun and (marks := self.store.begun(wait=wait)) is not None:
            begun, self._begun = self._begun, {}
            if marks:
                self._settle(begun, marks)

    def _settle(self, writes: Mapping[int, Write], marks: Sequence[bytes]) -> None:
        lost = []
        for (number, write), mark in zip(writes.items(), marks, strict=True):
            partition = self.working_set.partitions.get(number)
            if partition is None or partition.unsettled is not write:
                continue  # it has gone meanwhile, or come again, or its facts were let go
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

    def _note_since(self, numbers: Ints, event_time: Ints) -> bool:
        """Histories that begin with this batch begin at its first event; whether any history is not complete."""
        partitions = [p for p in self.working_set.partitions.values() if p.since != COMPLETE]
        for partition in partitions:
            if partition.since == UNKNOWN and len(rows := np.flatnonzero(numbers == partition.number)):
                partition.since = int(event_time[rows[0]])
        return bool(partitions)

    def _is_partial(self, numbers: Ints, event_time: Ints) -> NDArray[np.bool_]:
        since_of = {number: partition.since for number, partition in self.working_set.partitions.items()}
        since = np.array([since_of[number] for number in numbers.tolist()], np.int64)
        horizon = self.domain.features.spec.horizon_ms
        partial: NDArray[np.bool_] = (since != COMPLETE) & (event_time - horizon < since)
        return partial
