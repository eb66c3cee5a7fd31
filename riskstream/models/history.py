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

_LOWEST = np.iinfo(np.int64).min
_GOLDEN = -7046029254386353131  # 2**64 over the golden ratio

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


def _checked_order(facts: Ints, first: Ints, position: Ints) -> Ints:
    """The events by row. Compiled code does not check indexes, so they are checked here, once a batch."""
    if len(first) != len(position):
        raise ValueError(f"{len(first)} firsts for {len(position)} positions")
    if len(position) and not (first.min() >= 0 and (first <= position).all() and position.max() < len(facts)):
        raise ValueError("every event needs 0 <= first <= position < number of facts")
    return np.argsort(position, kind="stable")


# A part of the pass, compiled into it: a call with the whole scratch would cost more than what is done with it.
_part = njit(nogil=True, inline="always")


class _Rules(NamedTuple):
    """HistorySpec inside the compiled pass."""

    windows: Ints
    distinct: Ints
    shown: Ints  # windows of the distinct counts
    value: int
    horizon: int


class _Scratch(NamedTuple):
    """Working memory of one event; bucket b holds what is in window b and in no smaller one, the last: in none."""

    amounts: Ints  # the counted facts' values, in offset order ...
    words: Ints  # [word, fact] ... their distinct words ...
    buckets: Ints  # ... and their buckets
    counts: Ints  # [bucket]
    totals: Ints
    peaks: Ints
    variety: Ints  # [bucket] distinct values by the smallest window that they were seen in
    keys: Ints  # [slot] hash table of values seen
    marks: Ints  # [slot] generation and bucket of the key; older generations count as empty


@_part
def _power_of_two(least):  # type: ignore[no-untyped-def]
    size = 1
    while size < least:
        size *= 2
    return size


@_part
def _scratch(windows, words, capacity):  # type: ignore[no-untyped-def]
    buckets, slots = windows + 1, _power_of_two(2 * capacity)
    return _Scratch(
        np.empty(capacity, np.int64),
        np.empty((words, capacity), np.int64),
        np.empty(capacity, np.int64),
        np.empty(buckets, np.int64),
        np.empty(buckets, np.int64),
        np.empty(buckets, np.int64),
        np.empty(buckets, np.int64),
        np.empty(slots, np.int64),
        np.full(slots, -1, np.int64),
    )


