"""How sure the figures are: intervals by resampling users, for the whole and for its slices.

Users are drawn, not events: one thief makes many payments, and they are not as many proofs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from riskstream.models.policy import Policy
from riskstream.models.training.thresholds import Judged

LEVEL = 0.95
SLICES = 12  # largest values of a segment that get a row; what is left is `other`
LEAST_RISKY = 10  # fewer, and no figure of a slice is believed

Weights = NDArray[np.float64]


FIGURES = ("auc", "average_precision", "caught")


class Resampling(NamedTuple):
    """`resamples`: none if 0; `policy` says what is caught."""

    policy: Policy
    resamples: int
    seed: int


class Interval(NamedTuple):
    """A figure and the ends between which 95 of 100 resamples lie."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Slice:
    """One value of a segment. Figures are None where there is too little fraud to speak of one."""

    segment: str
    value: str
    events: int
    risky: int
    mean_score: float
    auc: Interval | None
    average_precision: Interval | None
    caught: Interval | None


def slices(events: Judged, segments: Mapping[str, NDArray[Any]], how: Resampling) -> list[Slice]:
    """Each segment's most frequent values, by falling number of events."""
    found = []
    for segment, column in segments.items():
        text = column.astype(str)
        values, counts = np.unique(text, return_counts=True)
        largest = values[np.argsort(-counts, kind="stable")][:SLICES]
        masks = {value: text == value for value in largest.tolist()}
        if len(values) > SLICES:
            masks["other"] = ~np.isin(text, largest)
        found += [_slice(segment, value, events[mask], how) for value, mask in masks.items()]
    return found


def _slice(segment: str, value: str, events: Judged, how: Resampling) -> Slice:
    risky = int(events.risky.sum())
    enough = how.resamples and risky >= LEAST_RISKY and risky < len(events.risky)
    figures = intervals(events, how) if enough else dict.fromkeys(FIGURES)
    return Slice(segment, value, len(events.risky), risky, float(events.scores.mean()), **figures)


def intervals(events: Judged, how: Resampling) -> dict[str, Interval]:
    """Intervals of the FIGURES."""
    known, code = np.unique(events.user, return_inverse=True)
    rng = np.random.default_rng([how.seed, *b"intervals"])
    figures = _figures(events, how.policy)
    drawn = []
    for _ in range(how.resamples):
        times = np.bincount(rng.integers(0, len(known), len(known)), minlength=len(known))
        weights = times[code].astype(np.float64)
        if 0 < weights[events.risky].sum() < weights.sum():
            drawn.append(figures(weights))
    ends = np.quantile(np.array(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    values = figures(np.ones(len(code)))
    return {name: Interval(*map(float, three)) for name, *three in zip(FIGURES, values, *ends, strict=True)}


def _figures(events: Judged, policy: Policy) -> Callable[[Weights], tuple[float, float, float]]:
    """The FIGURES of one ranking under many weights: sorted once, which scikit-learn does every time."""
    order = np.argsort(-events.scores, kind="stable")
    scores, risky = events.scores[order], events.risky[order].astype(np.float64)
    flagged = policy.decide(scores) >= 1
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # events of one score rank together

    def figures(weights: Weights) -> tuple[float, float, float]:
        right = weights[order] * risky
        true, false = np.cumsum(right)[ends], np.cumsum(weights[order] - right)[ends]
        gained, passed = np.diff(true, prepend=0.0), np.diff(false, prepend=0.0)
        auc = np.sum(passed * (true - gained / 2)) / (true[-1] * false[-1])
        precision = np.divide(true, true + false, out=np.zeros_like(true), where=true + false > 0)
        return float(auc), float(np.sum(gained * precision) / true[-1]), float(right[flagged].sum() / true[-1])

    return figures
