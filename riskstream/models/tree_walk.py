"""The score stage's own walk over boosted trees: the bits of ONNX Runtime in a fraction of its time.

Built from the model's ONNX bytes when a bundle is loaded, and used only once `TreeWalk.prove` has compared it with the
runtime. What it does not cover is said by NotCovered, and the runtime then scores as it always can.

Three things make it fast. Every tree is padded to a perfect one, so that a step down is `place = 2 * place + (x < t)`,
with no branch to guess and no child to look up. Values and thresholds are compared as unsigned keys that sort as the
floats do, where a missing value is the lowest key or the highest: it goes where the split sends it, unasked. And a
split is one word, its threshold's key above its feature, so that each step waits for memory once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from riskstream.models.tree_pass import FEATURE, GROUP, SIGN, UPPER, walk

Rows = NDArray[np.float32]
Keys = NDArray[np.uint32]
Ints = NDArray[np.int64]
Splits = NDArray[np.uint64]
Parts = dict[str, Any]  # a node's attributes

MAX_DEPTH = 8  # padding doubles a tree with every level
_MAX_SPLITS = 20_000  # proven one by one; of a larger model that many, drawn at random
_BATCHES = ((256, None), (7, 700), (1, 300))  # sizes to prove, and with how many rows

# Where the score is (output 1 and there column 1, or output 0, column 0) and what attributes of leaves begin with.
_OPERATORS = {"TreeEnsembleClassifier": (1, "class_"), "TreeEnsembleRegressor": (0, "target_")}
_NODE = "treeids nodeids featureids modes values truenodeids falsenodeids missing_value_tracks_true hitrates"
_LEAF = "treeids nodeids ids weights"
_MODEL = "base_values post_transform aggregate_function classlabels_int64s classlabels_strings n_targets"
_KNOWN = {f"nodes_{part}" for part in _NODE.split()} | {*_LEAF.split(), *_MODEL.split()}

# A node's mode -> does its true side follow `x < t`, and is t what follows the threshold, instead of itself?
_MODES = {
    b"LEAF": (True, False),
    b"BRANCH_LT": (True, False),
    b"BRANCH_LEQ": (True, True),
    b"BRANCH_GTE": (False, False),
    b"BRANCH_GT": (False, True),
}


class Trees(NamedTuple):
    """A walk and a line, in the order in which the compiled `tree_pass.risk` takes them behind the rows."""

    splits: Splits
    leaves: Rows
    base: np.float32
    logistic: bool
    slope: float
    intercept: float
    width: int
    """Of the rows."""


class NotCovered(Exception):
    """The walk cannot stand in for the runtime on this model. The message says why."""


class TreeWalk:
    """The score column of a model that is nothing but trees. Made from ONNX bytes; raises NotCovered.

    A row's result is the work of that row alone, added up tree by tree in float32: the same bits in every batch.
    """

    def __init__(self, model: bytes, width: int, tensor: str, column: int) -> None:
        parts = _ensemble(model, tensor, column)
        self.width = width
        self.base = np.float32(parts["base_values"][0])
        self.logistic = parts["post_transform"] == b"LOGISTIC"
        try:
            self.splits, self.leaves = _perfect(_Nodes(parts, width))
        except (KeyError, ValueError, IndexError, OverflowError) as error:
            raise NotCovered(f"the arrays of its trees do not fit together: {error!r}") from error

    def __call__(self, features: Rows) -> Rows:
        """What the runtime says of rows [n, width] in this column, to the bit. NaN is missing."""
        if features.ndim != 2 or features.shape[1] != self.width:  # compiled code does not check indexes
            raise ValueError(f"want rows of {self.width} features, not {features.shape}")
        sums, rows = np.empty(len(features), np.float32), np.ascontiguousarray(features)
        walk(rows, self.splits, self.leaves, self.base, self.logistic, sums)
        return sums

    def on_line(self, slope: float, intercept: float) -> Trees:
        """With what `outputs.risk_on_line` makes of that."""
        return Trees(self.splits, self.leaves, self.base, self.logistic, slope, intercept, self.width)

    def prove(self, runtime: Callable[[Rows], Rows], rows: Rows) -> None:
        """Compares bits with the runtime on `rows`, on random rows and at every split. Raises NotCovered if any differ.

        For each split one row stands exactly on the threshold, one on the float below it and one is missing there; the
        other features are drawn from what leads to the split. So an error in any part of the arrays meets a row.
        """
        rng = np.random.default_rng(1)
        sample = np.concatenate([rows, _random_rows(rng, 1000, self.width), self._boundary_rows(rng)])
        for size, count in _BATCHES:
            for start in range(0, len(sample[:count]), size):
                batch = sample[start : start + size]
                wrong = np.flatnonzero(self(batch).view(np.uint32) != runtime(batch).view(np.uint32))
                if len(wrong):
                    raise NotCovered(f"differs from ONNX Runtime on check row {start + wrong[0]}, batches of {size}")

    def _boundary_rows(self, rng: np.random.Generator) -> Rows:
        trees, places = np.nonzero(self.splits)
        if len(trees) > _MAX_SPLITS:
            chosen = np.sort(rng.choice(len(trees), _MAX_SPLITS, replace=False))
            trees, places = trees[chosen], places[chosen]
        index, column, bound = np.arange(len(trees)), self._column(trees, places), self._bound(trees, places)
        rows = np.repeat(self._rows_to(rng, trees, places)[:, np.newaxis], 3, axis=1)
        rows[index, 0, column] = _floats(bound)
        rows[index, 1, column] = _floats(bound - np.uint32(1) - (bound == SIGN))  # minus zero is not below zero
        rows[index, 2, column] = np.nan
        return rows.reshape(-1, self.width)

    def _rows_to(self, rng: np.random.Generator, trees: Ints, places: Ints) -> Rows:
        """A row for each place that comes by it: drawn from between the thresholds that lead there."""
        least, most = _keys(np.array([-np.inf, np.inf])).astype(np.int64)
        low = np.full((len(trees), self.width), least)
        high = np.full((len(trees), self.width), most + 1)
        for up in range(1, MAX_DEPTH):
            row = np.flatnonzero(places >> up)
            tree, above, below = trees[row], places[row] >> up, places[row] >> (up - 1) & 1 == 1
            column, bound = self._column(tree, above), self._bound(tree, above).astype(np.int64)
            high[row, column] = np.where(below, np.minimum(high[row, column], bound), high[row, column])
            low[row, column] = np.where(below, low[row, column], np.maximum(low[row, column], bound))
        keys = low + (rng.random(low.shape) * (high - low)).astype(np.int64)
        rows = _floats(keys.clip(least, most).astype(np.uint32))
        rows[low >= high] = np.nan  # no number comes by
        rows[(low == least) & (high > most) & (rng.random(low.shape) < 0.1)] = np.nan
        return rows

    def _column(self, trees: Ints, places: Ints) -> Ints:
        return (self.splits[trees, places] & FEATURE).astype(np.int64) % self.width

    def _bound(self, trees: Ints, places: Ints) -> Keys:
        return (self.splits[trees, places] >> UPPER).astype(np.uint32)


def _ensemble(model: bytes, tensor: str, column: int) -> Parts:
    """The attributes of the model's only node, if that is an ensemble with one sum of weights for the score."""
    graph = onnx.load_model_from_string(model).graph
    operators = [node.op_type for node in graph.node]
    if len(operators) != 1 or operators[0] not in _OPERATORS or graph.initializer:
        raise NotCovered(f"the model is more than an ensemble of trees: {', '.join(operators[:5])}")
    node = graph.node[0]
    output, leaf = _OPERATORS[node.op_type]
    given = {one.name.removeprefix(leaf): helper.get_attribute_value(one) for one in node.attribute}
    parts = {"base_values": [0.0], "post_transform": b"NONE", "aggregate_function": b"SUM", "n_targets": 1, **given}
    classes = len(parts.get("classlabels_int64s", ())) + len(parts.get("classlabels_strings", ()))
    if unknown := sorted(set(parts) - _KNOWN):
        raise NotCovered(f"attribute {unknown[0]}")
    if (tensor, column) != (node.output[output], output):
        raise NotCovered(f"the score is not column {output} of the trees' own output")
    if classes != 2 * output or parts["n_targets"] != 1 or set(parts.get("ids", ())) != {0}:
        raise NotCovered("more than one sum of weights")
    if parts["aggregate_function"] != b"SUM" or len(parts["base_values"]) != 1:
        raise NotCovered("more than a sum of weights and one base value")
    if parts["post_transform"] not in (b"NONE", b"LOGISTIC"):
        raise NotCovered(f"transform {parts['post_transform'].decode()}")
    return parts


