"""The facts of many users in one array, so that compiled code reaches them without asking Python for each.

A user has a seat, a row of numbers, and a room: so many rows of `facts`, of which the first are the user's history. The
next batch's facts are laid behind them in place, and belong to the history once they are kept. Nothing is copied but
when a room has become too small.
"""

from collections import Counter

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from riskstream.schemas.facts import WORD
from riskstream.workers import cache_lines

Ints = NDArray[np.int64]

# Columns of `seats`: one line of the processor's cache for each user.
START, LENGTH, ROOM, STORED, USED, OWNER, LAID, STATE = range(8)
# Bits of STATE: facts wait to be written, as a whole; or are on their way; the user's profile is known.
PENDING, ANEW, UNDER_WAY, PROFILED = 1, 2, 4, 8

_NOWHERE = -1

_SIZES = np.array(sorted(size << shift for size in (4, 6) for shift in range(40)))
"""Of rooms, in rows."""


class FactMemory:
    """`facts` int64[rows, words] and `seats` int64[n, 8]; both may be replaced by larger ones when seats are taken."""

    def __init__(self, words: int, max_bytes: int) -> None:
        """Memory is only used as facts come; a quarter above `max_bytes` is for rooms that stand empty."""
        self._words = words
        # np.empty leaves pages to the kernel until they are written to, and asks for huge ones.
        self.facts = cache_lines.empty((max_bytes * 5 // 4 // (words * WORD.itemsize) + 1024, words), WORD)
        self.seats = cache_lines.zeros((1024, 8), np.int64)
        self.rows: Counter[int] = Counter()
        """Rows taken, by owner."""
        self.users: Counter[int] = Counter()
        """Seats taken, by owner."""
        self.all_rows = self.all_users = 0
        """The same of all owners: asked for after each batch."""
        self._unused: list[int] = []
        self._seated, self._turn = 0, 0
        self._rooms = np.array([0, *[_NOWHERE] * len(_SIZES)], np.int64)
        """Where no room ever was; then of each size the first that stands empty, whose first word is the next one."""

    def take(self, owner: int, lengths: Ints) -> Ints:
        """Seats for users of an owner, with room for `lengths` facts, which are to be filled in, and for one more."""
        seats = np.array([self._seat() for _ in lengths], np.int64)
        sizes = np.searchsorted(_SIZES, lengths + 1)
        self.seats[seats, START], self.seats[seats, ROOM] = self._take(sizes), _SIZES[sizes]
        self.seats[seats, LENGTH] = self.seats[seats, STORED] = lengths
        self.seats[seats, USED], self.seats[seats, OWNER] = self._turn, owner
        self._note(owner, int(_SIZES[sizes].sum()), len(seats))
        return seats

    def fill(self, seats: Ints, facts: Ints) -> None:
        """The histories of seats just taken, `facts` int64[m, words], one after the other."""
        _fill(seats, facts, self.seats, self.facts)

    def leave(self, seats: Ints) -> None:
        """Give seats of one owner back."""
        if not len(seats):
            return
        owner = int(self.seats[seats[0], OWNER])
        self._note(owner, -int(self.seats[seats, ROOM].sum()), -len(seats))
        _leave(seats, self.seats, self.facts, self._rooms)
        self.seats[seats] = 0
        self._unused += seats.tolist()

    def of(self, owner: int) -> Ints:
        """The seats of an owner, in order."""
        return np.flatnonzero((self.seats[:, OWNER] == owner) & (self.seats[:, ROOM] > 0))

    def history(self, seat: int) -> Ints:
        """The facts kept there, int64[length, words]; a view."""
        start, length = int(self.seats[seat, START]), int(self.seats[seat, LENGTH])
        return self.facts[start : start + length]

    def lacking(self, seats: Ints, state: int) -> Ints:
        """The rows whose seat is none, or lacks that bit of STATE."""
        rows = np.empty(len(seats), np.int64)
        return rows[: lacking(seats, state, self.seats, rows)]

    def lay(self, seats: Ints, facts: Ints) -> tuple[Ints, Ints]:
        """Put each row's fact behind its user's history and the user's earlier rows: where the history begins, and
        where the row lies now. Raises IndexError for a row without a seat."""
        first, position = np.empty(len(seats), np.int64), np.empty(len(seats), np.int64)
        if short := lay(seats, facts, self.seats, self.facts, self.next_turn(), first, position):
            self.move(first[:short], position[:short])
            place(seats, facts, self.seats, self.facts, first, position)
        return first, position

    def next_turn(self) -> int:
        """The number of a batch, by which it is known who came last."""
        self._turn += 1
        return self._turn

    def keep(self, seats: Ints, position: Ints, left_out: NDArray[np.bool_], limit: int) -> tuple[Ints, Ints]:
        """As the function does."""
        kept: tuple[Ints, Ints] = keep(seats, position, left_out, limit, self.seats, self.facts)
        return kept

    def move(self, seats: Ints, lengths: Ints) -> None:
        """Each of int64[m] seats to a room for so many facts, with the history as far as it fits; `facts` may be
        replaced. Who comes twice needs more facts the second time."""
        grown = np.empty(len(seats), np.int64)
        done = _move(seats, lengths, self.seats, self.facts, self._rooms, grown)
        for owner, rows in zip(self.seats[seats[:done], OWNER].tolist(), grown[:done].tolist(), strict=True):
            self._note(owner, rows, 0)
        if done < len(seats):
            self._compact(np.searchsorted(_SIZES, lengths[done:]))
            self.move(seats[done:], lengths[done:])

    def trim(self, seat: int, length: int, most: int) -> None:
        """Keep the last `length` facts, with room for `most`."""
        last = self.history(seat)[-length:].copy()
        self.move(np.array([seat]), np.array([most]))
        start = self.seats[seat, START]
        self.facts[start : start + length] = last
        self.seats[seat, LENGTH] = length

    def hand_over(self, seats: Ints) -> tuple[bytes, list[int], NDArray[np.bool_]]:
        """Facts that are to be written, of all these users one after the other; where each one's end, in bytes; and
        whose are the whole history. They are under way from now on."""
        ends, anew = np.empty(len(seats), np.int64), np.empty(len(seats), np.bool_)
        flat = np.empty((_count(seats, self.seats, ends, anew), self._words), np.int64)
        _hand_over(seats, self.seats, self.facts, flat)
        size = flat.strides[0]
        return flat.tobytes(), [size * end for end in ends.tolist()], anew

    def _note(self, owner: int, rows: int, users: int) -> None:
        self.rows[owner] += rows
        self.users[owner] += users
        self.all_rows += rows
        self.all_users += users

    def _seat(self) -> int:
        if self._unused:
            return self._unused.pop()
        if self._seated == len(self.seats):
            table = cache_lines.zeros((2 * self._seated, 8), np.int64)
            table[: self._seated], self.seats = self.seats, table
        self._seated += 1
        return self._seated - 1

    def _take(self, sizes: Ints) -> Ints:
        """Where a room of each size is. What is in use may be moved to make way."""
        starts = np.empty(len(sizes), np.int64)
        if not _take(sizes, self.facts, self._rooms, starts):
            self._compact(sizes)
            _take(sizes, self.facts, self._rooms, starts)
        return starts

    def _compact(self, sizes: Ints) -> None:
        """Rooms that stand empty are closed; the array grows if there was too little space for more rooms."""
        needed = int(self.seats[:, ROOM].sum() + _SIZES[sizes].sum())
        rows = len(self.facts) if needed * 8 < len(self.facts) * 7 else 2 * needed
        packed = cache_lines.empty((rows, self._words), WORD)
        self._rooms[:] = _NOWHERE
        self._rooms[0] = _pack(self.seats, self.facts, packed)
        self.facts = packed


_part = njit(nogil=True)

_ONE, _TWO = types.int64[::1], types.int64[:, ::1]
_GIVEN, _FACTS = types.Array(types.int64, 1, "C", readonly=True), types.Array(types.int64, 2, "C", readonly=True)


@njit(types.int64(_GIVEN, types.int64, _TWO, _ONE), cache=True, nogil=True)
def lacking(of, state, seats, rows):  # type: ignore[no-untyped-def]
    """Fill the first of `rows` [n]; answers how many. For compiled code."""
    found = 0
    for k in range(len(of)):
        if of[k] < 0 or not seats[of[k], STATE] & state:
            rows[found] = k
            found += 1
    return found


@njit(types.void(_GIVEN, _FACTS, _TWO, _TWO, _ONE, _ONE), cache=True, nogil=True)
def place(of, rows, seats, facts, first, position):  # type: ignore[no-untyped-def]
    """Put down the rows that were counted, the last one first. For compiled code."""
    for k in range(len(of) - 1, -1, -1):
        seat = seats[of[k]]
        seat[LAID] -= 1
        first[k] = seat[START]
        position[k] = seat[START] + seat[LENGTH] + seat[LAID]
        facts[position[k]] = rows[k]


@njit(types.int64(_GIVEN, _FACTS, _TWO, _TWO, types.int64, _ONE, _ONE), cache=True, nogil=True)
def lay(of, rows, seats, facts, turn, first, position):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Count how many rows each seat gets, and put them down if all have the room. Else the first of `first` are those
    who lack it, some of them more than once, and of `position` what they need; answers how many."""
    short = 0
    for k in range(len(of)):
        if of[k] < 0:
            raise IndexError("a row without a seat")
        seat = seats[of[k]]
        seat[USED] = turn
        seat[LAID] += 1
        if seat[LENGTH] + seat[LAID] > seat[ROOM]:
            first[short], position[short] = of[k], seat[LENGTH] + seat[LAID]
            short += 1
    if short == 0:
        place(of, rows, seats, facts, first, position)
    return short


@njit(types.void(_GIVEN, _FACTS, _TWO, _TWO), cache=True, nogil=True)
def _fill(of, rows, seats, facts):  # type: ignore[no-untyped-def]
    at = 0
    for k in range(len(of)):
        seat = seats[of[k]]
        for row in range(seat[START], seat[START] + seat[LENGTH]):
            facts[row] = rows[at]
            at += 1


@_part
def _taken(size, facts, rooms):  # type: ignore[no-untyped-def]
    """Where a room is that was empty until now, _NOWHERE if there is no space for one."""
    start = rooms[1 + size]
    if start != _NOWHERE:
        rooms[1 + size] = facts[start, 0]
    elif rooms[0] + _SIZES[size] <= len(facts):
        start = rooms[0]
        rooms[0] += _SIZES[size]
    return start


@_part
def _left(start, size, facts, rooms):  # type: ignore[no-untyped-def]
    facts[start, 0], rooms[1 + size] = rooms[1 + size], start


@njit(types.boolean(_GIVEN, _TWO, _ONE, _ONE), cache=True, nogil=True)
def _take(sizes, facts, rooms, starts):  # type: ignore[no-untyped-def]
    """Whether there was space for all."""
    for k in range(len(sizes)):
        starts[k] = _taken(sizes[k], facts, rooms)
        if starts[k] == _NOWHERE:
            return False
    return True


@njit(types.void(_GIVEN, _TWO, _TWO, _ONE), cache=True, nogil=True)
def _leave(of, seats, facts, rooms):  # type: ignore[no-untyped-def]
    for k in range(len(of)):
        seat = seats[of[k]]
        _left(seat[START], np.searchsorted(_SIZES, seat[ROOM]), facts, rooms)


@njit(types.int64(_GIVEN, _GIVEN, _TWO, _TWO, _ONE, _ONE), cache=True, nogil=True)
def _move(of, lengths, seats, facts, rooms, grown):  # type: ignore[no-untyped-def]
    """How many were moved, or had the right room; there was no space for the next one. `grown`: by so many rows."""
    for k in range(len(of)):
        seat, size = seats[of[k]], np.searchsorted(_SIZES, lengths[k])
        grown[k] = _SIZES[size] - seat[ROOM]
        if grown[k] == 0:
            continue
        start = _taken(size, facts, rooms)
        if start == _NOWHERE:
            return k
        for row in range(min(seat[LENGTH], _SIZES[size])):
            facts[start + row] = facts[seat[START] + row]
        _left(seat[START], np.searchsorted(_SIZES, seat[ROOM]), facts, rooms)
        seat[START], seat[ROOM] = start, _SIZES[size]
    return len(of)


_FLAGS = types.Array(types.boolean, 1, "C", readonly=True)


@njit(types.Tuple((_TWO, _ONE))(_GIVEN, _GIVEN, _FLAGS, types.int64, _TWO, _TWO), cache=True, nogil=True)
def keep(of, position, left_out, limit, seats, facts):  # type: ignore[no-untyped-def]
    """Laid rows become history, but for those `left_out`: the seats that are pending since now with their owners,
    int64[k, 2], and those with histories longer than `limit`, some of them more than once. For compiled code."""
    pending, long, new, longer = np.empty((len(of), 2), np.int64), np.empty(len(of), np.int64), 0, 0
    for k in range(len(of)):
        seat = seats[of[k]]
        if seat[LENGTH] + (not left_out[k]) > limit:
            long[longer] = of[k]
            longer += 1
        if left_out[k]:
            continue
        place = seat[START] + seat[LENGTH]
        if place != position[k]:  # something before it was left out
            facts[place] = facts[position[k]]
        seat[LENGTH] += 1
        if not seat[STATE] & PENDING:
            seat[STATE] |= PENDING
            pending[new, 0], pending[new, 1] = of[k], seat[OWNER]
            new += 1
    return pending[:new], long[:longer]


@_part
def _first_waiting(seat):  # type: ignore[no-untyped-def]
    """Of the history, the first fact that is to be written."""
    return 0 if seat[STATE] & ANEW else seat[STORED]


@njit(types.int64(_GIVEN, _TWO, _ONE, types.boolean[::1]), cache=True, nogil=True)
def _count(of, seats, ends, anew):  # type: ignore[no-untyped-def]
    """How many facts are to be written, and up to each user."""
    count = 0
    for k in range(len(of)):
        seat = seats[of[k]]
        count += seat[LENGTH] - _first_waiting(seat)
        ends[k], anew[k] = count, seat[STATE] & ANEW != 0
    return count


@njit(types.void(_GIVEN, _TWO, _FACTS, _TWO), cache=True, nogil=True)
def _hand_over(of, seats, facts, flat):  # type: ignore[no-untyped-def]
    at = 0
    for k in range(len(of)):
        seat = seats[of[k]]
        for row in range(seat[START] + _first_waiting(seat), seat[START] + seat[LENGTH]):
            flat[at] = facts[row]
            at += 1
        seat[STORED], seat[STATE] = seat[LENGTH], seat[STATE] & PROFILED | UNDER_WAY


@njit(types.int64(_TWO, _FACTS, _TWO), cache=True, nogil=True)
def _pack(seats, facts, packed):  # type: ignore[no-untyped-def]
    """Rooms one after the other; where they end."""
    end = 0
    for k in range(len(seats)):
        seat = seats[k]
        for row in range(seat[LENGTH]):
            packed[end + row] = facts[seat[START] + row]
        seat[START] = end
        end += seat[ROOM]
    return end
