"""What a user's past says of an event: one compiled pass over facts, exact, and the same however a log was batched.

Every value is a pure function of the event and of the facts before it. The rules, in full:

- **Repeat.** An event whose hash is among its visible facts is an upstream repeat of that fact. A repeat is no fact:
  later events do not see it, and it takes no place in the capacity.
- **Visible** are the last `capacity` facts before the event in offset order. A repeat sees only those of them that lie
  before its original: it is measured as what it was.
- **Counted** are the visible facts whose event time lies in `(t - horizon, t]`, where t is the event's own time. Late
  and early event times need no special case. A window of width w counts those in `(t - w, t]`.

Hence a caller that keeps each user's last `capacity` facts, or more of them, and drops repeats, loses nothing.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from riskstream.schemas.facts import EVENT_HASH, EVENT_TIME

# Part of every feature set's identity: raise it when a rule above, or a column's formula, changes.
REVISION = 1

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HistorySpec:
    """What to measure, as data: the compiled pass is the same for every domain.

    `value` and the second items of `distinct` are positions of words in the fact. The value words must be small enough
    that a sum of `capacity` of them fits 64 bits; sums leave exact as float64 below 2**53. Zero in a distinct word
    means missing: it is never counted.
    """

    windows: tuple[tuple[str, int], ...]
    horizon_ms: int
    capacity: int
    value: int
    distinct: tuple[tuple[str, int], ...]
    distinct_windows: tuple[str, ...]

    def __post_init__(self) -> None:
        widths = [width for _, width in self.windows]
        if widths != sorted(set(widths)) or not widths or not 0 < widths[0] <= widths[-1] <= self.horizon_ms:
            raise ValueError(f"history windows must be positive, ascending and within the horizon, not {self.windows}")
        if self.capacity < 1:
            raise ValueError(f"history capacity must be at least 1, not {self.capacity}")
        unknown = set(self.distinct_windows) - {name for name, _ in self.windows}
        if unknown:
            raise ValueError(f"distinct counts over unknown windows {sorted(unknown)}")

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of `Aggregates.values`, in order."""
        windows = [f"{kind}_{name}" for name, _ in self.windows for kind in ("count", "sum", "mean", "max")]
        distinct = [f"distinct_{word}_{window}" for word, _ in self.distinct for window in self.distinct_windows]
        same = [f"same_{word}" for word, _ in self.distinct]
        return (*windows, *distinct, "since_last_s", "mean", "std", *same)

    @cached_property
    def _program(self) -> tuple[Ints, Ints, Ints, int, int, int]:
        """The specification as the compiled pass takes it."""
        names = [name for name, _ in self.windows]
        return (
            np.array([width for _, width in self.windows], np.int64),
            np.array([word for _, word in self.distinct], np.int64),
            np.array([names.index(name) for name in self.distinct_windows], np.int64),
            self.value,
            self.horizon_ms,
            self.capacity,
        )


class Aggregates(NamedTuple):
    """Per event: the history columns, and the row of the fact that it repeats, -1 if it is new."""

    values: Floats
    original: Ints


def aggregate(spec: HistorySpec, facts: Ints, first: Ints, position: Ints) -> Aggregates:
    """Measure the history of n events over the flat rows `facts`.

    The rows of one user follow each other: the stored facts in offset order, none of them a repeat, then the facts of
    the batch's events in offset order. Event k is the row `position[k]`; its past are the rows from `first[k]`, which
    all events of the user share, up to it. The events may come in any order, and the answer is in theirs.
    """
    order = _checked_order(facts, first, position)
    values = np.empty((len(position), len(spec.columns)))
    original = np.empty(len(position), np.int64)
    _aggregate(facts, first, position, order, *spec._program, values, original)
    return Aggregates(values, original)


def originals(spec: HistorySpec, facts: Ints, first: Ints, position: Ints) -> Ints:
    """Only `aggregate(...).original`: for those who rebuild histories and need to know which events are facts."""
    order = _checked_order(facts, first, position)
    original = np.empty(len(position), np.int64)
    _originals(facts, first, position, order, spec.capacity, original)
    return original


