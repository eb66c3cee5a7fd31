"""The recent users' histories of the partitions this worker owns, in memory.

The input log is the truth, Redis a write-behind cache of it, this the working set. Everything here comes from
committed input: a batch's facts are absorbed only after its commit was confirmed.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riskstream.schemas.facts import WORD, FactLayout
from riskstream.schemas.history import COMPLETE, UNKNOWN, Applied, CorruptHistory, Keys, decode_history, encode_history
from riskstream.workers.history_store import APPEND, REPLACE, Write

USER_OVERHEAD_BYTES = 200
"""Of a dict entry, a str key and a bytearray, over the facts themselves."""


@dataclass(slots=True)
class Partition:
    """One owned partition: who it is, how far it has come, and its users' histories.

    Records below `live_from` are facts only; from there on they are scored. `whole` is False once a fact was left
    out of memory because Redis could not be read: then nothing is written until the state was taken again.
    """

    number: int
    keys: Keys
    live_from: int
    position: int
    applied: Applied
    mark: bytes
    since: int
    whole: bool = True
    histories: dict[str, bytearray] = field(default_factory=dict)
    pending: dict[str, bytes] = field(default_factory=dict)
    rewrite: set[str] = field(default_factory=set)
    unsettled: Write | None = None
    size: int = 0


class LogSpan(NamedTuple):
    """The first offset that the log still has, and the one from which on records are to be scored."""

    log_start: int
    live_from: int


class Group(NamedTuple):
    """The rows of one user of one partition within a batch, in offset order."""

    partition: Partition
    user: str
    rows: list[int]


class Gathered(NamedTuple):
    """Each row's history, flat: row k is `facts[position[k]]` and its past is `facts[first[k]:position[k]]`.

    `facts` int64[m, W]; `first`, `position` int64[n]; `known` bool[n], False where the past could not be read; `raw`
    the bytes of the rows' own facts, in the rows' order.
    """

    facts: NDArray[np.int64]
    first: NDArray[np.int64]
    position: NDArray[np.int64]
    known: NDArray[np.bool_]
    raw: bytes
    groups: list[Group]


class WorkingSet:
    """Histories by partition and user, bounded in bytes, least recently used out."""

    def __init__(self, layout: FactLayout, capacity: int, max_bytes: int, log_is_complete: bool = False) -> None:
        self._layout = layout
        self._log_is_complete = log_is_complete
        self._keep = capacity * layout.size
        # Trimming rewrites the stored value, so it is done once every `slack` facts.
        self._limit = self._keep + max(1, capacity // 4) * layout.size
        self._max_bytes = max_bytes
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
        self.partitions[number] = Partition(
            number, keys, span.live_from, applied.offset, applied, mark or b"", applied.since
        )
        return applied.offset

    def drop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.partitions.pop(number, None)

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(partition.size for partition in self.partitions.values())

    def missing(self, partition: Partition, users: Iterable[str]) -> list[str]:
        """The distinct users whose histories are not in memory."""
        histories = partition.histories
        return [user for user in dict.fromkeys(users) if user not in histories]

    def load(self, partition: Partition, users: Sequence[str], values: Sequence[bytes | None]) -> None:
        """Take what Redis holds of these users. Raises CorruptHistory."""
        for user, value in zip(users, values, strict=True):
            facts, exact = decode_history(value, self._layout, partition.applied)
            partition.histories[user] = bytearray(facts)
            partition.size += len(facts) + USER_OVERHEAD_BYTES
            if not exact:
                partition.rewrite.add(user)

    def gather(self, numbers: Sequence[int], users: Sequence[str], facts: NDArray[np.int64]) -> Gathered:
        """Lay each row's history and the rows of its own batch side by side. `facts` int64[n, W], one a row."""
        size = self._layout.size
        raw = np.ascontiguousarray(facts, WORD).tobytes()
        groups = self._group(numbers, users)
        first, position = [0] * len(users), [0] * len(users)
        known = np.ones(len(users), np.bool_)
        chunks: list[bytes | bytearray] = []
        cursor = 0
        for partition, user, rows in groups:
            past = partition.histories.pop(user, None)
            if past is None:
                known[rows] = False
                past = bytearray()
            else:
                partition.histories[user] = past  # most recently used last
            start = cursor
            chunks.append(past)
            cursor += len(past) // size
            for row in rows:
                first[row], position[row] = start, cursor
                chunks.append(raw[row * size : (row + 1) * size])
                cursor += 1
        flat = np.frombuffer(b"".join(chunks), WORD).reshape(-1, facts.shape[1])
        return Gathered(flat, np.array(first, np.int64), np.array(position, np.int64), known, raw, groups)

    def _group(self, numbers: Sequence[int], users: Sequence[str]) -> list[Group]:
        by_user: dict[tuple[int, str], list[int]] = {}
        for row, key in enumerate(zip(numbers, users, strict=True)):
            by_user.setdefault(key, []).append(row)
        return [Group(self.partitions[number], user, rows) for (number, user), rows in by_user.items()]

    def absorb(self, gathered: Gathered, repeated: NDArray[np.bool_]) -> None:
        """Add a committed batch's facts, repeats left out. Rows whose past is unknown make their partition unwhole."""
        size, again = self._layout.size, repeated.tolist()
        own = [b"" if again[row] else gathered.raw[row * size : (row + 1) * size] for row in range(len(again))]
        for partition, user, rows in gathered.groups:
            history = partition.histories.get(user)
            if history is None:
                partition.whole = False
                continue
            facts = own[rows[0]] if len(rows) == 1 else b"".join([own[row] for row in rows])
            if not facts:
                continue
            history += facts
            partition.pending[user] = partition.pending.get(user, b"") + facts
            partition.size += len(facts)
            if len(history) > self._limit:
                partition.size -= len(history) - self._keep
                del history[: -self._keep]
                partition.rewrite.add(user)

    def write(self, partition: Partition) -> Write | None:
        """The facts not stored yet, with the applied mark they lead to; the same again until it is settled."""
        if partition.unsettled is not None:
            return partition.unsettled
        target = Applied(partition.applied.epoch, partition.position, partition.since)
        if not partition.whole or target.encode() == partition.mark:
            return None
        write = Write(partition.keys, partition.mark, target.encode())
        for user, facts in partition.pending.items():
            anew = user in partition.rewrite
            write.users.append(user)
            write.modes += REPLACE if anew else APPEND
            write.values.append(encode_history(target.epoch, partition.histories[user]) if anew else facts)
        partition.rewrite.difference_update(write.users)
        partition.pending = {}
        partition.unsettled = write
        return write

    def settle(self, partition: Partition, write: Write) -> None:
        """The write was confirmed."""
        partition.unsettled = None
        partition.mark = write.applied
        partition.applied = Applied.decode(write.applied)

    def rewrite(self, partition: Partition, write: Write) -> None:
        """Nothing of the write was done, since a key was gone: write these users' histories as a whole next time."""
        partition.unsettled = None
        for user in write.users:
            partition.pending.setdefault(user, b"")
        partition.rewrite.update(write.users)

    def give_up_writing(self, partition: Partition) -> None:
        """Let go of what cannot be written; the log has it, and the state is taken again from there."""
        partition.whole = False
        partition.pending = {}
        partition.unsettled = None

    def evict(self) -> None:
        """Drop least recently used users that Redis holds, once a partition is above its share of the bound.

        A partition whose facts Redis does not take gives up writing at twice its share. A batch may be as large by
        itself: while Redis answers, it is written and then leaves.
        """
        share = self._max_bytes // max(1, len(self.partitions))
        for partition in self.partitions.values():
            if partition.size > 2 * share and (partition.unsettled or not partition.whole):
                self.give_up_writing(partition)
            if partition.size > share:
                self._shrink(partition, share * 7 // 8)

    def _shrink(self, partition: Partition, size: int) -> None:
        excess, leaving = partition.size - size, []
        for user in self._evictable(partition):
            if excess <= 0:
                break
            leaving.append(user)
            excess -= len(partition.histories[user]) + USER_OVERHEAD_BYTES
        for user in leaving:
            partition.size -= len(partition.histories.pop(user)) + USER_OVERHEAD_BYTES

    def _evictable(self, partition: Partition) -> Iterator[str]:
        unsettled = set(partition.unsettled.users) if partition.unsettled else ()
        return (user for user in partition.histories if user not in partition.pending and user not in unsettled)


def _believable(mark: bytes | None) -> Applied | None:
    try:
        return None if mark is None else Applied.decode(mark)
    except CorruptHistory:
        return None
