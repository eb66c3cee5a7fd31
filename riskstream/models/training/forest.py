"""A random forest by scikit-learn. A missing value is a number far below all others, in the graph too."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline

from riskstream.models.training.learners import INPUT, OPSETS, PROBABILITIES, THREADS, Exported, Lesson, Way

MISSING = -1e30  # below every feature: a split can set missing values apart, or leave them with the smallest
PARAMETERS: dict[str, str | int | float | bool] = {"max_depth": 12, "min_samples_leaf": 5, "max_features": 0.3}


@dataclass(frozen=True)
class Forest:
    """The mean of its trees' probabilities."""

    pipeline: Pipeline
    width: int
    classes: int
    trees: int

    def raw(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):  # scikit-learn adds up all values to look for a NaN, the extreme ones too
            said = np.asarray(self.pipeline.predict_proba(features), np.float64)
        return said[:, 1] if self.classes == 2 else said

    def export(self, name: str) -> Exported:
        model = to_onnx(
            self.pipeline,
            name=name,
            initial_types=[(INPUT, FloatTensorType([None, self.width]))],
            options={id(self.pipeline[-1]): {"zipmap": False}},
            target_opset=OPSETS,
        )
        return Exported(bytes(model.SerializeToString()), "probability", PROBABILITIES, column=1)


def fit(lesson: Lesson, way: Way) -> Forest:
    if len(np.unique(lesson.target)) != lesson.classes:
        raise ValueError("a random forest cannot name a class that training never saw")
    parameters = {**PARAMETERS, **way.model.parameters}
    forest = RandomForestClassifier(way.model.trees, random_state=way.seed, n_jobs=THREADS, **parameters)
    pipeline = make_pipeline(SimpleImputer(strategy="constant", fill_value=MISSING, keep_empty_features=True), forest)
    pipeline.fit(lesson.features, lesson.target, randomforestclassifier__sample_weight=lesson.weight)
    forest.n_jobs = 1  # threads add up their trees in the order in which they finish, to other bits every time
    way.progress(1.0)
    return Forest(pipeline, lesson.features.shape[1], lesson.classes, way.model.trees)
