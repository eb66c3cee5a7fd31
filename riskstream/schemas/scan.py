"""One compiled pass over the bytes of a batch that proves records harmless, at about a nanosecond per byte.

Most records are flat objects of plain ASCII: then quotes come in pairs, and the byte before a pair tells a key from a
text. Such a record is scanned pair by pair, in half the time; any other byte by byte.

It looks for what a JSON parser lets pass: a key named twice, text outside its field's characters, bytes that may not
be UTF-8, deep nesting. It may suspect a good record (two keys with one hash) and never clears a bad one; what it
suspects is judged exactly elsewhere. A module of its own: numba takes a while to import, and producers do not need it.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit

from riskstream.schemas.exact import CLEAR, MAX_DEPTH, NOT_ASCII, SUSPECT, TextRule

_QUOTE, _BACKSLASH, _COMMA, _COLON, _BLANK = ord('"'), ord("\\"), ord(","), ord(":"), ord(" ")
_OBJECT, _ARRAY = ord("{"), ord("[")
_LEVELS = np.zeros(256, np.int8)  # how much deeper it is after this byte
_LEVELS[list(b"{[")], _LEVELS[list(b"}]")] = 1, -1
_MAX_KEYS = 64
_MAX_CLASSES = 8  # the bits of a byte
_MAX_FLAT = 4096  # bytes of a record that is scanned pair by pair

# Indexes are unsigned, which spares the compiled code a test for negative ones at every byte.
_ONE, _PLACES = np.uint64(1), np.uint64(64)
# One multiplier per place in a key: its hash is a sum of independent products, so the processor overlaps them.
_WEIGHTS = np.random.default_rng(1).integers(1 << 62, 1 << 63, int(_PLACES), np.uint64) * np.uint64(2) + _ONE


class Scan:
    """The scan for one event type. Compiled at construction, not in the first batch."""

    def __init__(self, texts: Sequence[TextRule]) -> None:
        classes = sorted({rule.allowed for rule in texts})
        if len(classes) > _MAX_CLASSES:
            raise TypeError(f"at most {_MAX_CLASSES} different character classes, not {classes}")
        table = np.zeros(256, np.uint8)
        for rule in texts:
            bit = 1 << classes.index(rule.allowed)
            table[[code for code in range(128) if rule.accepts(chr(code))]] |= bit
        keys = np.array([_hash(rule.name.encode()) for rule in texts], np.uint64)
        masks = np.array([1 << classes.index(rule.allowed) for rule in texts], np.uint8)
        self._plan = (table, keys, masks)
        self([b'{"":""}'])

    def __call__(self, values: Sequence[bytes]) -> list[int]:
        """One flag for each value. It is a promise about values that parse, and means nothing for others."""
        ends = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)))
        data = np.frombuffer(b"".join(values), np.uint8)
        flags = np.zeros(len(values), np.uint8)
        _scan(data, ends, self._plan, flags)
        return flags.tolist()


def _hash(key: bytes) -> int:
    products = (code * int(_WEIGHTS[place % len(_WEIGHTS)]) for place, code in enumerate(key))
    return (sum(products) + len(key)) % (1 << 64)


@njit(cache=True, nogil=True)
def _scan(data, ends, plan, flags):  # type: ignore[no-untyped-def]
    seen, quotes = np.empty(_MAX_KEYS, np.uint64), np.empty(_MAX_FLAT, np.uint64)
    place = np.uint64(0)
    for row in range(len(ends)):
        end = np.uint64(ends[row])
        if not _is_clear(data, place, end, plan, seen, quotes):
            flags[row] = _record(data, place, end, plan, seen)
        place = end


@njit(cache=True, nogil=True)
def _is_clear(data, begin, end, plan, seen, quotes):  # type: ignore[no-untyped-def]
    """Whether it is a flat object of plain ASCII, and clear. False says nothing."""
    table, keys, masks = plan
    if not _is_flat(data, begin, end):
        return False
    places = _quotes(data, begin, end, quotes)
    if places & _ONE or places > np.uint64(2 * _MAX_KEYS):
        return False
    count, mask = 0, np.uint8(0)
    for at in range(np.uint64(0), places, _ONE + _ONE):
        first, last = quotes[at] + _ONE, quotes[at + _ONE]
        before = first - _ONE - _ONE
        while data[before] <= _BLANK:
            before -= _ONE
        if data[before] == _COLON:
            if mask and _common(data, first, last, table) & mask != mask:
                return False
        else:
            key = _hashed(data, first, last)
            if _contains(seen, count, key):
                return False
            seen[np.uint64(count)] = key
            count += 1
            mask = _mask(key, keys, masks)
    return True


@njit(cache=True, nogil=True)
def _is_flat(data, begin, end):  # type: ignore[no-untyped-def]
    """Begins as an object; nothing is nested, escaped or beyond ASCII. Without a branch, so many bytes at a time."""
    if begin == end or end - begin > np.uint64(_MAX_FLAT) or data[begin] != _OBJECT:
        return False
    found = np.uint8(0)
    for place in range(begin + _ONE, end):
        code = data[place]
        found |= np.uint8(code >= 128) | np.uint8(code == _BACKSLASH)
        found |= np.uint8(code == _OBJECT) | np.uint8(code == _ARRAY)
    return found == 0


@njit(cache=True, nogil=True)
def _quotes(data, begin, end, places):  # type: ignore[no-untyped-def]
    """How many quotes there are; where goes into `places`."""
    count = np.uint64(0)
    for place in range(begin, end):
        places[count] = place
        count += np.uint64(data[place] == _QUOTE)
    return count


@njit(cache=True, nogil=True)
def _common(data, first, last, table):  # type: ignore[no-untyped-def]
    """The character classes that all bytes of a text share."""
    common = np.uint8(255)
    for place in range(first, last):
        common &= table[data[place]]
    return common


@njit(cache=True, nogil=True)
def _hashed(data, first, last):  # type: ignore[no-untyped-def]
    key = np.uint64(0)
    for place in range(first, last):
        key += np.uint64(data[place]) * _WEIGHTS[(place - first) % _PLACES]
    return key + (last - first)


@njit(cache=True, nogil=True)
def _record(data, place, end, plan, seen):  # type: ignore[no-untyped-def]
    table, keys, masks = plan
    depth, count = 0, 0
    mask, flag = np.uint8(0), CLEAR
    is_key = False
    while place < end:
        code = data[place]
        place += _ONE
        if code == _QUOTE:
            if is_key and depth == 1:
                place, key, plain = _key(data, place, end)
                if not plain or count == _MAX_KEYS or _contains(seen, count, key):
                    return SUSPECT
                seen[np.uint64(count)] = key
                count += 1
                mask = _mask(key, keys, masks)
                is_key = False
            else:
                place, common, high = _text(data, place, end, table)
                if high:
                    flag = NOT_ASCII
                if depth == 1 and common & mask != mask:
                    return SUSPECT
        else:
            step = _LEVELS[code]
            depth += step
            is_key |= step > 0 or code == _COMMA
            if depth > MAX_DEPTH:
                return SUSPECT
    return flag


@njit(cache=True, nogil=True)
def _key(data, place, end):  # type: ignore[no-untyped-def]
    """Past the closing quote, the hash, and whether the bytes are the key: ASCII without escapes."""
    key, length = np.uint64(0), np.uint64(0)
    strange = False
    while place < end:
        code = data[place]
        place += _ONE
        if code == _QUOTE:
            break
        strange |= code == _BACKSLASH or code >= 128
        key += np.uint64(code) * _WEIGHTS[length % _PLACES]
        length += _ONE
    return place, key + length, not strange


@njit(cache=True, nogil=True)
def _text(data, place, end, table):  # type: ignore[no-untyped-def]
    """Past the closing quote, the character classes that all bytes share (none if escaped), and whether any is high."""
    common, bits = np.uint8(255), np.uint8(0)
    while place < end:
        code = data[place]
        place += _ONE
        if code == _QUOTE:
            break
        if code == _BACKSLASH:
            place += _ONE
        common &= table[code]
        bits |= code
    return place, common, bits >= 128


@njit(cache=True, nogil=True)
def _contains(seen, count, key):  # type: ignore[no-untyped-def]
    found = False
    for index in range(count):
        found |= seen[np.uint64(index)] == key
    return found


@njit(cache=True, nogil=True)
def _mask(key, keys, masks):  # type: ignore[no-untyped-def]
    mask = np.uint8(0)
    for index in range(len(keys)):
        if keys[np.uint64(index)] == key:
            mask = masks[np.uint64(index)]
    return mask
