"""A short name for each feature vector's exact bytes: equal names mean bit-equal vectors.

It is the XXH3-64 of the vector's float32, little-endian, as sixteen hex digits. Vectors of more than sixty features are
left to the library.
"""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from riskstream.schemas.machine import pointer
from riskstream.schemas.xxh3 import LONGEST, xxh3_64

LETTERS = 16
"""Of a name."""

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_HALF_BYTE = np.uint64(15)


def digest_letters(vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The names of vectors [n, features] in ASCII, uint8[n * LETTERS]."""
    letters = np.empty(len(vectors) * LETTERS, np.uint8)
    if is_short(vectors.shape[1]):
        _name(np.ascontiguousarray(vectors), letters)
    else:
        _spell(np.array([xxh3_64_intdigest(vector.tobytes()) for vector in vectors], np.uint64), letters)
    return letters


def is_short(features: int) -> bool:
    """Whether `put_name` can name vectors of so many."""
    return features * 4 <= LONGEST


def vector_digest(vectors: NDArray[np.float32]) -> list[str]:
    """The same as texts."""
    names = digest_letters(vectors).tobytes().decode()
    return [names[at : at + LETTERS] for at in range(0, len(names), LETTERS)]


@njit(nogil=True)
def _put(word, at, letters):  # type: ignore[no-untyped-def]
    for place in range(LETTERS):
        letters[at + place] = _HEX[(word >> np.uint64(4 * (LETTERS - 1 - place))) & _HALF_BYTE]


@njit(nogil=True)
def put_name(vectors, row, at, letters):  # type: ignore[no-untyped-def]
    """Write the name of one of the vectors, which are short, behind `at`. For compiled code."""
    width = vectors.shape[1] * vectors.itemsize
    _put(np.uint64(xxh3_64(pointer(vectors.view(np.uint8)), row * width, width)), at, letters)


@njit(types.void(types.Array(types.float32, 2, "C", readonly=True), types.uint8[::1]), cache=True, nogil=True)
def _name(vectors, letters):  # type: ignore[no-untyped-def]
    for row in range(len(vectors)):
        put_name(vectors, row, row * LETTERS, letters)


@njit(types.void(types.uint64[::1], types.uint8[::1]), cache=True, nogil=True)
def _spell(hashes, letters):  # type: ignore[no-untyped-def]
    for row in range(len(hashes)):
        _put(hashes[row], row * LETTERS, letters)
