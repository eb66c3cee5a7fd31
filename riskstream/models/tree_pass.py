"""The compiled pass of `tree_walk`, where it is told what makes it fast."""

import math

import numpy as np
from numba import njit, types

from riskstream.models.outputs import sigmoid

GROUP = 8  # trees walked side by side: the processor waits for all of them at once
_BLOCK = 16  # rows that go down a group before the next: its arrays stay in the nearest cache

# Unsigned throughout, which spares the walk a test for negative indexes at every step.
_ONE = np.uint64(1)
UPPER, FEATURE = np.uint64(32), np.uint64(0xFFFFFFFF)  # where a split has its key, and what the rest is
SIGN, _INFINITY = np.uint32(0x80000000), np.uint32(0x7F800000)
_LOWEST, _HIGHEST = np.uint32(0), np.uint32(0xFFFFFFFF)  # keys of no number: a missing value's


@njit(nogil=True, inline="always")
def _sortable(bits, keys, width):  # type: ignore[no-untyped-def]
    """A row's keys, twice: for splits that send a missing value right, then for those that send it left."""
    for column in range(width):
        value = bits[np.uint64(column)]
        missing = (value & ~SIGN) > _INFINITY
        key = value | SIGN if value <= SIGN else ~value  # minus zero is zero
        keys[np.uint64(column)] = _HIGHEST if missing else key
        keys[np.uint64(column) + width] = _LOWEST if missing else key


@njit(nogil=True, inline="always")
def _logistic(total):  # type: ignore[no-untyped-def]
    one = np.float32(1.0)
    positive = one / (one + np.float32(math.exp(-abs(total))))
    return one - positive if total < 0 else positive


_ROWS, _SPLITS = (types.Array(kind, 2, "C", readonly=True) for kind in (types.float32, types.uint64))


@njit(
    types.void(_ROWS, _SPLITS, _ROWS, types.float32, types.boolean, types.float32[::1]),
    cache=True,
    nogil=True,
)
def walk(rows, splits, leaves, base, logistic, sums):  # type: ignore[no-untyped-def]
    """Fill `sums` [n], of `rows` [n, width] and the `splits` [trees, places] and `leaves` of perfect trees."""
    bits = rows.view(np.uint32)
    width, first_leaf = np.uint64(bits.shape[1]), np.uint64(leaves.shape[1])
    depth = int(math.log2(leaves.shape[1]))
    keys = np.empty((_BLOCK, 2 * bits.shape[1]), np.uint32)
    places = np.empty(GROUP, np.uint64)
    for begin in range(0, bits.shape[0], _BLOCK):
        block = sums[begin : begin + _BLOCK]
        for one in range(len(block)):
            _sortable(bits[begin + one], keys[one], width)
        block[:] = np.float32(0.0)
        for first in range(0, splits.shape[0], GROUP):
            for row in range(len(block)):
                own, total = keys[np.uint64(row)], block[row]
                places[:] = _ONE
                for _ in range(depth):
                    for one in range(GROUP):
                        place = places[np.uint64(one)]
                        split = splits[np.uint64(first + one), place]
                        below = np.uint64(own[split & FEATURE]) < split >> UPPER
                        places[np.uint64(one)] = place + place + np.uint64(below)
                for one in range(GROUP):  # in the order of the trees: another gives other bits
                    total += leaves[np.uint64(first + one), places[np.uint64(one)] - first_leaf]
                block[row] = total
        block += base
        if logistic:
            for row in range(len(block)):
                block[row] = _logistic(block[row])


@njit(
    types.int64(
        _ROWS, _SPLITS, _ROWS, types.float32, types.boolean, types.float64, types.float64, types.float64[::1],
        types.int64[::1],
    ),
    cache=True, nogil=True,
)  # fmt: skip
def risk(rows, splits, leaves, base, logistic, slope, intercept, found, invalid):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """The same, and then `outputs.sigmoid` of it."""
    sums = np.empty(len(rows), np.float32)
    walk(rows, splits, leaves, base, logistic, sums)
    return sigmoid(sums, slope, intercept, found, invalid)
