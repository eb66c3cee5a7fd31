"""The compiled pass of `history.aggregate`. Its rules are told there.

A user's facts are laid out as columns once a batch. What an event sees is then one stretch of every column, and most of
what is asked of a stretch is a count, a sum or an extreme: loops without a jump, which the processor does eight numbers
at a time. That is quicker than to look at each fact once and sort it into its window.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from riskstream.schemas.facts import EVENT_HASH, EVENT_TIME
from riskstream.schemas.machine import pointer, prefetch

Ints = NDArray[np.int64]
Ages = NDArray[np.uint64]

# Rows of `past`: where a fact lies, then what is taken of it: time, hash, value, and each distinct word.
_ROW, _TIME, _HASH, _VALUE, _WORDS = 0, 1, 2, 3, 4
COMMON = (EVENT_TIME, EVENT_HASH)
"""The words of every fact that are taken before those which a specification names."""

_LEAST = np.iinfo(np.int64).min
_OLDEST = np.uint64(0xFFFFFFFFFFFFFFFF)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_GOLDEN, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)  # 2**64 over the golden ratio; bits of a half

_AHEAD, _FIRST_FACTS = 4, 8  # users of many are in no cache: this many events ahead, and this many facts of theirs

# A part of the pass, compiled into it: a call with so many arrays would cost more than what is done with them.
_part = njit(nogil=True, inline="always")


class _Rules(NamedTuple):
    """HistorySpec inside the pass."""

    widths: Ages  # of the windows, ascending, then the horizon
    shown: Ints  # [n, 2] the windows of the distinct counts, ascending, each with its place among the columns
    taken: Ints  # the words of a fact that become columns
    capacity: int


class _Scratch(NamedTuple):
    """Working memory: the user's facts, and of one event the age of each."""

    past: Ints  # [column, fact]
    ages: Ages
    table: Ages  # hash table of values seen; zero is an empty slot


@_part
def _power_of_two(least):  # type: ignore[no-untyped-def]
    size = 1
    while size < least:
        size *= 2
    return size


@_part
def _scratch(columns, capacity):  # type: ignore[no-untyped-def]
    return _Scratch(
        np.empty((columns, 2 * capacity), np.int64),
        np.empty(capacity, np.uint64),
        np.empty(_power_of_two(2 * capacity), np.uint64),
    )


@njit(nogil=True)  # a call: compiled into the pass, it would keep the loops there from going eight numbers at a time
def _approach(data, width, begin, end):  # type: ignore[no-untyped-def]
    """Have a user's facts brought closer. Of a long history it is enough to begin: the rest follows in a row."""
    for row in range(begin, min(begin + _FIRST_FACTS, end)):
        prefetch(data, row * width)


@_part
def _push(facts, begin, end, taken, past, stop):  # type: ignore[no-untyped-def]
    """Append the rows [begin, end) to the user's `stop` facts; their new number. The oldest make way."""
    capacity = past.shape[1] // 2
    for row in range(max(begin, end - capacity), end):
        if stop == 2 * capacity:
            stop = capacity
            for c in range(len(past)):
                for i in range(capacity):
                    past[c, i] = past[c, stop + i]
        past[_ROW, stop] = row
        for c in range(len(taken)):
            past[1 + c, stop] = facts[row, taken[c]]
        stop += 1
    return stop


@_part
def _find(hashes, own):  # type: ignore[no-untyped-def]
    """Where the event's own hash is, -1 if it is not: searched for only if it is there, which it hardly ever is."""
    found = 0
    for i in range(len(hashes)):
        found += hashes[i] == own
    if found > 0:
        for i in range(len(hashes)):
            if hashes[i] == own:
                return i
    return -1


@_part
def _window(ages, values, width):  # type: ignore[no-untyped-def]
    """Number, sum and largest value of the facts younger than `width`."""
    number, total, largest = 0, 0, _LEAST
    for i in range(len(ages)):
        inside = ages[i] < width
        number += inside
        total += values[i] if inside else 0
        largest = max(largest, values[i] if inside else _LEAST)
    return number, total, largest


@_part
def _youngest(ages):  # type: ignore[no-untyped-def]
    least = _OLDEST
    for i in range(len(ages)):
        least = min(least, ages[i])
    return least


@_part
def _spread(ages, values, horizon, counted, total):  # type: ignore[no-untyped-def]
    """Mean and population deviation, in two passes and in offset order: the same bits everywhere."""
    if counted == 0:
        return np.nan, np.nan
    mean = total / counted
    squares = 0.0
    for i in range(len(ages)):
        squares += (values[i] - mean) ** 2 if ages[i] < horizon else 0.0
    return mean, np.sqrt(squares / counted) if counted > 1 else np.nan


@_part
def _same(ages, words, horizon, own):  # type: ignore[no-untyped-def]
    """How many facts have the event's own value."""
    same = 0
    for i in range(len(ages)):
        same += (ages[i] < horizon) & (words[i] == own)
    return same


