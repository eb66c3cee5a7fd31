"""Logistic regression by scikit-learn: medians for missing values, outliers clipped, and a graph of our own.

A runtime adds up the terms of a row in an order that depends on the batch's size, and in another order floats come to
other bits. So the terms are rounded to whole numbers of 2**-30, whose sums are exact in float64, in every order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler

from riskstream.models.training.learners import INPUT, LOGITS, OPSETS, Exported, Lesson, Way

GRAIN = 2.0**30
ENDS = (0.005, 0.995)  # quantiles: what lies beyond counts as these
PARAMETERS: dict[str, str | int | float | bool] = {"C": 10.0, "max_iter": 1000}


@dataclass(frozen=True)
class Logistic:
    """A weighted sum of what lies between the ends."""

    pipeline: Pipeline
    classes: int
    trees: int = 0

    def raw(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(self.pipeline.decision_function(features.astype(np.float64)), np.float64)

    def export(self, name: str) -> Exported:
        imputer, scaler, line = self.pipeline[0], self.pipeline[1], self.pipeline[2]
        low, high = scaler.data_min_.astype(np.float32), scaler.data_max_.astype(np.float32)
        weights = line.coef_ * scaler.scale_
        bias = line.intercept_ + line.coef_ @ scaler.min_
        largest = np.maximum(np.abs(weights * low), np.abs(weights * high)).sum(axis=1).max()
        if largest * GRAIN >= 2.0**53:
            raise ValueError("the weights are too large for an exact sum: use a smaller C")
        values = {
            "median": imputer.statistics_.astype(np.float32)[np.newaxis],
            "low": low[np.newaxis],
            "high": high[np.newaxis],
            "axis": np.array([1], np.int64),
            "grain": np.array(1 / GRAIN),
            **{f"weight{k}": row[np.newaxis] * GRAIN for k, row in enumerate(weights)},
            **{f"bias{k}": np.array([[row]]) for k, row in enumerate(bias)},
        }
        initializers = [numpy_helper.from_array(value, key) for key, value in values.items()]
        inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(low)])]
        outputs = [helper.make_tensor_value_info(LOGITS, TensorProto.DOUBLE, [None, len(bias)])]
        graph = helper.make_graph(_nodes(len(bias)), name, inputs, outputs, initializers)
        opsets = [helper.make_opsetid("", OPSETS[""])]
        model = helper.make_model(graph, ir_version=8, opset_imports=opsets)
        return Exported(bytes(model.SerializeToString()), "logit", LOGITS)


def fit(lesson: Lesson, way: Way) -> Logistic:
    if len(np.unique(lesson.target)) != lesson.classes:
        raise ValueError("a logistic regression cannot name a class that training never saw")
    features = lesson.features.astype(np.float64)
    # float32 ends, because the graph clips float32 values: both then clip the same rows.
    known = np.where(np.isnan(features).all(axis=0), 0.0, features)  # a feature that is never there is a zero
    ends = np.nanquantile(known, ENDS, axis=0, method="nearest")
    imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(features)
    imputer.statistics_ = imputer.statistics_.astype(np.float32).astype(np.float64)
    scaler = MinMaxScaler(clip=True).fit(ends)
    line = LogisticRegression(random_state=way.seed, **{**PARAMETERS, **way.model.parameters})
    line.fit(scaler.transform(imputer.transform(features)), lesson.target, sample_weight=lesson.weight)
    way.progress(1.0)
    return Logistic(make_pipeline(imputer, scaler, line), lesson.classes)


def _nodes(outputs: int) -> list[NodeProto]:
    """Missing to median, clip, weigh in whole grains, add up; a column for each output."""
    make = helper.make_node
    nodes = [
        make("IsNaN", [INPUT], ["missing"]),
        make("Where", ["missing", "median", INPUT], ["known"]),
        make("Max", ["known", "low"], ["not_low"]),
        make("Min", ["not_low", "high"], ["clipped"]),
        make("Cast", ["clipped"], ["exact"], to=TensorProto.DOUBLE),
    ]
    for k in range(outputs):
        nodes += [
            make("Mul", ["exact", f"weight{k}"], [f"terms{k}"]),
            make("Round", [f"terms{k}"], [f"grains{k}"]),
            make("ReduceSum", [f"grains{k}", "axis"], [f"sum{k}"], keepdims=1),
            make("Mul", [f"sum{k}", "grain"], [f"sized{k}"]),
            make("Add", [f"sized{k}", f"bias{k}"], [f"logit{k}"]),
        ]
    return [*nodes, make("Concat", [f"logit{k}" for k in range(outputs)], [LOGITS], axis=1)]