class _Nodes:
    """All nodes of all trees as columns, children by row; a leaf's children are itself. Raises if they do not fit."""

    def __init__(self, parts: Parts, width: int) -> None:
        self.trees = np.array(parts["nodes_treeids"], np.int64)
        count = len(self.trees)
        modes = parts["nodes_modes"]
        self.inner = np.array([mode != b"LEAF" for mode in modes])
        below, after = np.array([_MODES[mode] for mode in modes]).T
        missing = np.array(parts.get("nodes_missing_value_tracks_true", [0] * count), np.int64) == 1
        threshold = np.array(parts["nodes_values"], np.float32)
        feature = np.array(parts["nodes_featureids"], np.int64)
        if not len(self.inner) == len(missing) == len(threshold) == len(feature) == count:
            raise ValueError(f"not every column has {count} nodes")
        rows = {key: row for row, key in enumerate(zip(parts["nodes_treeids"], parts["nodes_nodeids"], strict=True))}
        true, false = (_targets(rows, parts, side, self.inner) for side in ("nodes_truenodeids", "nodes_falsenodeids"))
        self.left, self.right = np.where(below, true, false), np.where(below, false, true)
        self.keys = _keys(threshold) + after.astype(np.uint32)
        self.features = feature + width * (missing == below)  # counted from `width` on, missing goes left
        self.weights = np.full(count, np.nan, np.float32)
        leaves = [rows[key] for key in zip(parts["treeids"], parts["nodeids"], strict=True)]
        self.weights[leaves] = np.array(parts["weights"], np.float32).reshape(len(leaves))
        if len(rows) != count or len(set(leaves)) != len(leaves) or 2 * width > np.iinfo(np.uint16).max:
            raise ValueError("a node twice, a leaf twice, or too many features")
        if np.isnan(threshold).any() or np.isnan(self.weights[~self.inner]).any():
            raise ValueError("a threshold or the weight of a leaf is missing")
        if not ((feature >= 0) & (feature < width)).all():
            raise ValueError(f"a feature beyond {width}")

    def roots(self) -> Ints:
        """The first row of each tree, in the order in which the runtime adds trees up."""
        roots = np.sort(np.unique(self.trees, return_index=True)[1])
        if np.isin(roots, [self.left[self.inner], self.right[self.inner]]).any():
            raise ValueError("a branch leads to a root")
        return roots


