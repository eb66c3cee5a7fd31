"""Gradient-boosted trees by XGBoost, the default, carried over to ONNX."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import xgboost
from numpy.typing import NDArray
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from riskstream.models.training.learners import INPUT, LOGITS, THREADS, Exported, Lesson, Way

PARAMETERS: dict[str, str | int | float] = {
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


@dataclass(frozen=True)
class Boosted:
    """A booster whose margins are its logits."""

    booster: xgboost.Booster
    width: int
    trees: int

    def raw(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        said = self.booster.predict(xgboost.DMatrix(features, nthread=THREADS), output_margin=True)
        return np.asarray(said, np.float64)

    def export(self, name: str) -> Exported:
        # Without a name the converter makes up a random one, and no two bundles are the same.
        initial = [(INPUT, FloatTensorType([None, self.width]))]
        model: onnx.ModelProto = convert_xgboost(self.booster, name=name, initial_types=initial)
        (trees,) = model.graph.node
        # As probabilities ONNX Runtime gives one minus a float32: the small ones, nearly all, would be off by a
        # thousandth.
        next(part for part in trees.attribute if part.name == "post_transform").s = b"NONE"
        trees.output[1] = model.graph.output[1].name = LOGITS
        return Exported(bytes(model.SerializeToString()), "logit", LOGITS, column=1)


class _Rounds(xgboost.callback.TrainingCallback):
    """Reports the share of trees that stand."""

    def __init__(self, total: int, report: Callable[[float], None]) -> None:
        super().__init__()
        self._total, self._report = total, report

    def after_iteration(self, model: xgboost.Booster, epoch: int, evals_log: object) -> bool:
        self._report((epoch + 1) / self._total)
        return False  # go on


def fit(lesson: Lesson, way: Way) -> Boosted:
    parameters = {**PARAMETERS, **_objective(lesson.classes), **way.model.parameters, "seed": way.seed}
    data = _matrix(lesson, parameters)
    options: dict[str, Any] = {"callbacks": [_Rounds(way.model.trees, way.progress)]}
    if way.watched is not None:
        options |= {
            "evals": [(_matrix(way.watched, parameters, like=data), "later")],
            "early_stopping_rounds": way.model.early_stopping,
            "verbose_eval": False,
        }
    booster = xgboost.train(parameters, data, way.model.trees, **options)
    trees = way.model.trees if way.watched is None else booster.best_iteration + 1
    return Boosted(booster[:trees], lesson.features.shape[1], trees)


def _objective(classes: int) -> dict[str, str | int]:
    if classes == 2:
        return {"objective": "binary:logistic", "eval_metric": "aucpr"}
    return {"objective": "multi:softprob", "eval_metric": "mlogloss", "num_class": classes}


def _matrix(lesson: Lesson, parameters: dict[str, Any], like: xgboost.DMatrix | None = None) -> xgboost.DMatrix:
    return xgboost.QuantileDMatrix(
        lesson.features,
        lesson.target,
        weight=None if (lesson.weight == 1.0).all() else lesson.weight,
        max_bin=parameters["max_bin"],
        nthread=parameters["nthread"],
        ref=like,
    )
