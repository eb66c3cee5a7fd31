"""The recent users' histories of the partitions this worker owns, in memory.

The input log is the truth, Redis a write-behind cache of it, this the working set. Everything here comes from
input that was answered: a batch's facts are absorbed only after its commit was confirmed, or, at least once, begun.
"""

import secrets
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.schemas.columns import whole_numbers
from riskstream.schemas.facts import WORD, FactLayout
from riskstream.schemas.history import (
    COMPLETE,
    UNKNOWN,
    Applied,
    CorruptHistory,
    Keys,
    decode_histories,
    encode_history,
)
from riskstream.schemas.texts import Texts
from riskstream.workers.fact_memory import (
    ANEW,
    PENDING,
    PROFILED,
    ROOM,
    STATE,
    UNDER_WAY,
    USED,
    FactMemory,
)
from riskstream.workers.history_store import APPEND, REPLACE, Write
from riskstream.workers.user_index import NOBODY, UserIndex

_MODES = bytes.maketrans(b"\0\1", APPEND + REPLACE)
"""Of writes, from whether they are of whole histories."""
_NOBODY_UNREAD = np.empty(0, np.int64)
USER_OVERHEAD_BYTES = 300
"""Of a place in the index, a name, a seat and a profile, over the room for the facts themselves."""


@dataclass(slots=True)
class Partition:
    """One owned partition: who it is, how far it has come, and its users' histories.

    Records below `live_from` are facts only; from there on they are scored. `whole` is False once a fact was left
    out of memory because Redis could not be read: then nothing is written until the state was taken again. `pending`:
    the seats of users with facts that are not stored yet. `committed`: up to where that is sure, -1 before the first
    batch.
    """

    number: int
    keys: Keys
    live_from: int
    position: int
    applied: Applied
    mark: bytes
    since: int
    whole: bool = True
    committed: int = -1
    pending: list[int] = field(default_factory=list)
    unsettled: Write | None = None
    under_way: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # the seats of `unsettled`


class LogSpan(NamedTuple):
    """The first offset that the log still has, and the one from which on records are to be scored."""

    log_start: int
    live_from: int


class Gathered(msgspec.Struct, frozen=True):
    """Each row's history in place: row k is `facts[position[k]]` and its past is `facts[first[k]:position[k]]`.

    `facts` int64[m, W] is memory itself, good until the batch is absorbed or another is gathered; `first`, `position`,
    `seats` int64[n]; `unread` are the rows whose past could not be read.
    """

    facts: NDArray[np.int64]
    first: NDArray[np.int64]
    position: NDArray[np.int64]
    seats: NDArray[np.int64]
    unread: NDArray[np.int64]


