"""What the model looks at, and how the held-out rows differ from those it learned from."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from riskstream.models.bundle import Reference
from riskstream.models.drift.statistics import psi
from riskstream.models.training.evidence import histogram
from riskstream.models.training.examples import Examples

SAMPLE = 8_000


class Shift(NamedTuple):
    """Of one feature between training and held-out rows: stability index, and the shares that are missing."""

    feature: str
    psi: float
    missing_then: float
    missing_now: float


def permutation_importance(
    score: Callable[[NDArray[np.float32]], NDArray[np.float64]], examples: Examples, names: tuple[str, ...], seed: int
) -> list[tuple[str, float]]:
    """How much average precision is lost when a feature's values are shuffled among the rows; the largest first.

    Looks at the model from outside, so it says the same of every kind. (Breiman, Random Forests, 2001.)
    """
    rng = np.random.default_rng([seed, *b"importance"])
    chosen = np.flatnonzero(examples.risky | (rng.random(len(examples)) < SAMPLE / len(examples)))
    rows, risky = examples.features[chosen].copy(), examples.risky[chosen]
    whole = average_precision_score(risky, score(rows))
    lost = []
    for index, name in enumerate(names):
        kept = rows[:, index].copy()
        rows[:, index] = rng.permutation(kept)
        lost.append((name, float(whole - average_precision_score(risky, score(rows)))))
        rows[:, index] = kept
    return sorted(lost, key=lambda pair: -pair[1])


def shifts(reference: Reference, training: NDArray[np.float32]) -> list[Shift]:
    """Every feature of the reference, which is of the held-out rows, against the training rows; the largest first.

    Missing values are one more bin.
    """
    found = []
    for (name, now), column in zip(reference.features.items(), training.T, strict=True):
        then = histogram(column, now.edges)
        counts = [np.array([*one.counts, one.missing]) for one in (then, now)]
        distance = psi(counts[0], counts[1], np.array([0]))
        missing = then.missing / len(column), now.missing / max(reference.rows, 1)
        found.append(Shift(name, float(distance[0]), *missing))
    return sorted(found, key=lambda shift: -shift.psi)
