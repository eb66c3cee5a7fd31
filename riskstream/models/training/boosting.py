"""The model: gradient-boosted trees by XGBoost, carried over to ONNX."""

from collections.abc import Callable

import numpy as np
import onnx
import xgboost
from numpy.typing import NDArray
from onnx import helper
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from riskstream.models.training.examples import Examples

INPUT, LOGITS, FRAUD_COLUMN = "features", "logits", 1
THREADS = 2  # fixed, because sums of gradients depend on it: the same seed gives the same model on any machine

PARAMETERS: dict[str, str | int | float] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_bin": 1024,  # with the usual 256 a rule about the rarest amounts cannot be found
    "max_depth": 6,
    "eta": 0.03,
    "min_child_weight": 2,
    "subsample": 0.8,
    "colsample_bytree": 0.5,  # many windows say nearly the same: half of them per tree is better and twice as fast
    "base_score": 0.5,  # a margin of zero: both runtimes then add up the same numbers in the same order
    "nthread": THREADS,
}


class _Rounds(xgboost.callback.TrainingCallback):
    """Reports the share of trees that stand."""

    def __init__(self, total: int, report: Callable[[float], None]) -> None:
        super().__init__()
        self._total, self._report = total, report

    def after_iteration(self, model: xgboost.Booster, epoch: int, evals_log: object) -> bool:
        self._report((epoch + 1) / self._total)
        return False  # go on


def fit(examples: Examples, trees: int, seed: int, report: Callable[[float], None]) -> xgboost.Booster:
    data = xgboost.QuantileDMatrix(
        examples.features, examples.labels, max_bin=PARAMETERS["max_bin"], nthread=PARAMETERS["nthread"]
    )
    return xgboost.train({**PARAMETERS, "seed": seed}, data, trees, callbacks=[_Rounds(trees, report)])


def logits(booster: xgboost.Booster, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the model says in its own library, before calibration."""
    said = booster.predict(xgboost.DMatrix(features, nthread=THREADS), output_margin=True)
    return np.asarray(said, np.float64)


def to_onnx(booster: xgboost.Booster, width: int, name: str) -> bytes:
    """The same trees as ONNX: a float32 matrix in, NaN going the way that XGBoost learned, a logit per class out."""
    # Without a name the converter makes up a random one, and no two bundles are the same.
    model = convert_xgboost(booster, name=name, initial_types=[(INPUT, FloatTensorType([None, width]))])
    (trees,) = model.graph.node
    # As probabilities ONNX Runtime gives one minus a float32: the small ones, nearly all, would be off by a thousandth.
    next(part for part in trees.attribute if part.name == "post_transform").s = b"NONE"
    trees.output[1] = model.graph.output[1].name = LOGITS
    return bytes(model.SerializeToString())


def splits(model: bytes) -> list[tuple[int, float]]:
    """Every (feature index, threshold) at which a tree of the model branches."""
    (trees,) = onnx.load_model_from_string(model).graph.node
    parts = {attribute.name: helper.get_attribute_value(attribute) for attribute in trees.attribute}
    nodes = zip(parts["nodes_modes"], parts["nodes_featureids"], parts["nodes_values"], strict=True)
    return [(feature, value) for mode, feature, value in nodes if mode != b"LEAF"]