def _checked_order(facts: Ints, first: Ints, position: Ints) -> Ints:
    """The events by row. Compiled code does not check indexes, so they are checked here, once a batch."""
    if len(first) != len(position):
        raise ValueError(f"{len(first)} firsts for {len(position)} positions")
    if len(position) and not (0 <= first.min() and (first <= position).all() and position.max() < len(facts)):
        raise ValueError("every event needs 0 <= first <= position < number of facts")
    return np.argsort(position, kind="stable")


class _Rules(NamedTuple):
    """HistorySpec inside the compiled pass."""

    windows: Ints
    distinct: Ints
    shown: Ints  # windows of the distinct counts
    value: int
    horizon: int


class _Scratch(NamedTuple):
    """Working memory of one event; bucket b holds what is in window b and in no smaller one, the last: in none."""

    count: Ints
    total: Ints
    peak: Ints
    variety: Ints  # [word, bucket] distinct values by the smallest window that they were seen in
    same: Ints  # [word] facts that share the event's value
    keys: Ints  # [word, slot] hash table of seen values
    marks: Ints  # [word, slot] generation and bucket of a key; older generations count as empty
    amounts: Floats


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scratch(windows, distinct, capacity):  # type: ignore[no-untyped-def]
    buckets, words, slots = len(windows) + 1, len(distinct), 2
    while slots < 2 * capacity:
        slots *= 2
    return _Scratch(
        np.empty(buckets, np.int64),
        np.empty(buckets, np.int64),
        np.empty(buckets, np.int64),
        np.empty((words, buckets), np.int64),
        np.empty(words, np.int64),
        np.empty((words, slots), np.int64),
        np.full((words, slots), -1, np.int64),
        np.empty(capacity, np.float64),
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _note(scratch, word, key, bucket, base, slots):  # type: ignore[no-untyped-def]
    """Count `key` once, in the smallest bucket that it is seen in. Marks below `base` are those of earlier events."""
    mask = slots - 1
    # Golden-ratio hashing: the high bits of the product are well mixed even for small codes such as countries.
    slot = ((key * -7046029254386353131) >> 32) & mask
    while scratch.marks[word, slot] >= base:
        if scratch.keys[word, slot] == key:
            seen = scratch.marks[word, slot] - base
            if bucket < seen:
                scratch.variety[word, seen] -= 1
                scratch.variety[word, bucket] += 1
                scratch.marks[word, slot] = base + bucket
            return
        slot = (slot + 1) & mask
    scratch.keys[word, slot] = key
    scratch.marks[word, slot] = base + bucket
    scratch.variety[word, bucket] += 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _measure(facts, ring, start, stop, row, rules, scratch, base):  # type: ignore[no-untyped-def]
    """Fill the buckets for the event at `row`: (row of its original or -1, facts counted, age of the newest)."""
    scratch.count[:] = 0
    scratch.total[:] = 0
    scratch.peak[:] = 0
    scratch.variety[:] = 0
    scratch.same[:] = 0
    slots = 2
    while slots < 2 * (stop - start):
        slots *= 2
    counted, newest = 0, rules.horizon
    for i in range(start, stop):
        fact = ring[i & (len(ring) - 1)]
        if facts[fact, EVENT_HASH] == facts[row, EVENT_HASH]:
            return fact, counted, newest  # the original: a repeat sees what lies before it
        age = facts[row, EVENT_TIME] - facts[fact, EVENT_TIME]
        if age < 0 or age >= rules.horizon:
            continue
        bucket = 0
        for w in range(len(rules.windows)):
            bucket += age >= rules.windows[w]
        value = facts[fact, rules.value]
        scratch.peak[bucket] = value if scratch.count[bucket] == 0 else max(scratch.peak[bucket], value)
        scratch.count[bucket] += 1
        scratch.total[bucket] += value
        scratch.amounts[counted] = value
        counted += 1
        newest = min(newest, age)
        for d in range(len(rules.distinct)):
            key = facts[fact, rules.distinct[d]]
            if key != 0:
                scratch.same[d] += key == facts[row, rules.distinct[d]]
                _note(scratch, d, key, bucket, base, slots)
    return -1, counted, newest


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _write(facts, row, rules, scratch, counted, newest, out):  # type: ignore[no-untyped-def]
    """Turn buckets into columns: a window is the sum of its own bucket and the smaller ones."""
    column, buckets = 0, len(scratch.count)
    for b in range(1, buckets):
        if scratch.count[b - 1] > 0:
            below = scratch.peak[b - 1]
            scratch.peak[b] = below if scratch.count[b] == 0 else max(scratch.peak[b], below)
        scratch.count[b] += scratch.count[b - 1]
        scratch.total[b] += scratch.total[b - 1]
        scratch.variety[:, b] += scratch.variety[:, b - 1]
    for b in range(buckets - 1):
        some = scratch.count[b] > 0
        out[column] = scratch.count[b]
        out[column + 1] = scratch.total[b]
        out[column + 2] = scratch.total[b] / scratch.count[b] if some else np.nan
        out[column + 3] = scratch.peak[b] if some else np.nan
        column += 4
    for d in range(len(rules.distinct)):
        for w in rules.shown:
            out[column] = scratch.variety[d, w]
            column += 1
    out[column] = newest / 1000.0 if counted > 0 else np.nan
    mean = scratch.total[buckets - 1] / counted if counted > 0 else np.nan
    out[column + 1] = mean
    squares = 0.0
    for i in range(counted):
        squares += (scratch.amounts[i] - mean) ** 2
    out[column + 2] = np.sqrt(squares / counted) if counted > 1 else np.nan
    for d in range(len(rules.distinct)):
        out[column + 3 + d] = scratch.same[d] if facts[row, rules.distinct[d]] != 0 else np.nan


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ring(capacity):  # type: ignore[no-untyped-def]
    size = 1
    while size < capacity:
        size *= 2
    return np.empty(size, np.int64)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _push(ring, stop, begin, end):  # type: ignore[no-untyped-def]
    """Append the rows [begin, end) to the user's facts and return their new number; the ring forgets the oldest."""
    skip = max(0, end - begin - len(ring))
    for row in range(begin + skip, end):
        ring[(stop + row - begin) & (len(ring) - 1)] = row
    return stop + max(0, end - begin)


# Explicit types: a worker must never stop to compile for an array that is merely read-only or oddly strided.
_ROWS = types.Array(types.int64, 2, "C", readonly=True)
_VECTOR = types.Array(types.int64, 1, "C", readonly=True)
_INT = types.int64


@njit(
    types.void(_ROWS, *[_VECTOR] * 6, _INT, _INT, _INT, types.float64[:, ::1], types.int64[::1]), cache=True, nogil=True
)  # type: ignore[untyped-decorator]
def _aggregate(facts, first, position, order, windows, distinct, shown, value, horizon, capacity, values, original):  # type: ignore[no-untyped-def]
    rules = _Rules(windows, distinct, shown, value, horizon)
    scratch = _scratch(windows, distinct, capacity)
    ring, user, stop, done = _ring(capacity), -1, 0, 0
    for generation, k in enumerate(order):
        row = position[k]
        if first[k] != user:
            user, stop, done = first[k], 0, first[k]
        stop = _push(ring, stop, done, row)
        base = generation * (len(windows) + 1)
        start = max(0, stop - capacity)
        original[k], counted, newest = _measure(facts, ring, start, stop, row, rules, scratch, base)
        _write(facts, row, rules, scratch, counted, newest, values[k])
        if original[k] < 0:
            stop = _push(ring, stop, row, row + 1)
        done = row + 1


@njit(types.void(_ROWS, _VECTOR, _VECTOR, _VECTOR, _INT, types.int64[::1]), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _originals(facts, first, position, order, capacity, original):  # type: ignore[no-untyped-def]
    ring, user, stop, done = _ring(capacity), -1, 0, 0
    for k in order:
        row = position[k]
        if first[k] != user:
            user, stop, done = first[k], 0, first[k]
        stop = _push(ring, stop, done, row)
        original[k] = -1
        for i in range(max(0, stop - capacity), stop):
            if facts[ring[i & (len(ring) - 1)], EVENT_HASH] == facts[row, EVENT_HASH]:
                original[k] = ring[i & (len(ring) - 1)]
                break
        if original[k] < 0:
            stop = _push(ring, stop, row, row + 1)
        done = row + 1
