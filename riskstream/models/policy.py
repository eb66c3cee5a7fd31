"""The decide stage: two thresholds turn a score into a decision. Part of the bundle: thresholds belong to a model."""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numba import njit, types
from numpy.typing import NDArray

# The position is the code that `decide` returns.
DECISIONS = ("approve", "review", "decline")

Threshold = Annotated[float, Meta(ge=0, le=1)]


class Policy(msgspec.Struct, frozen=True):
    """A score at or above `decline` is declined, else at or above `review` reviewed, else approved."""

    review: Threshold
    decline: Threshold

    def __post_init__(self) -> None:
        # Written so that a NaN, for which every comparison is false, is refused too.
        if not 0.0 <= self.review <= self.decline <= 1.0:
            raise ValueError(f"thresholds must be 0 <= review <= decline <= 1, not {self.review} and {self.decline}")

    def decide(self, scores: NDArray[np.float64]) -> NDArray[np.uint8]:
        """One code per score, an index into DECISIONS."""
        codes = np.empty(len(scores), np.uint8)
        decide(scores, self.review, self.decline, codes)
        return codes


# Compiled, since a batch is often one event, and then every call of numpy's counts.
@njit(
    types.void(types.Array(types.float64, 1, "A", readonly=True), types.float64, types.float64, types.uint8[::1]),
    cache=True,
    nogil=True,
)
def decide(scores, review, decline, codes):  # type: ignore[no-untyped-def]
    """Fill `codes` of `Policy.decide`. For compiled code."""
    for row in range(len(scores)):
        codes[row] = 2 if scores[row] >= decline else 1 if scores[row] >= review else 0