@_part
def _distinct(ages, words, least, width, table, mask):  # type: ignore[no-untyped-def]
    """How many values facts of an age in [least, width) add to those in the table; zero is no value."""
    added = 0
    for i in range(len(ages)):
        if ages[i] - least < width - least:  # what is younger than `least` comes out as very old
            key = np.uint64(words[i])
            # Golden-ratio hashing: the high bits of the product are well mixed even for small codes such as countries.
            slot = ((key * _GOLDEN) >> _HALF) & mask
            # Neither empty nor the key, asked as one question: of two jumps, one would be guessed wrong all the time.
            while min(table[slot], table[slot] ^ key) != _ZERO:
                slot = (slot + _ONE) & mask
            added += table[slot] != key
            table[slot] = key
    return added


@_part
def _vary(ages, words, rules, table, out):  # type: ignore[no-untyped-def]
    """Write the distinct values of a word by window: a window adds its own to those of the smaller ones."""
    mask = np.uint64(_power_of_two(2 * len(ages)) - 1)
    for slot in range(mask + _ONE):
        table[slot] = 0
    found, least = 0, _ZERO
    for s in range(len(rules.shown)):
        width = rules.widths[rules.shown[s, 0]]
        found += _distinct(ages, words, least, width, table, mask)
        least = width
        out[rules.shown[s, 1]] = found


@_part
def _measure(facts, row, start, stop, rules, scratch, out):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Write the columns of the event at `row`, in the order of `HistorySpec.columns`, over its visible facts."""
    past, ages = scratch.past, scratch.ages[: stop - start]
    times, values = past[_TIME, start:stop], past[_VALUE, start:stop]
    for i in range(len(ages)):
        ages[i] = np.uint64(facts[row, EVENT_TIME] - times[i])  # of a fact in the future: older than any width
    windows, words, shown = len(rules.widths) - 1, len(past) - _WORDS, len(rules.shown)
    for w in range(windows):
        number, total, largest = _window(ages, values, rules.widths[w])
        out[4 * w], out[4 * w + 1] = number, total
        out[4 * w + 2] = total / number if number > 0 else np.nan
        out[4 * w + 3] = largest if number > 0 else np.nan
    horizon = rules.widths[windows]
    counted, total, _ = _window(ages, values, horizon)
    rest = 4 * windows + words * shown
    out[rest] = _youngest(ages) / 1000.0 if counted > 0 else np.nan
    out[rest + 1], out[rest + 2] = _spread(ages, values, horizon, counted, total)
    for d in range(words):
        own, column = facts[row, rules.taken[d + _WORDS - 1]], past[_WORDS + d, start:stop]
        out[rest + 3 + d] = _same(ages, column, horizon, own) if own != 0 else np.nan
        _vary(ages, column, rules, scratch.table, out[4 * windows + d * shown :])


# Explicit types: a worker must never stop to compile for an array that is merely read-only or oddly strided.
_FACTS = types.Array(types.int64, 2, "C", readonly=True)
_VECTOR = types.Array(types.int64, 1, "C", readonly=True)
_WIDTHS = types.Array(types.uint64, 1, "C", readonly=True)


@_part
def _longest_past(facts, first, position):  # type: ignore[no-untyped-def]
    """Of any event. Compiled code does not check indexes, so they are checked here."""
    longest = 0
    for k in range(len(position)):
        if not 0 <= first[k] <= position[k] < len(facts):
            raise ValueError("every event needs 0 <= first <= position < number of facts")
        longest = max(longest, position[k] - first[k])
    return longest


@njit(
    types.void(
        _FACTS, _VECTOR, _VECTOR, _VECTOR, _WIDTHS, _FACTS, _VECTOR, types.int64,
        types.float64[:, ::1], types.int64[::1], types.boolean[::1],
    ),
    cache=True, nogil=True,
)  # fmt: skip
def measure(facts, first, position, order, widths, shown, taken, capacity, values, original, repeated):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Fill `values`, `original` and `repeated` of `Aggregates`; `order` are the events by row. Raises ValueError."""
    rules = _Rules(widths, shown, taken, max(1, min(capacity, _longest_past(facts, first, position))))
    scratch = _scratch(1 + len(taken), rules.capacity)
    past, user, stop, done = scratch.past, -1, 0, 0
    for i in range(len(order)):
        if i + _AHEAD < len(order):
            ahead = order[i + _AHEAD]
            _approach(pointer(facts), facts.shape[1], first[ahead], position[ahead])
        k = order[i]
        row = position[k]
        if first[k] != user:
            user, stop, done = first[k], 0, first[k]
        stop = _push(facts, done, row, taken, past, stop)
        start = max(0, stop - rules.capacity)
        end = stop
        original[k] = -1
        place = _find(past[_HASH, start:stop], facts[row, EVENT_HASH])
        repeated[k] = place >= 0
        if place >= 0:  # a repeat sees what lies before its original
            original[k] = past[_ROW, start + place]
            end = start + place
        _measure(facts, row, start, end, rules, scratch, values[k])
        if place < 0:
            stop = _push(facts, row, row + 1, taken, past, stop)
        done = row + 1
