"""Calibration: from the model's logits to probabilities that mean what they say.

Part of the bundle's manifest, applied by the scorer. Element-wise, so that a row's result never depends on its batch.
"""

from itertools import pairwise
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

# No float32 below 1 is closer to it than this, so at that end only an exact 1 is pulled in; its logit is infinite.
EDGE = 2.0**-25


class Uncalibrated(msgspec.Struct, frozen=True, tag_field="kind", tag="none"):
    """The model's own probability."""

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return _sigmoid(logits)


class Platt(msgspec.Struct, frozen=True, tag_field="kind", tag="platt"):
    """A line on the logit: `sigmoid(slope * logit + intercept)`. The slope is positive, so the order is the model's."""

    slope: Annotated[float, Meta(gt=0, le=20)]
    intercept: Annotated[float, Meta(ge=-50, le=50)]

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return _sigmoid(self.slope * logits + self.intercept)


class Isotonic(msgspec.Struct, frozen=True, tag_field="kind", tag="isotonic"):
    """A rising line through knots (`logits[i]`, `probabilities[i]`), level before the first and after the last."""

    logits: Annotated[tuple[float, ...], Meta(min_length=2)]
    probabilities: tuple[Annotated[float, Meta(ge=0, le=1)], ...]

    def __post_init__(self) -> None:
        if len(self.logits) != len(self.probabilities):
            raise ValueError(f"{len(self.logits)} knots have {len(self.probabilities)} probabilities")
        # Written so that a NaN, for which every comparison is false, is refused too.
        if not all(left < right for left, right in pairwise(self.logits)):
            raise ValueError("the logits of knots must rise")
        if not all(left <= right for left, right in pairwise(self.probabilities)):
            raise ValueError("the probabilities of knots must not fall")

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = np.array(self.logits), np.array(self.probabilities)
        left = np.clip(np.searchsorted(x, logits, side="right") - 1, 0, len(x) - 2)
        inside = np.clip(logits, x[0], x[-1])
        line = y[left] + (y[left + 1] - y[left]) / (x[left + 1] - x[left]) * (inside - x[left])
        # Rounding may carry a line's end beyond the knot, and the next line begins below it: no score may fall there.
        below: NDArray[np.float64] = np.minimum(line, y[left + 1])
        return below


class PerLabel(msgspec.Struct, frozen=True, tag_field="kind", tag="per_label"):
    """One calibration for each label of a multi-label output, in the order of its classes: [n, labels] in and out."""

    labels: Annotated[tuple[Platt | Isotonic | Uncalibrated, ...], Meta(min_length=1)]

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([one.apply(logits[:, index]) for index, one in enumerate(self.labels)])


Calibration = Platt | Isotonic | Uncalibrated | PerLabel


def logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Finite for every probability in [0, 1]; NaN stays NaN."""
    inside = np.clip(probability, EDGE, 1.0 - EDGE)
    return np.log(inside / (1.0 - inside))


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.minimum(np.maximum(logits, -700.0), 700.0)  # exp() overflows at 710; np.clip takes twice as long
    return 1.0 / (1.0 + np.exp(-inside))
