"""Where each user's seat is: a hash table of users by partition, in arrays, for whole batches at once.

A dictionary takes four places in memory to find a user, one after the other. With millions of users none of them is in
the processor's caches, and waiting for them would be half of what an event costs. Here they are two, and those of a
whole batch are on their way at the same time.
"""

import secrets

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from riskstream.schemas.machine import folded_product, load64, pointer, prefetch
from riskstream.schemas.texts import Texts
from riskstream.schemas.xxh3 import LONGEST, xxh3_64

Ints = NDArray[np.int64]

NOBODY = -1
"""In place of a seat: the user has none."""

_WORD = 8  # bytes
_HALF, _LOWER = np.uint64(32), np.uint64(0xFFFFFFFF)
_EMPTY, _ONE = np.uint64(0), np.uint64(1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio


class UserIndex:
    """Seats, small numbers from zero on, by partition and user. One thread.

    What the compiled `find` looks into is `seed`, `slots` and `names`. A slot has a part of a user's hash in its upper
    half and the seat, plus one, in its lower. `names` has a row for each seat: partition and size in a word, then the
    user's bytes, zeros behind them.
    """

    def __init__(self) -> None:
        self.slots = np.zeros(1024, np.uint64)
        self.names = np.zeros((512, 3), np.int64)
        self._seated = 0
        # So that nobody can choose ids that all meet in one place.
        self.seed = np.uint64(secrets.randbits(64))

    def find(self, partitions: Ints, users: Texts) -> Ints:
        """The seat of each, int64[n]; NOBODY for one who has none."""
        seats = np.empty(len(users.start), np.int64)
        find(users.data, users.start, users.length, partitions, self.seed, self.slots, self.names, seats)
        return seats

    def add(self, partition: int, users: Texts, seats: Ints) -> None:
        """Users of a partition who have no seat yet, each once."""
        if not len(seats):
            return
        self._make_room(len(seats), int(seats.max()) + 1, int(users.length.max()))
        _add(users.data, users.start, users.length, partition, seats, self.seed, self.slots, self.names)
        self._seated += len(seats)

    def remove(self, seats: Ints) -> None:
        """Whoever sits there."""
        _remove(seats, self.names.view(np.uint8).reshape(-1), self.seed, self.slots, self.names)
        self._seated -= len(seats)

    def users(self, seats: Ints) -> list[bytes]:
        """Who sits there."""
        names = self.names[seats]
        raw, width = names.tobytes(), names.shape[1] * _WORD
        sizes = (names[:, 0] & int(_LOWER)).tolist()
        return [raw[at : at + size] for at, size in zip(range(_WORD, len(raw), width), sizes, strict=True)]

    def _make_room(self, more: int, seats: int, longest: int) -> None:
        rows, width = self.names.shape
        if seats > rows or longest > (width - 1) * _WORD:
            wanted = 1 + -(-longest // _WORD)
            names = np.zeros((rows if seats <= rows else 2 * seats, max(width, wanted)), np.int64)
            names[:rows, :width], self.names = self.names, names
        # Half full at most: then a user is mostly in the first slot that is looked at.
        if (needed := 2 * (self._seated + more)) > len(self.slots):
            slots = np.zeros(1 << needed.bit_length(), np.uint64)
            _move(self.slots, slots)
            self.slots = slots


_part = njit(nogil=True)


@_part
def _hash(data, start, size, seed):  # type: ignore[no-untyped-def]
    """32 bits of a text, in the upper half; of one that is longer than can be hashed, of its end."""
    some = min(size, LONGEST)
    mixed = folded_product(np.uint64(xxh3_64(data, start + size - some, some)) ^ seed, _GOLDEN)
    return mixed & ~_LOWER


@_part
def _word(data, start, size):  # type: ignore[no-untyped-def]
    """The first eight bytes of a text; zeros behind its end."""
    if size >= _WORD:
        return np.int64(load64(data, start))
    word = np.int64(0)
    for place in range(size):
        word |= np.int64(data[start + place]) << (8 * place)
    return word


@_part
def _head(partition, size):  # type: ignore[no-untyped-def]
    return (partition << 32) | size


@_part
def _is(name, partition, data, start, size):  # type: ignore[no-untyped-def]
    if name[0] != _head(partition, size):
        return False
    for word in range((size + _WORD - 1) // _WORD):
        if name[1 + word] != _word(data, start + word * _WORD, size - word * _WORD):
            return False
    return True


_BYTES, _GIVEN = (types.Array(kind, 1, "C", readonly=True) for kind in (types.uint8, types.int64))
_SLOTS, _NAMES = types.uint64[::1], types.int64[:, ::1]


@njit(
    types.void(_BYTES, _GIVEN, _GIVEN, _GIVEN, types.uint64, _SLOTS, _NAMES, types.int64[::1]), cache=True, nogil=True
)
def find(texts, start, size, partitions, seed, slots, names, seats):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Fill `seats` of `UserIndex.find`. For compiled code."""
    data, mask = pointer(texts), np.uint64(len(slots) - 1)
    table, rows, width = pointer(slots), pointer(names), names.shape[1]
    for k in range(len(seats)):
        code = _hash(data, start[k], size[k], seed)
        prefetch(table, np.int64((code >> _HALF) & mask))
        seats[k] = np.int64(code)
    for k in range(len(seats)):
        slot = slots[(np.uint64(seats[k]) >> _HALF) & mask]
        if slot != _EMPTY:
            prefetch(rows, (np.int64(slot & _LOWER) - 1) * width)
    for k in range(len(seats)):
        code = np.uint64(seats[k])
        place, seats[k] = (code >> _HALF) & mask, NOBODY
        while slots[place] != _EMPTY:
            seat = np.int64(slots[place] & _LOWER) - 1
            if slots[place] & ~_LOWER == code and _is(names[seat], partitions[k], data, start[k], size[k]):
                seats[k] = seat
                break
            place = (place + _ONE) & mask


@_part
def _put(slots, slot):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(slots) - 1)
    place = (slot >> _HALF) & mask
    while slots[place] != _EMPTY:
        place = (place + _ONE) & mask
    slots[place] = slot


@njit(types.void(_BYTES, _GIVEN, _GIVEN, types.int64, _GIVEN, types.uint64, _SLOTS, _NAMES), cache=True, nogil=True)
def _add(texts, start, size, partition, seats, seed, slots, names):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    data = pointer(texts)
    for k in range(len(seats)):
        name = names[seats[k]]
        name[:] = 0
        name[0] = _head(partition, size[k])
        for word in range((size[k] + _WORD - 1) // _WORD):
            name[1 + word] = _word(data, start[k] + word * _WORD, size[k] - word * _WORD)
        _put(slots, _hash(data, start[k], size[k], seed) | np.uint64(seats[k] + 1))


@njit(types.void(_SLOTS, _SLOTS), cache=True, nogil=True)
def _move(old, new):  # type: ignore[no-untyped-def]
    for slot in old:
        if slot != _EMPTY:
            _put(new, slot)


@_part
def _close(slots, gap):  # type: ignore[no-untyped-def]
    """Empty a slot. Those behind it move up as far as they may: each is found from where its hash points to."""
    mask = np.uint64(len(slots) - 1)
    place = gap
    while True:
        place = (place + _ONE) & mask
        if slots[place] == _EMPTY:
            break
        wanted = (slots[place] >> _HALF) & mask
        if ((place - wanted) & mask) >= ((place - gap) & mask):
            slots[gap] = slots[place]
            gap = place
    slots[gap] = _EMPTY


@njit(types.void(_GIVEN, types.uint8[::1], types.uint64, _SLOTS, _NAMES), cache=True, nogil=True)
def _remove(seats, texts, seed, slots, names):  # type: ignore[no-untyped-def]
    data, width, mask = pointer(texts), names.shape[1] * _WORD, np.uint64(len(slots) - 1)
    for seat in seats:
        wanted = _hash(data, seat * width + _WORD, names[seat, 0] & 0xFFFFFFFF, seed) | np.uint64(seat + 1)
        place = (wanted >> _HALF) & mask
        while slots[place] != wanted:
            place = (place + _ONE) & mask
        _close(slots, place)
