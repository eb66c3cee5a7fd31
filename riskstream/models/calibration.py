"""Calibration: from the model's logits to probabilities that mean what they say.

Part of the bundle's manifest, applied by the scorer. Element-wise, so that a row's result never depends on its batch.
"""

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


Calibration = Platt | Uncalibrated


def logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Finite for every probability in [0, 1]; NaN stays NaN."""
    inside = np.clip(probability, EDGE, 1.0 - EDGE)
    return np.log(inside / (1.0 - inside))


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -700.0, 700.0)))  # exp() overflows at 710
