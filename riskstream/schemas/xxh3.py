"""XXH3-64 of bytes among others, seed 0, for compiled code: the same hash as the library's.

Written from xxHash's public specification (doc/xxhash_spec.md, XXH3), for up to LONGEST bytes: more take another
way there. numba's cache does not see when a part of a compiled function changes in another file: remove
`__pycache__` after a change here.
"""

import numpy as np
from numba import njit

from riskstream.schemas.machine import folded_product, load32, load64, swapped

LONGEST = 240

_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3"
)
_KEY = np.frombuffer(_SECRET, "<u8")
# Of what is beyond 128 bytes, and of the last sixteen there.
_FURTHER, _LAST = np.frombuffer(_SECRET[3:-5], "<u8"), np.frombuffer(_SECRET[119:135], "<u8")
_U = np.uint64
_PRIME1, _PRIME2, _PRIME3 = _U(0x9E3779B185EBCA87), _U(0xC2B2AE3D27D4EB4F), _U(0x165667B19E3779F9)
_MIX, _MIX_SHORT = _U(0x165667919E3779F9), _U(0x9FB21C651E98DF25)
_OF_NOTHING = _KEY[7] ^ _KEY[8]
_OF_THREE = (_KEY[0] ^ (_KEY[0] >> _U(32))) & _U(0xFFFFFFFF)
_OF_EIGHT = _KEY[1] ^ _KEY[2]
_OF_SIXTEEN = _KEY[3] ^ _KEY[4], _KEY[5] ^ _KEY[6]


@njit(nogil=True)
def xxh3_64(data, start, size):  # type: ignore[no-untyped-def]
    """The hash of `size` bytes from `start` on, at most LONGEST, its bits as int64. `data` points to bytes."""
    if size > 128:
        return np.int64(_of_longest(data, start, size))
    if size > 16:
        return np.int64(_of_long(data, start, size))
    if size > 8:
        return np.int64(_of_sixteen(data, start, size))
    if size > 3:
        return np.int64(_of_eight(data, start, size))
    return np.int64(_of_three(data, start, size) if size else _avalanche64(_OF_NOTHING))


@njit(nogil=True)
def _of_three(data, start, size):  # type: ignore[no-untyped-def]
    first, middle, last = data[start], data[start + size // 2], data[start + size - 1]
    word = (np.int64(first) << 16) | (np.int64(middle) << 24) | np.int64(last) | (size << 8)
    return _avalanche64(_U(word) ^ _OF_THREE)


@njit(nogil=True)
def _of_eight(data, start, size):  # type: ignore[no-untyped-def]
    first, last = _U(load32(data, start)), _U(load32(data, start + size - 4))
    word = (last + (first << _U(32))) ^ _OF_EIGHT
    word ^= ((word << _U(49)) | (word >> _U(15))) ^ ((word << _U(24)) | (word >> _U(40)))
    word *= _MIX_SHORT
    word ^= (word >> _U(35)) + _U(size)
    word *= _MIX_SHORT
    return word ^ (word >> _U(28))


@njit(nogil=True)
def _of_sixteen(data, start, size):  # type: ignore[no-untyped-def]
    low = load64(data, start) ^ _OF_SIXTEEN[0]
    high = load64(data, start + size - 8) ^ _OF_SIXTEEN[1]
    return _avalanche(_U(size) + swapped(low) + high + folded_product(low, high))


@njit(nogil=True)
def _of_long(data, start, size):  # type: ignore[no-untyped-def]
    total = _U(size) * _PRIME1
    for pair in range((size - 1) // 32 + 1):
        total += _mixed(data, start + 16 * pair, _KEY, 4 * pair)
        total += _mixed(data, start + size - 16 * (pair + 1), _KEY, 4 * pair + 2)
    return _avalanche(total)


@njit(nogil=True)
def _of_longest(data, start, size):  # type: ignore[no-untyped-def]
    total = _U(size) * _PRIME1
    for part in range(8):
        total += _mixed(data, start + 16 * part, _KEY, 2 * part)
    total = _avalanche(total)
    for part in range(8, size // 16):
        total += _mixed(data, start + 16 * part, _FURTHER, 2 * (part - 8))
    return _avalanche(total + _mixed(data, start + size - 16, _LAST, 0))


@njit(nogil=True)
def _mixed(data, place, keys, key):  # type: ignore[no-untyped-def]
    return folded_product(load64(data, place) ^ keys[key], load64(data, place + 8) ^ keys[key + 1])


@njit(nogil=True)
def _avalanche(word):  # type: ignore[no-untyped-def]
    word = (word ^ (word >> _U(37))) * _MIX
    return word ^ (word >> _U(32))


@njit(nogil=True)
def _avalanche64(word):  # type: ignore[no-untyped-def]
    word = (word ^ (word >> _U(33))) * _PRIME2
    word = (word ^ (word >> _U(29))) * _PRIME3
    return word ^ (word >> _U(32))
