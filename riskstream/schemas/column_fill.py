"""One compiled pass from the places of fields in a batch's bytes to its columns: see `json_walk` and `columns`.

`reader` calls it and the walk together.
"""

import numpy as np
from numba import njit, types

from riskstream.schemas.json_walk import ABSENT, SIZE, VALUE
from riskstream.schemas.machine import pointer, same
from riskstream.schemas.xxh3 import xxh3_64

# Columns of `columns`: the last two say where a code's slots begin, and how many there are, less one.
KIND, FIELD, IF_ABSENT, IF_NULL, SLOTS, MASK = range(6)
AS_IS, FLOAT, HASH, CODE, DIGITS, LENGTH = range(6)
# Columns of `slots`: where a name stands in `data`, its size, and its code.
NAME, NAME_SIZE, POSITION = range(3)
_SLOT = 3
EMPTY = -1
# The first fields.
EVENT_ID, USER_ID, EVENT_TIME = range(3)

_part = njit(nogil=True)


@_part
def _code(data, start, size, slots, mask):  # type: ignore[no-untyped-def]
    """The code of a text, 0 if it is no name. `slots` points to a hash table that is never full."""
    slot = xxh3_64(data, start, size) & mask
    while slots[_SLOT * slot + NAME_SIZE] != EMPTY:
        if slots[_SLOT * slot + NAME_SIZE] == size and same(data, slots[_SLOT * slot + NAME], start, size):
            return slots[_SLOT * slot + POSITION]
        slot = (slot + 1) & mask
    return 0


@_part
def _spelt(data, start, size):  # type: ignore[no-untyped-def]
    number = 0
    for place in range(start, start + size):
        number = 10 * number + data[place] - ord("0")
    return number


@_part
def _word(data, kind, value, size, slots, mask):  # type: ignore[no-untyped-def]
    """What a column has for a field that is there: 64 bits, whatever their type."""
    if kind == HASH:
        return xxh3_64(data, value, size)
    if kind == CODE:
        return _code(data, value, size, slots, mask)
    if kind == DIGITS:
        return _spelt(data, value, size)
    if kind == FLOAT:
        return np.float64(value).view(np.int64)
    return size if kind == LENGTH else value


_BYTES, _TABLE = types.Array(types.uint8, 1, "C", readonly=True), types.int64[:, ::1]


@njit(types.void(_BYTES, _TABLE, _TABLE, types.int64[:, :, ::1], _TABLE), cache=True, nogil=True)
def fill(data, columns, slots, found, out):  # type: ignore[no-untyped-def]
    """Fill `out` int64[columns, n] from `found` int64[n, fields, 2]. `columns` int64[c, 6] and `slots` int64[s, 3] are
    the table."""
    data = pointer(data)
    for number in range(len(columns)):
        kind, field = columns[number, KIND], columns[number, FIELD]
        absent, null = columns[number, IF_ABSENT], columns[number, IF_NULL]
        names, mask = pointer(slots[columns[number, SLOTS] :]), columns[number, MASK]
        for row in range(len(found)):
            value, size = found[row, field, VALUE], found[row, field, SIZE]
            if size >= 0:
                out[number, row] = _word(data, kind, value, size, names, mask)
            else:
                out[number, row] = absent if size == ABSENT else null


@njit(
    types.int64(_BYTES, types.int64[::1], types.int64[::1], types.int64[:, :, ::1], types.boolean[::1]),
    cache=True,
    nogil=True,
)
def doubt(data, numbers, limits, found, proven):  # type: ignore[no-untyped-def]
    """Doubt records that are too large, in another's name or out of their time; how many are doubted in all.

    `numbers` int64[1 + 3n]: sizes of what `data` begins with, of the values and of the keys, and timestamps.
    `limits`: bytes of a value, milliseconds before the record's timestamp and after it.
    """
    data, records, doubted = pointer(data), len(proven), 0
    begin = numbers[: records + 1].sum() + records + 1
    for row in range(records):
        size, key_size, timestamp = numbers[1 + row], numbers[1 + records + row], numbers[1 + 2 * records + row]
        time = found[row, EVENT_TIME, VALUE]
        proven[row] &= (
            size <= limits[0]
            and found[row, USER_ID, SIZE] == key_size
            and key_size > 0
            and same(data, found[row, USER_ID, VALUE], begin, key_size)
            # A difference that overflows is beyond one of the limits.
            and timestamp - time <= limits[1]
            and (timestamp < 0 or time - timestamp <= limits[2])
        )
        doubted += not proven[row]
        begin += key_size + 1
    return doubted
