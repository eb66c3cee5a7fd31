"""Counting: a whole batch of scored events is added to sketches in one compiled pass."""

from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from riskstream.models.drift.sketch import SketchLayout


class Events(NamedTuple):
    """Scored events as columns: what the score and decide stages said of n events.

    `vectors` float32[n, features], NaN is missing; `scores` float64[n]; `decisions` uint8[n], indexes into DECISIONS;
    `degraded` uint8[n], bits in the order of DEGRADED; `repeated` bool[n].
    """

    vectors: NDArray[np.float32]
    scores: NDArray[np.float64]
    decisions: NDArray[np.uint8]
    degraded: NDArray[np.uint8]
    repeated: NDArray[np.bool_]


class Counting:
    """Adds events to rows of counts. Made once for a layout; holds no counts itself."""

    def __init__(self, layout: SketchLayout) -> None:
        self.layout = layout
        edges = [layout.column_edges(column) for column in range(layout.columns)]
        trees = [_tree(each) for each in edges]
        self._sizes = np.array([len(tree) for tree in trees], np.int64)
        self._trees = np.stack([np.pad(tree, (0, self._sizes.max() - len(tree))) for tree in trees])
        self._starts = layout.parts["bins"].start + layout.starts
        self._offsets = np.array([part.start for part in layout.parts.values()], np.int64)

    def add(self, counts: NDArray[np.int64], rows: NDArray[np.int64], events: Events) -> None:
        """Add event i to `counts[rows[i]]`; counts int64[r, layout.size], C-contiguous, is changed in place."""
        layout = self.layout
        _add(
            counts, rows, *events, self._trees, self._sizes, self._starts, self._offsets,
            layout.low, layout.high, layout.scale,
        )  # fmt: skip


def _tree(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """A full search tree of the edges, level by level from index 1; NaN, which no value reaches, fills it up."""
    depth = len(edges).bit_length()
    size = 1 << depth
    ordered = np.full(size - 1, np.nan)
    ordered[: len(edges)] = edges
    tree = np.full(size, np.nan)
    for level in range(depth):
        gap = size >> level
        tree[1 << level : 2 << level] = ordered[gap // 2 - 1 :: gap]
    return tree


def _array(kind: types.Type, dimensions: int) -> types.Array:
    return types.Array(kind, dimensions, "C", readonly=True)


_F64, _I64, _U8 = _array(types.float64, 1), _array(types.int64, 1), _array(types.uint8, 1)


@njit(inline="always")
def _bin(value, tree, size):  # type: ignore[no-untyped-def]
    """How many edges the value reaches. A comparison is added as a number; of jumps, every other is mispredicted.
    Unsigned, which spares it a test for negative indexes at every step."""
    node, leaves = np.uint64(1), np.uint64(size)
    while node < leaves:
        node = node + node + np.uint64(value >= tree[node])
    return np.int64(node - leaves)


@njit(
    types.void(
        types.int64[:, ::1], _I64, _array(types.float32, 2), _F64, _U8, _U8, _array(types.boolean, 1),
        _array(types.float64, 2), _I64, _I64, _I64, _F64, _F64, _F64,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def _add(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    counts, rows, vectors, scores, decisions, degraded, repeated, trees, sizes, starts, offsets, low, high, scale
):
    features = vectors.shape[1]
    decided, kinds, missing, sums, squares = offsets[1], offsets[2], offsets[3], offsets[4], offsets[5]
    for i in range(len(rows)):
        count = counts[rows[i]]
        count[0] += 1
        count[1] += degraded[i] != 0
        count[2] += repeated[i]
        count[decided + decisions[i]] += 1
        for kind in range(missing - kinds):
            count[kinds + kind] += degraded[i] >> kind & 1
        for f in range(features + 1):
            value = np.float64(vectors[i, f]) if f < features else scores[i]
            if np.isnan(value):
                count[missing + f] += 1
                continue
            count[starts[f] + _bin(value, trees[f], sizes[f])] += 1
            rounded = np.int64(np.floor(min(max(value, low[f]), high[f]) * scale[f] + 0.5))
            count[sums + f] += rounded
            count[squares + f] += rounded * rounded