def _targets(rows: dict[tuple[int, int], int], parts: Parts, side: str, inner: NDArray[np.bool_]) -> Ints:
    nodes = zip(parts["nodes_treeids"], parts[side], inner, strict=True)
    return np.array([rows[tree, child] if has else row for row, (tree, child, has) in enumerate(nodes)])


def _perfect(nodes: _Nodes) -> tuple[Splits, Rows]:
    """Perfect trees of one depth: splits by [tree, place], the root at place 1, and the leaves.

    The children of a place are 2 * place and, for values below the threshold, one more. Where a tree ends early its
    leaf is copied below splits of zero, which is no number's key. Trees of nothing fill the last group.
    """
    roots = nodes.roots()
    at = roots[:, np.newaxis]
    levels = [np.full_like(at, -1)]  # no node: there is no place 0
    while nodes.inner[at].any():
        if len(levels) > MAX_DEPTH:
            raise NotCovered(f"trees deeper than {MAX_DEPTH}")
        levels.append(at)
        at = np.stack([nodes.right[at], nodes.left[at]], axis=2).reshape(len(roots), -1)
    places = np.concatenate(levels, axis=1)
    splits = (places >= 0) & nodes.inner[places]
    fill = ((0, -len(roots) % GROUP), (0, 0))
    words = nodes.keys[places].astype(np.uint64) << UPPER | nodes.features[places].astype(np.uint64)
    return np.pad(np.where(splits, words, np.uint64(0)), fill), np.pad(nodes.weights[at], fill)


def _keys(values: NDArray[np.floating[Any]]) -> Keys:
    """Unsigned integers that sort as the floats do; both zeros are one."""
    bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)
    return np.where(bits & SIGN, ~bits, bits | SIGN)


def _floats(keys: Keys) -> Rows:
    return np.where(keys & SIGN, keys ^ SIGN, ~keys).view(np.float32)


def _random_rows(rng: np.random.Generator, count: int, width: int) -> Rows:
    """Any bits at all, so every magnitude and some NaN with a payload; and much of what is at the ends of the range."""
    rows = rng.integers(0, 1 << 32, (count, width), np.uint32).view(np.float32)
    ends = np.array([np.nan, np.inf, 0.0, 1e-45, 1.0, np.finfo(np.float32).max], np.float32)
    some = rng.random(rows.shape) < rng.random((count, 1))
    rows[some] = rng.choice(np.concatenate([ends, -ends]), rows.shape)[some]
    return rows
