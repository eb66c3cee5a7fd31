"""Calibration: from what the model says to a probability that means what it says.

Part of the bundle's manifest, applied by the scorer. Element-wise in float64, so a row's result never depends on its batch.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

# float32 cannot say a probability closer to 1 than this, so only an exact 0 or 1 is pulled in (its logit would be infinite).
EDGE = 2.0**-25


class Uncalibrated(msgspec.Struct, frozen=True, tag_field="kind", tag="none"):
    """The model's probability as it is."""

    def apply(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        return probability


class Platt(msgspec.Struct, frozen=True, tag_field="kind", tag="platt"):
    """A line on the logit: `sigmoid(slope * logit(p) + intercept)`.

    The slope is positive, so the order of scores is the model's; both bounds keep exp() far from overflow.
    """

    slope: Annotated[float, Meta(gt=0, le=20)]
    intercept: Annotated[float, Meta(ge=-50, le=50)]

    def apply(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1.0 / (1.0 + np.exp(-(self.slope * logit(probability) + self.intercept)))


Calibration = Platt | Uncalibrated


def logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Finite for every probability in [0, 1]; NaN stays NaN."""
    inside = np.clip(probability, EDGE, 1.0 - EDGE)
    return np.log(inside / (1.0 - inside))
