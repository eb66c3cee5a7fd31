"""The parity gate: what will be served says the same as what was trained, on real rows and on the trees' edges."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riskstream.models.policy import Policy

LIMIT = 1e-6
SAMPLE = 2_000


class ParityError(Exception):
    """The served model is not the trained one. No bundle is made."""


class Parity(NamedTuple):
    """The largest difference of two scores of a row, and how many rows got another decision."""

    largest: float
    flips: int


def boundary_rows(features: NDArray[np.float32], splits: Sequence[tuple[int, float]], seed: int) -> NDArray[np.float32]:
    """Rows that stand on a split: one feature set to its threshold and to the float32 next to it on either side.

    This is where float32 and float64 comparisons, `<` and `<=`, go separate ways; in ordinary rows it hardly shows.
    """
    rng = np.random.default_rng([seed, *b"boundary"])
    chosen = rng.choice(len(splits), min(SAMPLE, len(splits)), replace=False)
    index = np.array([splits[one][0] for one in chosen])
    threshold = np.array([splits[one][1] for one in chosen], np.float32)
    rows = features[rng.integers(0, len(features), len(chosen))]
    moved = []
    for value in (threshold, np.nextafter(threshold, np.float32(-np.inf)), np.nextafter(threshold, np.float32(np.inf))):
        copy = rows.copy()
        copy[np.arange(len(copy)), index] = value
        moved.append(copy)
    return np.concatenate(moved)


def check_parity(trained: NDArray[np.float64], served: NDArray[np.float64], policy: Policy) -> Parity:
    """Raises ParityError when a score differs by more than LIMIT or any decision does."""
    differences = np.abs(trained - served)
    parity = Parity(float(differences.max()), int((policy.decide(trained) != policy.decide(served)).sum()))
    if not parity.largest <= LIMIT or parity.flips:
        what = f"by up to {parity.largest:.2e} (limit {LIMIT:.0e}), {parity.flips} of {len(trained)} decisions flip"
        raise ParityError(f"scores differ between XGBoost and ONNX Runtime {what}")
    return parity
