"""Calibration: from the model's logits to probabilities that mean what they say.

Part of the bundle's manifest, applied by the scorer. Element-wise, so that a row's result never depends on its batch;
compiled, since a batch is often one event, and then every call of numpy's counts.
"""

import math
from functools import cached_property
from itertools import pairwise
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numba import njit, types
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# No float32 below 1 is closer to it than this, so at that end only an exact 1 is pulled in; its logit is infinite.
EDGE = 2.0**-25


class Uncalibrated(msgspec.Struct, frozen=True, tag_field="kind", tag="none"):
    """The model's own probability."""

    def apply(self, logits: Floats) -> Floats:
        return _sigmoid(logits, 1.0, 0.0)


class Platt(msgspec.Struct, frozen=True, tag_field="kind", tag="platt"):
    """A line on the logit: `sigmoid(slope * logit + intercept)`. The slope is positive, so the order is the model's."""

    slope: Annotated[float, Meta(gt=0, le=20)]
    intercept: Annotated[float, Meta(ge=-50, le=50)]

    def apply(self, logits: Floats) -> Floats:
        return _sigmoid(logits, self.slope, self.intercept)


class Isotonic(msgspec.Struct, frozen=True, dict=True, tag_field="kind", tag="isotonic"):
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

    def apply(self, logits: Floats) -> Floats:
        line: Floats = _on_line(logits, *self._knots)
        return line

    @cached_property
    def _knots(self) -> tuple[Floats, Floats]:
        return np.array(self.logits), np.array(self.probabilities)


class PerLabel(msgspec.Struct, frozen=True, tag_field="kind", tag="per_label"):
    """One calibration for each label of a multi-label output, in the order of its classes: [n, labels] in and out."""

    labels: Annotated[tuple[Platt | Isotonic | Uncalibrated, ...], Meta(min_length=1)]

    def apply(self, logits: Floats) -> Floats:
        return np.column_stack([one.apply(logits[:, index]) for index, one in enumerate(self.labels)])


Calibration = Platt | Isotonic | Uncalibrated | PerLabel


def logit(probability: Floats) -> Floats:
    """Finite for every probability in [0, 1]; NaN stays NaN."""
    inside = np.minimum(np.maximum(probability, EDGE), 1.0 - EDGE)  # np.clip takes twice as long
    return np.log(inside / (1.0 - inside))


def _sigmoid(logits: Floats, slope: float, intercept: float) -> Floats:
    """Of `slope * logits + intercept`."""
    shares = np.empty(len(logits))
    _shares(logits, slope, intercept, shares)
    return shares


_COLUMN = types.Array(types.float64, 1, "A", readonly=True)
_KNOTS = types.Array(types.float64, 1, "C", readonly=True)


@njit(nogil=True)
def share(logit, slope, intercept):  # type: ignore[no-untyped-def]
    """The sigmoid of `slope * logit + intercept`, for compiled code: float64 in and out."""
    value = slope * logit + intercept
    value = -700.0 if value < -700.0 else 700.0 if value > 700.0 else value  # exp() overflows at 710
    return 1.0 / (1.0 + math.exp(-value))


@njit(types.void(_COLUMN, types.float64, types.float64, types.float64[::1]), cache=True, nogil=True)
def _shares(logits, slope, intercept, shares):  # type: ignore[no-untyped-def]
    for row in range(len(logits)):
        shares[row] = share(logits[row], slope, intercept)


@njit(types.float64[::1](_COLUMN, _KNOTS, _KNOTS), cache=True, nogil=True)
def _on_line(logits, x, y):  # type: ignore[no-untyped-def]
    points = np.empty(len(logits))
    for row in range(len(logits)):
        inside = min(max(logits[row], x[0]), x[-1])
        left = min(max(np.searchsorted(x, inside, side="right") - 1, 0), len(x) - 2)
        line = y[left] + (y[left + 1] - y[left]) / (x[left + 1] - x[left]) * (inside - x[left])
        # Rounding may carry a line's end beyond the knot, and the next line begins below it: no score may fall there.
        points[row] = min(line, y[left + 1])
    return points
