"""One compiled walk over the bytes of a batch: it proves records good and finds the values of their fields.

Proven is a record that is one JSON object, has no key twice, every required field, and in each field a value within its
bounds. Keys mostly follow each other as they did in the record before: then all from the end of a value to the begin of
the next is compared with what stood there, eight bytes at a time. Else the key is read and looked up.

The walk may doubt a good record (escapes in a known text, numbers with an exponent where whole ones belong, many keys)
and never proves a bad one; what it doubts is judged exactly elsewhere.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types

from riskstream.schemas.json_values import (
    COLON,
    COMMA,
    END_OBJECT,
    FALS,
    NULL,
    OBJECT,
    PLAIN,
    QUOTE,
    TRUE,
    blanks,
    past_value,
    read_float,
    read_integer,
)
from riskstream.schemas.machine import load32, pointer, same

# Columns of `fields`: bounds are those of a text's length or of a number, a float's as its bits; the name is in `data`.
KIND, NULLABLE, REQUIRED, LOW, HIGH, NAME, NAME_SIZE = range(7)
FIELD = 7  # how many
TEXT, INTEGER, BOOLEAN, FLOAT = range(4)
# The end of `found`: where a text begins, or the number; and the text's size, or one of these.
VALUE, SIZE = range(2)
ABSENT, MISSING = -2, -1

MAX_KEYS = 62
"""Different keys in a batch, known ones included: a bit of a word for each. After that unknown ones are forgotten."""
# Columns of `keys`: where its name stands; what stood between its value and the next one; and the next key. The last
# row is for what comes before the first key.
_NAME, _NAME_SIZE, _GAP, _GAP_SIZE, _NEXT = range(5)
_KEY = 5  # columns of `keys`
KEYS = (MAX_KEYS + 1, _KEY)
"""The shape of the scratch memory for keys."""

_part = njit(nogil=True)


class _Batch(NamedTuple):
    """Pointers to what is read and written."""

    data: Any
    fields: Any
    allowed: Any
    keys: Any
    found: Any


@_part
def _known(batch, place, key, row):  # type: ignore[no-untyped-def]
    """Past the value of a known field, which `found` then has; -1 where it is not proven good."""
    data, field, found = batch.data, key * FIELD, batch.found
    kind, low, high = batch.fields[field + KIND], batch.fields[field + LOW], batch.fields[field + HIGH]
    found[row + SIZE] = 0
    if load32(data, place) == NULL:
        found[row + SIZE] = MISSING
        return place + 4 if batch.fields[field + NULLABLE] else -1
    if kind == TEXT:
        first = place + 1
        size = 0
        while batch.allowed[key * 256 + data[first + size]]:
            size += 1
        found[row + VALUE], found[row + SIZE] = first, size
        quoted = data[place] == QUOTE and data[first + size] == QUOTE
        return first + size + 1 if quoted and low <= size <= high else -1
    if kind == INTEGER:
        number, place = read_integer(data, place)
        found[row + VALUE] = number
        return place if low <= number <= high else -1
    if kind == FLOAT:
        fraction, place = read_float(data, place)
        found[row + VALUE] = np.float64(fraction).view(np.int64)
        return place if np.int64(low).view(np.float64) <= fraction <= np.int64(high).view(np.float64) else -1
    word = load32(data, place)
    found[row + VALUE] = word == TRUE
    return place + 4 if word == TRUE else place + 5 if word == FALS and data[place + 4] == ord("e") else -1


@_part
def _number_of(batch, first, size, count):  # type: ignore[no-untyped-def]
    """The number of the key, `count` if it is a new one; -1 where there is no number left."""
    keys = batch.keys
    for key in range(count):
        if keys[key * _KEY + _NAME_SIZE] == size and same(batch.data, keys[key * _KEY + _NAME], first, size):
            return key
    if count == MAX_KEYS:
        return -1
    keys[count * _KEY + _NAME], keys[count * _KEY + _NAME_SIZE] = first, size
    return count


@_part
def _next_key(batch, place, before, count):  # type: ignore[no-untyped-def]
    """The number of the key behind the brace or comma at `place`, and where its value begins; else -1."""
    data, keys, gap = batch.data, batch.keys, before * _KEY
    size = keys[gap + _GAP_SIZE]
    if size and same(data, keys[gap + _GAP], place, size):
        return keys[gap + _NEXT], blanks(data, place + size)
    if data[place] != (OBJECT if before == MAX_KEYS else COMMA):
        return -1, place
    first = blanks(data, place + 1) + 1
    last = first
    while PLAIN[data[last]]:
        last += 1
    colon = blanks(data, last + 1)
    if data[first - 1] != QUOTE or data[last] != QUOTE or data[colon] != COLON:
        return -1, place
    key, begin = _number_of(batch, first, last - first, count), blanks(data, colon + 1)
    keys[gap + _GAP], keys[gap + _GAP_SIZE], keys[gap + _NEXT] = place, begin - place, key
    return key, begin


@_part
def _object(batch, place, row, known, count):  # type: ignore[no-untyped-def]
    """Past the object at `place`, -1 unless proven good; a bit for each of its keys; how many keys have numbers."""
    data, key, seen = batch.data, MAX_KEYS, 0
    while True:
        key, place = _next_key(batch, place, key, count)
        if key < 0 or seen >> key & 1:
            return -1, seen, count
        seen |= 1 << key
        count = max(count, key + 1)
        place = _known(batch, place, key, row + 2 * key) if key < known else past_value(data, place)
        if place < 0:
            return -1, seen, count
        place = blanks(data, place)
        if data[place] == END_OBJECT:
            return place + 1, seen, count


@_part
def _learn(batch, known):  # type: ignore[no-untyped-def]
    """The known fields are the first keys; the others are forgotten."""
    keys, fields = batch.keys, batch.fields
    for key in range(known):
        keys[key * _KEY + _NAME] = fields[key * FIELD + NAME]
        keys[key * _KEY + _NAME_SIZE] = fields[key * FIELD + NAME_SIZE]
    for key in range(MAX_KEYS + 1):
        keys[key * _KEY + _GAP_SIZE] = 0
    return known


_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_TABLE = types.int64[:, ::1]


@njit(
    types.void(
        _BYTES, types.int64[::1], _TABLE, types.uint8[:, ::1], _TABLE, types.int64[:, :, ::1], types.boolean[::1]
    ),
    cache=True,
    nogil=True,
)
def walk(data, sizes, fields, allowed, keys, found, proven):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Walk as many records as `proven` has. `data` is something else, such as the names, then a record after another:
    `sizes` are theirs, a zero byte is behind each, and eight bytes are behind the last.

    `fields` int64[f, FIELD] and `allowed` uint8[f, 256], the bytes of each text, are the rules; `found` int64[n, f, 2]
    and `proven` bool[n] are the result. All fields of a record that is not proven are ABSENT.
    """
    batch = _Batch(pointer(data), pointer(fields), pointer(allowed), pointer(keys), pointer(found))
    known, required, begin = len(fields), 0, sizes[0] + 1
    for key in range(known):
        required |= fields[key, REQUIRED] << key
    count = _learn(batch, known)
    for row in range(len(proven)):
        end = begin + sizes[row + 1]
        place, seen, count = _object(batch, blanks(batch.data, begin), 2 * known * row, known, count)
        proven[row] = place >= 0 and seen & required == required and blanks(batch.data, place) == end
        for key in range(known):
            if not (proven[row] and seen >> key & 1):  # what is not proven may be too long to convert
                found[row, key, SIZE] = ABSENT
        if count == MAX_KEYS:
            count = _learn(batch, known)
        begin = end + 1
