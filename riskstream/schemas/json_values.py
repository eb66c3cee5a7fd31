"""JSON's grammar (RFC 8259) as parts of a compiled walk over bytes: each goes past something, or says -1.

They read on until a byte that does not fit, and rely on one behind the end of the text, such as zero. numba's cache
does not see when a part of a compiled function changes in another file: remove `__pycache__` after a change here.
"""

import numpy as np
from numba import njit

from riskstream.schemas.exact import MAX_DEPTH
from riskstream.schemas.machine import load32

QUOTE, COMMA, COLON, OBJECT, END_OBJECT = (ord(sign) for sign in '",:{}')
NULL, TRUE, FALS = (int.from_bytes(word, "little") for word in (b"null", b"true", b"fals"))
PLAIN = np.array([32 <= code < 128 and chr(code) not in '"\\' for code in range(256)])
"""Bytes that stand for themselves in a text, and are ASCII."""
MAX_DIGITS = 18

_BACKSLASH, _ARRAY, _END_ARRAY, _ZERO, _MINUS, _PLUS, _DOT, _E, _U = (ord(sign) for sign in "\\[]0-+.eu")
_ESCAPED = np.array([chr(code) in '"\\/bfnrt' for code in range(256)])
_HEX = np.array([int(chr(code), 16) if chr(code) in "0123456789abcdefABCDEF" else -1 for code in range(256)])
_HIGH, _LOW = 0x36, 0x37  # the upper bits of the halves of a surrogate pair
_POWERS = 10.0 ** np.arange(23)  # those that a float holds exactly
_EXACT_DIGITS = 15

_part = njit(nogil=True)


@_part
def blanks(data, place):  # type: ignore[no-untyped-def]
    """Past white space."""
    code = data[place]
    while code <= 32 and (code == 32 or code == 10 or code == 13 or code == 9):
        place += 1
        code = data[place]
    return place


@_part
def _digits(data, place):  # type: ignore[no-untyped-def]
    while 0 <= data[place] - _ZERO <= 9:
        place += 1
    return place


@_part
def _past_number(data, place):  # type: ignore[no-untyped-def]
    """Past a number, -1 where there is none."""
    first = place + (data[place] == _MINUS)
    place = first + 1 if data[first] == _ZERO else _digits(data, first)
    if place == first:
        return -1
    if data[place] == _DOT:
        first = place + 1
        place = _digits(data, first)
        if place == first:
            return -1
    if data[place] | 32 == _E:
        sign = data[place + 1]
        first = place + 1 + (sign in (_PLUS, _MINUS))
        place = _digits(data, first)
        if place == first:
            return -1
    return place


@_part
def _unit(data, place):  # type: ignore[no-untyped-def]
    """The sixteen bits of an escape such as \\u00e9 at `place`; -1 where there is none."""
    if data[place] != _BACKSLASH or data[place + 1] != _U:
        return -1
    unit = 0
    for at in range(place + 2, place + 6):
        digit = _HEX[data[at]]
        if digit < 0:
            return -1
        unit = unit << 4 | digit
    return unit


@_part
def _past_escape(data, place):  # type: ignore[no-untyped-def]
    """Past the escape at `place`, both halves of a surrogate pair at once."""
    if _ESCAPED[data[place + 1]]:
        return place + 2
    unit = _unit(data, place)
    if unit >> 10 == _HIGH:
        return place + 12 if _unit(data, place + 6) >> 10 == _LOW else -1
    return place + 6 if unit >= 0 and unit >> 10 != _LOW else -1


@_part
def _past_utf8(data, place):  # type: ignore[no-untyped-def]
    """Past the character at `place`, which is not ASCII: RFC 3629 says which bytes may follow the first."""
    first, second = data[place], data[place + 1]
    low, high, more = 0x80, 0xBF, 1
    if first >= 0xE0:
        low = 0xA0 if first == 0xE0 else 0x90 if first == 0xF0 else 0x80
        high = 0x9F if first == 0xED else 0x8F if first == 0xF4 else 0xBF
        more = 2 if first < 0xF0 else 3
    if first < 0xC2 or first > 0xF4 or second < low or second > high:
        return -1
    for at in range(place + 2, place + 1 + more):
        if data[at] >> 6 != 2:
            return -1
    return place + 1 + more


