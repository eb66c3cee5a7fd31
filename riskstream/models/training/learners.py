"""What every kind of model gives to the rest of training: raw answers in its own library, and itself as ONNX."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from riskstream.models.training.config import Kind, Model

INPUT, LOGITS, PROBABILITIES = "features", "logits", "probabilities"
OPSETS = {"": 17, "ai.onnx.ml": 3}
THREADS = 2  # fixed, because sums of gradients depend on it: the same seed gives the same model on any machine

Progress = Callable[[float], None]


class Exported(NamedTuple):
    """ONNX bytes with one float32 input `features` [n, width], NaN being missing, and where the answer stands."""

    model: bytes
    kind: Literal["logit", "probability"]
    tensor: str
    column: int = 0  # of the risk, for a binary model


class Learned(Protocol):
    """A trained model. `raw`: float64 logits or probabilities as `Exported.kind` says; [n], or [n, classes] for more
    than two classes. `trees`: how many it has, after early stopping."""

    @property
    def trees(self) -> int: ...
    def raw(self, features: NDArray[np.float32]) -> NDArray[np.float64]: ...
    def export(self, name: str) -> Exported: ...


@dataclass(frozen=True)
class Lesson:
    """What to learn from: features [n, width] with NaN for missing, a class for each row, and the row's weight."""

    features: NDArray[np.float32]
    target: NDArray[np.int64]
    weight: NDArray[np.float64]
    classes: int


@dataclass(frozen=True)
class Way:
    """How to learn. `watched`, a later lesson, stops the growth of trees that bring nothing there."""

    model: Model
    seed: int
    watched: Lesson | None = None
    progress: Progress = lambda _share: None


Fit = Callable[[Lesson, Way], Learned]

# Each kind's module has a `fit`; only the one that is asked for is imported.
MODULES: dict[Kind, str] = {
    "xgboost": "riskstream.models.training.boosting",
    "lightgbm": "riskstream.models.training.leafwise",
    "random_forest": "riskstream.models.training.forest",
    "logistic": "riskstream.models.training.logistic",
}


def fit(lesson: Lesson, way: Way) -> Learned:
    learner: Fit = import_module(MODULES[way.model.kind]).fit
    return learner(lesson, way)


def lesson_of(
    features: NDArray[np.float32], labels: NDArray[np.int16], classes: int, class_weight: str = "none"
) -> Lesson:
    """With `balanced` weights each class that is there weighs the same in total, and all together as many as rows."""
    target: NDArray[np.int64] = labels.astype(np.int64)
    counts = np.bincount(target, minlength=classes)
    balanced = len(target) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    weight = balanced[target] if class_weight == "balanced" else np.ones(len(target))
    return Lesson(features, target, weight, classes)