class WorkingSet:
    """Histories by partition and user, bounded in bytes, least recently used out."""

    def __init__(self, layout: FactLayout, capacity: int, max_bytes: int, log_is_complete: bool = False) -> None:
        self._layout = layout
        self._log_is_complete = log_is_complete
        self._keep = capacity
        # Trimming rewrites the stored value, so it is done once every so many facts.
        self.limit = capacity + max(1, capacity // 4)
        """Facts of the longest history."""
        self._max_bytes = max_bytes
        self._memory = FactMemory(len(layout.words), max_bytes)
        self._index = UserIndex()
        self._strangers: list[int] = []
        self.partitions: dict[int, Partition] = {}

    def open(self, number: int, keys: Keys, mark: bytes | None, span: LogSpan, *, rebuild: bool = False) -> int:
        """Take up a partition; answers the offset to read from. `mark` is what Redis holds, as it is.

        Stored histories are believed when their mark lies between the start of the log and the committed offset
        (`live_from`). Otherwise they are rebuilt from the start of the log under a new epoch.
        """
        applied = None if rebuild else _believable(mark)
        if applied is None or not span.log_start <= applied.offset <= span.live_from:
            since = COMPLETE if self._log_is_complete and span.log_start == 0 else UNKNOWN
            applied = Applied(secrets.randbits(62), span.log_start, since)
        self.drop([number])
        self.partitions[number] = Partition(
            number, keys, span.live_from, applied.offset, applied, mark or b"", applied.since
        )
        return applied.offset

    @staticmethod
    def has_come_to(mark: bytes | None) -> int:
        """The offset that a raw mark says; 0 where there is none to believe."""
        applied = _believable(mark)
        return applied.offset if applied else 0

    def drop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if self.partitions.pop(number, None):
                self._forget(self._memory.of(number))

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._bytes(self._memory.all_rows, self._memory.all_users)

    def size_of(self, partition: Partition) -> int:
        """Bytes held for one partition, its users' empty rooms included."""
        return self._bytes(self._memory.rows[partition.number], self._memory.users[partition.number])

    def _bytes(self, rows: int, users: int) -> int:
        return rows * self._layout.size + users * USER_OVERHEAD_BYTES

    def is_steady(self, numbers: Container[int]) -> bool:
        """Whether all partitions are at their everyday work: whole, their past complete, their state taken long ago;
        and those of `numbers` where events are scored."""
        unlike = [
            p
            for p in self.partitions.values()
            if p.committed < 0
            or p.since != COMPLETE
            or not p.whole
            or (p.position < p.live_from and p.number in numbers)
        ]
        return not unlike

    def find(self, numbers: NDArray[np.int64], users: Texts) -> NDArray[np.int64]:
        """The seat of each row's user, NOBODY for one whose history is not in memory."""
        return self._index.find(numbers, users)

    def history(self, partition: Partition, user: bytes) -> NDArray[np.int64]:
        """The facts of a user who is in memory, int64[n, W]."""
        (seat,) = self.find(np.array([partition.number]), Texts.of([user]))
        return self._memory.history(seat)

    def load(self, partition: Partition, users: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        """Take what Redis holds of these users, none of whom is in memory. Raises CorruptHistory."""
        stored = decode_histories(values, self._layout, partition.applied)
        seats = self._memory.take(partition.number, stored.counts)
        self._memory.fill(seats, stored.facts)
        self._memory.seats[seats, STATE] = np.where(stored.exact, 0, ANEW)
        self._index.add(partition.number, Texts.of(users), seats)

    def without_profile(self, seats: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of users whose profile is not kept, or no longer good. NOBODY has none."""
        return self._memory.lacking(seats, PROFILED)

    def note_profiles(self, seats: NDArray[np.int64]) -> None:
        """The profiles of these users are kept from now on."""
        self._memory.seats[seats, STATE] |= PROFILED

    def forget_profiles(self, users: Collection[bytes] | None) -> None:
        """Those of some users are outdated, whoever they are; None for all."""
        table = self._memory.seats
        if users is None:
            table[:, STATE] &= ~PROFILED
            return
        if not users:
            return
        texts = Texts.of(list(users))
        for number in self.partitions:
            seats = self.find(np.full(len(users), number), texts)
            table[seats[seats != NOBODY], STATE] &= ~PROFILED

    def gather(
        self,
        seats: NDArray[np.int64],
        unread: NDArray[np.int64],
        numbers: NDArray[np.int64],
        users: Texts,
        facts: NDArray[np.int64],
    ) -> Gathered:
        """Lay the batch's own `facts` int64[n, W], one a row, behind their users' histories. The `unread` are the rows
        whose seat is NOBODY. Raises IndexError if there are more."""
        self._forget_strangers()
        if len(unread):
            seats = self._seat_strangers(seats, unread, numbers, users)
        first, position = self._memory.lay(seats, np.ascontiguousarray(facts, WORD))
        return Gathered(self._memory.facts, first, position, seats, unread)

    def arrays(self) -> tuple[Any, ...]:
        """What a compiled gathering is done with. They are the same until memory has to be moved."""
        index, memory = self._index, self._memory
        return index.seed, index.slots, index.names, memory.seats, memory.facts

    def next_turn(self) -> int:
        """The number of a batch that is gathered so."""
        self._forget_strangers()
        return self._memory.next_turn()

    def make_room(self, seats: NDArray[np.int64], facts: NDArray[np.int64]) -> None:
        """For so many `facts` at each of some seats, for the batch that is being gathered."""
        self._memory.move(seats, facts)

    def gathered(self, seats: NDArray[np.int64], first: NDArray[np.int64], position: NDArray[np.int64]) -> Gathered:
        """What it came to; everybody was in memory."""
        return Gathered(self._memory.facts, first, position, seats, _NOBODY_UNREAD)

    def absorb(self, gathered: Gathered, repeated: NDArray[np.bool_]) -> None:
        """Add a committed batch's facts, repeats left out. Rows whose past is unknown make their partition unwhole."""
        self.note_kept(*self._memory.keep(gathered.seats, gathered.position, repeated, self.limit))

    def note_kept(self, pending: NDArray[np.int64], long: NDArray[np.int64]) -> None:
        """What keeping a batch's facts came to, see `keep`."""
        memory = self._memory
        for seat, owner in pending.tolist():
            if owner < 0:
                self.partitions[_stranger(owner)].whole = False
            else:
                self.partitions[owner].pending.append(seat)
        for seat in dict.fromkeys(long.tolist()):
            memory.trim(seat, self._keep, self.limit + 1)
            memory.seats[seat, STATE] |= ANEW
        self._forget_strangers()

    def _seat_strangers(
        self, seats: NDArray[np.int64], rows: NDArray[np.int64], numbers: NDArray[np.int64], users: Texts
    ) -> NDArray[np.int64]:
        """For this batch alone: rows of one user, whose past could not be read, see each other."""
        keys = list(zip(numbers[rows].tolist(), users.take(rows).tolist(), strict=True))
        seat_of: dict[tuple[int, bytes], int] = {}
        for key in keys:
            if key not in seat_of:
                seat_of[key] = int(self._memory.take(_stranger(key[0]), np.zeros(1, np.int64))[0])
        seats = seats.copy()
        seats[rows] = [seat_of[key] for key in keys]
        self._strangers = list(seat_of.values())
        return seats

    def _forget_strangers(self) -> None:
        for seat in self._strangers:
            self._memory.leave(np.array([seat]))
        self._strangers = []

    def write(self, partition: Partition) -> Write | None:
        """The facts not stored yet, with the applied mark they lead to; the same again until it is settled."""
        if partition.unsettled is not None:
            return partition.unsettled
        target = Applied(partition.applied.epoch, partition.position, partition.since)
        if not partition.whole or target.encode() == partition.mark:
            return None
        seats = whole_numbers(partition.pending)
        raw, ends, anew = self._memory.hand_over(seats)
        values: list[bytes | bytearray] = [raw[a:b] for a, b in zip([0, *ends], ends, strict=False)]
        for row in anew.nonzero()[0].tolist():
            values[row] = encode_history(target.epoch, values[row])
        modes = bytearray(anew.tobytes().translate(_MODES))
        users = self._index.users(seats)
        partition.pending, partition.under_way = [], seats
        partition.unsettled = Write(partition.keys, partition.mark, target.encode(), modes, users, values)
        return partition.unsettled

    def settle(self, partition: Partition, write: Write) -> None:
        """The write was confirmed."""
        self._arrived(partition)
        partition.mark = write.applied
        partition.applied = Applied.decode(write.applied)

    def rewrite(self, partition: Partition) -> None:
        """Nothing of the write was done, since a key was gone: write these users' histories as a whole next time."""
        seats = self._arrived(partition)
        state = self._memory.seats[seats, STATE]
        partition.pending += seats[state & PENDING == 0].tolist()
        self._memory.seats[seats, STATE] = state | PENDING | ANEW

    def _arrived(self, partition: Partition) -> NDArray[np.int64]:
        """The seats whose facts are no longer under way."""
        partition.unsettled = None
        self._memory.seats[partition.under_way, STATE] &= ~UNDER_WAY
        return partition.under_way

    def give_up_writing(self, partition: Partition) -> None:
        """Let go of what cannot be written; the log has it, and the state is taken again from there."""
        partition.whole = False
        partition.pending = []
        partition.unsettled = None
        self._memory.seats[self._memory.of(partition.number), STATE] &= PROFILED

    def evict(self) -> None:
        """Drop least recently used users that Redis holds, once a partition is above its share of the bound.

        A partition whose facts Redis does not take gives up writing at twice its share. A batch may be as large by
        itself: while Redis answers, it is written and then leaves.
        """
        share = self._max_bytes // max(1, len(self.partitions))
        if self.size <= share:
            return  # and so is each of them
        for partition in self.partitions.values():
            size = self.size_of(partition)
            if size > 2 * share and (partition.unsettled or not partition.whole):
                self.give_up_writing(partition)
            if size > share:
                self._shrink(partition, size - share * 7 // 8)

    def _shrink(self, partition: Partition, excess: int) -> None:
        seats = self._memory.of(partition.number)
        seats = seats[self._memory.seats[seats, STATE] & (PENDING | UNDER_WAY) == 0]
        seats = seats[np.argsort(self._memory.seats[seats, USED], kind="stable")]
        freed = np.cumsum(self._memory.seats[seats, ROOM] * self._layout.size + USER_OVERHEAD_BYTES)
        self._forget(seats[: np.searchsorted(freed, excess) + 1])

    def _forget(self, seats: NDArray[np.int64]) -> None:
        self._index.remove(seats)
        self._memory.leave(seats)


def _stranger(number: int) -> int:
    """The owner of seats for users of this partition whose past could not be read; and back."""
    return -1 - number


def _believable(mark: bytes | None) -> Applied | None:
    try:
        return None if mark is None else Applied.decode(mark)
    except CorruptHistory:
        return None