@_part
def _count(facts, ring, start, stop, row, rules, scratch):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Sort the visible facts of the event at `row` into buckets: (row of its original or -1, counted, newest's age)."""
    buckets, counts, totals, peaks = scratch.buckets, scratch.counts, scratch.totals, scratch.peaks
    amounts, words, distinct = scratch.amounts, scratch.words, rules.distinct
    windows, horizon, word, mask = rules.windows, rules.horizon, rules.value, len(ring) - 1
    now, own = facts[row, EVENT_TIME], facts[row, EVENT_HASH]
    counts[:] = 0
    totals[:] = 0
    peaks[:] = _LOWEST
    counted, newest, bucket = 0, horizon, 0
    for i in range(start, stop):
        fact = ring[i & mask]
        if facts[fact, EVENT_HASH] == own:
            return fact, counted, newest  # the original: a repeat sees what lies before it
        age = now - facts[fact, EVENT_TIME]
        if age < 0 or age >= horizon:
            continue
        while bucket > 0 and age < windows[bucket - 1]:  # mostly it is the last fact's bucket
            bucket -= 1
        while bucket < len(windows) and age >= windows[bucket]:
            bucket += 1
        value = facts[fact, word]
        counts[bucket] += 1
        totals[bucket] += value
        peaks[bucket] = max(peaks[bucket], value)
        amounts[counted] = value
        for d in range(len(distinct)):
            words[d, counted] = facts[fact, distinct[d]]
        buckets[counted] = bucket
        counted, newest = counted + 1, min(newest, age)
    return -1, counted, newest


@_part
def _vary(words, counted, own, base, scratch):  # type: ignore[no-untyped-def]
    """Count the distinct values of a word by bucket, and return how many facts share the event's own value."""
    buckets, variety, keys, marks = scratch.buckets, scratch.variety, scratch.keys, scratch.marks
    variety[:] = 0
    same, mask = 0, _power_of_two(2 * counted) - 1
    last, least = 0, 0
    for i in range(counted - 1, -1, -1):  # newest first: then a value's first sight is mostly its smallest bucket
        key, bucket = words[i], buckets[i]
        same += key == own
        if key == 0 or (key == last and bucket >= least):  # a user's country and device mostly stay what they are
            continue
        last, least = key, bucket
        # Golden-ratio hashing: the high bits of the product are well mixed even for small codes such as countries.
        slot = ((key * _GOLDEN) >> 32) & mask
        while marks[slot] >= base and keys[slot] != key:
            slot = (slot + 1) & mask
        seen = marks[slot] - base
        if seen < 0:
            keys[slot] = key
        elif bucket < seen:
            variety[seen] -= 1
        else:
            continue
        marks[slot] = base + bucket
        variety[bucket] += 1
    return same


@_part
def _write_windows(counts, totals, peaks, out):  # type: ignore[no-untyped-def]
    """A window is its own bucket and the smaller ones."""
    number, amount, highest = 0, 0, _LOWEST
    for b in range(len(counts) - 1):
        number, amount, highest = number + counts[b], amount + totals[b], max(highest, peaks[b])
        out[4 * b] = number
        out[4 * b + 1] = amount
        out[4 * b + 2] = amount / number if number > 0 else np.nan
        out[4 * b + 3] = highest if number > 0 else np.nan


@_part
def _spread(amounts, counted, total):  # type: ignore[no-untyped-def]
    """Mean and population deviation, in two passes and in offset order: the same bits everywhere."""
    if counted == 0:
        return np.nan, np.nan
    mean = total / counted
    squares = 0.0
    for i in range(counted):
        squares += (amounts[i] - mean) ** 2
    return mean, np.sqrt(squares / counted) if counted > 1 else np.nan


@_part
def _measure(facts, ring, start, stop, row, rules, scratch, generation, out):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Write the columns of the event at `row`, in the order of `HistorySpec.columns`; return its original or -1."""
    original, counted, newest = _count(facts, ring, start, stop, row, rules, scratch)
    _write_windows(scratch.counts, scratch.totals, scratch.peaks, out)
    words, shown = len(rules.distinct), len(rules.shown)
    rest = 4 * len(rules.windows) + words * shown
    for d in range(words):
        own = facts[row, rules.distinct[d]]
        base = (generation * words + d) * len(scratch.counts)
        same = _vary(scratch.words[d], counted, own, base, scratch)
        for w in range(shown):
            out[rest - (words - d) * shown + w] = scratch.variety[: rules.shown[w] + 1].sum()
        out[rest + 3 + d] = same if own != 0 else np.nan
    out[rest] = newest / 1000.0 if counted > 0 else np.nan
    out[rest + 1], out[rest + 2] = _spread(scratch.amounts, counted, scratch.totals.sum())
    return original


@_part
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
)
def _aggregate(facts, first, position, order, windows, distinct, shown, value, horizon, capacity, values, original):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    rules = _Rules(windows, distinct, shown, value, horizon)
    scratch = _scratch(len(windows), len(distinct), capacity)
    ring, user, stop, done = np.empty(_power_of_two(capacity), np.int64), -1, 0, 0
    for generation, k in enumerate(order):
        row = position[k]
        if first[k] != user:
            user, stop, done = first[k], 0, first[k]
        stop = _push(ring, stop, done, row)
        start = max(0, stop - capacity)
        original[k] = _measure(facts, ring, start, stop, row, rules, scratch, generation, values[k])
        if original[k] < 0:
            stop = _push(ring, stop, row, row + 1)
        done = row + 1
