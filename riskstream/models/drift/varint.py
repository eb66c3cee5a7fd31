"""Counts as bytes: mostly zeros and small numbers, so runs of zeros are one token and small numbers one byte.

A number that is not zero is its zigzag value as a little-endian base-128 varint. A zero byte, which begins no such
number, stands for a run of zeros and is followed by the run's length less one as a varint.
"""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

LONGEST = 10
"""Bytes of a varint of 64 bits."""


def packed(counts: NDArray[np.int64]) -> bytes:
    """The counts as bytes: equal counts give equal bytes."""
    out = np.empty(len(counts) * LONGEST, np.uint8)
    return out[: _pack(np.ascontiguousarray(counts, np.int64), out)].tobytes()


def unpacked(data: bytes, size: int) -> NDArray[np.int64] | None:
    """The counts again; None if `data` is not exactly `size` of them. Never reads or writes beyond either."""
    counts = np.zeros(size, np.int64)
    whole = _unpack(np.frombuffer(data, np.uint8), counts)
    return counts if whole else None


_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_COUNTS = types.Array(types.int64, 1, "C", readonly=True)


@njit(cache=True)
def _put(value, out, at):  # type: ignore[no-untyped-def]
    while value >= np.uint64(128):
        out[at] = (value & np.uint64(127)) | np.uint64(128)
        value >>= np.uint64(7)
        at += 1
    out[at] = value
    return at + 1


@njit(cache=True)
def _get(data, at):  # type: ignore[no-untyped-def]
    """The varint at `at` and where it ends; the end is -1 if it is cut off or longer than 64 bits."""
    value, shift = np.uint64(0), np.uint64(0)
    for i in range(at, min(at + LONGEST, len(data))):
        byte = np.uint64(data[i])
        value |= (byte & np.uint64(127)) << shift
        if byte < np.uint64(128):
            return value, i + 1
        shift += np.uint64(7)
    return value, -1


@njit(types.int64(_COUNTS, types.uint8[::1]), cache=True, nogil=True)
def _pack(counts, out):  # type: ignore[no-untyped-def]
    at = i = 0
    while i < len(counts):
        value = counts[i]
        if value != 0:
            at = _put(np.uint64(value << 1) ^ np.uint64(value >> 63), out, at)
            i += 1
            continue
        start = i
        while i < len(counts) and counts[i] == 0:
            i += 1
        out[at] = 0
        at = _put(np.uint64(i - start - 1), out, at + 1)
    return at


@njit(types.boolean(_BYTES, types.int64[::1]), cache=True, nogil=True)
def _unpack(data, counts):  # type: ignore[no-untyped-def]
    at = i = 0
    while at < len(data):
        value, at = _get(data, at)
        if at < 0 or i >= len(counts):
            return False
        if value != 0:
            counts[i] = np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))
            i += 1
            continue
        run, at = _get(data, at)
        if at < 0 or run >= np.uint64(len(counts) - i):
            return False
        i += int(run) + 1
    return i == len(counts)
