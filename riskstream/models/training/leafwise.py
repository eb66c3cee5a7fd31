"""Gradient-boosted trees by LightGBM, written as ONNX by ourselves.

LightGBM compares a float32 input with a float64 threshold; ONNX knows float32 thresholds only. The usual converters
round to the nearest, so an input between the two goes the other way, and scores are up to 7e-5 off. No float32 lies
between a float64 and the float32 next below it: rounded down, `x <= threshold` says the same of every input.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from riskstream.models.training.learners import INPUT, LOGITS, OPSETS, THREADS, Exported, Lesson, Way

INFINITE = 1e300
PARAMETERS: dict[str, str | int | float | bool] = {
    "learning_rate": 0.03,
    "max_depth": 8,  # as deep as the scorer's own walk goes
    "num_leaves": 63,
    "min_data_in_leaf": 20,
    "max_bin": 1023,  # with the usual 255 a rule about the rarest amounts cannot be found
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.5,
    "boost_from_average": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": THREADS,
    "verbosity": -1,
}


@dataclass(frozen=True)
class LeafWise:
    """A booster whose raw scores are its logits."""

    booster: lightgbm.Booster
    width: int
    classes: int
    trees: int

    def raw(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        said = self.booster.predict(features, raw_score=True, num_iteration=self.trees, num_threads=THREADS)
        return np.asarray(said, np.float64)

    def export(self, name: str) -> Exported:
        targets = 1 if self.classes == 2 else self.classes
        dumped = self.booster.dump_model(num_iteration=self.trees)["tree_info"]
        nodes = [node for number, tree in enumerate(dumped) for node in _nodes(number, tree["tree_structure"])]
        inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, self.width])]
        outputs = [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [None, targets])]
        graph = helper.make_graph([_ensemble(nodes, targets)], name, inputs, outputs)
        opsets = [helper.make_opsetid(domain, number) for domain, number in OPSETS.items()]
        model = helper.make_model(graph, ir_version=8, opset_imports=opsets)
        return Exported(bytes(model.SerializeToString()), "logit", LOGITS)


def fit(lesson: Lesson, way: Way) -> LeafWise:
    parameters = {**PARAMETERS, **_objective(lesson.classes), **way.model.parameters, "seed": way.seed}
    data = _dataset(lesson)
    callbacks: list[Any] = [lambda env: way.progress((env.iteration + 1) / way.model.trees)]
    later = []
    if way.watched is not None:
        later = [_dataset(way.watched, reference=data)]
        callbacks.append(lightgbm.early_stopping(way.model.early_stopping, verbose=False))
    booster = lightgbm.train(parameters, data, way.model.trees, valid_sets=later, callbacks=callbacks)
    trees = booster.current_iteration() if way.watched is None else booster.best_iteration
    return LeafWise(booster, lesson.features.shape[1], lesson.classes, trees)


def _objective(classes: int) -> dict[str, str | int]:
    if classes == 2:
        return {"objective": "binary", "metric": "average_precision"}
    return {"objective": "multiclass", "num_class": classes, "metric": "multi_logloss"}


def _dataset(lesson: Lesson, reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
    return lightgbm.Dataset(lesson.features, lesson.target, weight=lesson.weight, reference=reference)


@dataclass
class _Node:
    """A row of the ensemble: a leaf if it has a weight. Children are numbers of nodes of the same tree."""

    tree: int
    number: int
    feature: int = 0
    threshold: float = 0.0
    missing_left: bool = False
    left: int = 0
    right: int = 0
    weight: float | None = None


def _nodes(tree: int, structure: dict[str, Any]) -> Iterator[_Node]:
    """The nodes of one tree in the order in which they were met, the root first."""
    waiting, count = [(structure, 0)], 1
    for part, number in waiting:  # grows while it is walked
        if "leaf_value" in part:
            yield _Node(tree, number, weight=float(part["leaf_value"]))
            continue
        waiting += [(part["left_child"], count), (part["right_child"], count + 1)]
        threshold = float(part["threshold"])
        if part["decision_type"] != "<=":
            raise ValueError(f"a split by {part['decision_type']} cannot be carried over: use numeric features")
        # Where training saw no missing value LightGBM takes one for zero.
        to_left = part["default_left"] if part["missing_type"] == "NaN" else threshold >= 0.0
        yield _Node(tree, number, part["split_feature"], _down(threshold), to_left, count, count + 1)
        count += 2


def _down(threshold: float) -> float:
    """The greatest float32 that is not above `threshold`. LightGBM writes its infinities as 1e300."""
    if abs(threshold) >= INFINITE:
        return float(np.copysign(np.inf, threshold))
    with np.errstate(over="ignore"):
        nearest = np.float32(threshold)
    return float(np.nextafter(nearest, np.float32(-np.inf)) if float(nearest) > threshold else nearest)


def _ensemble(nodes: list[_Node], targets: int) -> Any:
    """Tree k adds to target k mod `targets`."""
    leaves = [node for node in nodes if node.weight is not None]
    return helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [LOGITS],
        domain="ai.onnx.ml",
        n_targets=targets,
        nodes_treeids=[node.tree for node in nodes],
        nodes_nodeids=[node.number for node in nodes],
        nodes_modes=["BRANCH_LEQ" if node.weight is None else "LEAF" for node in nodes],
        nodes_featureids=[node.feature for node in nodes],
        nodes_values=[node.threshold for node in nodes],
        nodes_truenodeids=[node.left for node in nodes],
        nodes_falsenodeids=[node.right for node in nodes],
        nodes_missing_value_tracks_true=[int(node.missing_left) for node in nodes],
        target_treeids=[node.tree for node in leaves],
        target_nodeids=[node.number for node in leaves],
        target_ids=[node.tree % targets for node in leaves],
        target_weights=[node.weight for node in leaves],
    )