@_part
def _past_text(data, place):  # type: ignore[no-untyped-def]
    """Past the closing quote of the text that begins at `place`."""
    while place >= 0:
        code = data[place]
        if PLAIN[code]:
            place += 1
        elif code == QUOTE:
            return place + 1
        elif code == _BACKSLASH:
            place = _past_escape(data, place)
        else:
            place = _past_utf8(data, place) if code >= 128 else -1
    return place


@_part
def _past_simple(data, place):  # type: ignore[no-untyped-def]
    """Past a text, number, true, false or null."""
    if data[place] == QUOTE:
        return _past_text(data, place + 1)
    word = load32(data, place)
    if word in (NULL, TRUE):
        return place + 4
    if word == FALS and data[place + 4] == _E:
        return place + 5
    return _past_number(data, place)


@_part
def _past_name(data, place):  # type: ignore[no-untyped-def]
    """At the value of the member that begins at `place`, in an inner object."""
    if data[place] != QUOTE:
        return -1
    place = _past_text(data, place + 1)
    if place < 0:
        return -1
    place = blanks(data, place)
    return blanks(data, place + 1) if data[place] == COLON else -1


@_part
def _past_nest(data, place):  # type: ignore[no-untyped-def]
    """Past the array or object at `place`."""
    depth, objects = 1, 1  # a bit for each level, whether it is an object; the event is one
    while place >= 0:
        code = data[place]
        if code in (OBJECT, _ARRAY):
            if depth == MAX_DEPTH:
                return -1
            depth, objects = depth + 1, objects << 1 | (code == OBJECT)
            place = blanks(data, place + 1)
            if data[place] != (END_OBJECT if objects & 1 else _END_ARRAY):
                place = _past_name(data, place) if objects & 1 else place
                continue
        else:
            place = _past_simple(data, place)
            if place < 0:
                return -1
            place = blanks(data, place)
        while data[place] == (END_OBJECT if objects & 1 else _END_ARRAY):
            depth, objects = depth - 1, objects >> 1
            if depth == 1:
                return place + 1
            place = blanks(data, place + 1)
        if data[place] != COMMA:
            return -1
        place = blanks(data, place + 1)
        place = _past_name(data, place) if objects & 1 else place
    return -1


@_part
def past_value(data, place):  # type: ignore[no-untyped-def]
    """Past any value; -1 where there is none, or one that nests too deep."""
    code = data[place]
    return _past_nest(data, place) if code in (OBJECT, _ARRAY) else _past_simple(data, place)


@_part
def read_integer(data, place):  # type: ignore[no-untyped-def]
    """A whole number in its plainest form, and past it; else -1."""
    minus = data[place] == _MINUS
    first = place + minus
    place, number = first, 0
    digit = data[place] - _ZERO
    while 0 <= digit <= 9:
        number = 10 * number + digit
        place += 1
        digit = data[place] - _ZERO
    size = place - first
    if size == 0 or size > MAX_DIGITS or (data[first] == _ZERO and size + minus > 1):
        return 0, -1
    return -number if minus else number, place


@_part
def read_float(data, place):  # type: ignore[no-untyped-def]
    """A number whose digits and power of ten a float holds exactly, so that one rounding gives it, and past it."""
    past = _past_number(data, place)
    minus = data[place] == _MINUS
    number, digits, power, step = 0, 0, 0, 0
    at = place + minus
    while at < past and data[at] | 32 != _E:
        if data[at] == _DOT:
            step = 1
        else:
            number = 10 * number + data[at] - _ZERO
            digits, power = digits + 1, power - step
        at += 1
    if at < past:
        at += 1 + (data[at + 1] == _PLUS)
        raised, at = read_integer(data, at)
        if at != past:
            return 0.0, -1
        power += raised
    if digits > _EXACT_DIGITS or abs(power) >= len(_POWERS) or (minus and number == 0):
        return 0.0, -1
    found = number / _POWERS[-power] if power < 0 else number * _POWERS[power]
    return -found if minus else found, past
