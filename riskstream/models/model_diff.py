"""Two models on the same events: do they rank alike, decide alike, and which of them is better?

A comparison holds figures of many events, never an event.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.bundle import Manifest
from riskstream.models.drift.statistics import psi
from riskstream.models.policy import DECISIONS, Policy

Floats = NDArray[np.float64]

BINS = 10
RESAMPLES = 200
LEVEL = 0.95
MOVERS = 0.01  # of the events, those whose score moved most
NAMED = 5  # features that set the movers apart
LEAST_RISKY = 10  # fewer known risky events, and no figure of quality is believed


class Judged(NamedTuple):
    """What one model says of the events, and how it decides."""

    scores: Floats
    policy: Policy


class Figure(NamedTuple):
    """A figure of quality of both, and their difference with the ends between which 95 of 100 resamples lie."""

    name: str
    first: float
    second: float
    difference: float
    low: float
    high: float


class Mover(NamedTuple):
    """A feature of the events that moved most: its mean there and elsewhere, and how many deviations lie between."""

    feature: str
    movers: float
    others: float
    apart: float


@dataclass(frozen=True)
class Events:
    """The events that both are asked about, a row each. `risky` is 1, 0, or -1 where nobody knows yet."""

    names: Sequence[str]
    features: NDArray[np.float32]
    risky: NDArray[np.int8]
    user: NDArray[Any]


@dataclass(frozen=True)
class Comparison:
    """`decisions[i, j]` counts the events that the first decides as i and the second as j, indices into DECISIONS."""

    events: int
    known: int
    pearson: float
    spearman: float
    psi: float
    decisions: NDArray[np.int64]
    figures: tuple[Figure, ...]
    movers: tuple[Mover, ...]


def compare(
    first: Judged, second: Judged, events: Events, advance: Callable[[float], None], seed: int = 0
) -> Comparison:
    """`advance` is told the share that is done. Constant scores have no correlation: NaN."""
    counts = np.zeros((len(DECISIONS), len(DECISIONS)), np.int64)
    np.add.at(counts, (first.policy.decide(first.scores), second.policy.decide(second.scores)), 1)
    return Comparison(
        events=len(events.risky),
        known=int((events.risky >= 0).sum()),
        pearson=_correlation(first.scores, second.scores),
        spearman=_correlation(ranks(first.scores), ranks(second.scores)),
        psi=_stability(first.scores, second.scores),
        decisions=counts,
        figures=_figures(first.scores, second.scores, events, advance, seed),
        movers=_movers(np.abs(second.scores - first.scores), events),
    )


def ranks(values: Floats) -> Floats:
    """From 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: Floats = (last - (counts - 1) / 2)[place]
    return mean


def _correlation(first: Floats, second: Floats) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _stability(first: Floats, second: Floats) -> float:
    """The PSI of the second's scores in bins that hold a tenth of the first's each."""
    edges = np.unique(np.quantile(first, np.linspace(0, 1, BINS + 1)[1:-1]))
    counted = [np.bincount(np.searchsorted(edges, each, "right"), minlength=len(edges) + 1) for each in (first, second)]
    return float(psi(counted[0], counted[1], np.zeros(1, np.int64))[0])


def _figures(
    first: Floats, second: Floats, events: Events, advance: Callable[[float], None], seed: int
) -> tuple[Figure, ...]:
    """Users are drawn, the same for both models: one thief makes many payments, and they are not as many proofs."""
    known = events.risky >= 0
    risky = events.risky[known] == 1
    if not LEAST_RISKY <= risky.sum() <= len(risky) - LEAST_RISKY:
        return ()
    both = [ranking(scores[known], risky) for scores in (first, second)]
    _, code = np.unique(events.user[known], return_inverse=True)
    users, rng, drawn = code.max() + 1, np.random.default_rng([seed, *b"comparison"]), []
    for done in range(RESAMPLES):
        times = np.bincount(rng.integers(0, users, users), minlength=users)[code].astype(np.float64)
        if 0 < times[risky].sum() < times.sum():
            drawn.append(both[1](times) - both[0](times))
        advance((done + 1) / RESAMPLES)
    ends = np.quantile(np.array(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    one, two = (figures(np.ones(len(risky))) for figures in both)
    rows = zip(("auc", "average_precision"), one, two, two - one, *ends, strict=True)
    return tuple(Figure(name, *map(float, values)) for name, *values in rows)


def ranking(scores: Floats, risky: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """AUC and average precision as functions of the events' weights: sorted once, for many resamples."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # events of one score rank together

    def figures(weights: Floats) -> Floats:
        weighed = weights[order]
        right = weighed * risky[order]
        true, false = np.cumsum(right)[ends], np.cumsum(weighed - right)[ends]
        gained, passed = np.diff(true, prepend=0.0), np.diff(false, prepend=0.0)
        auc = np.sum(passed * (true - gained / 2)) / (true[-1] * false[-1])
        precision = np.divide(true, true + false, out=np.zeros_like(true), where=true + false > 0)
        return np.array([auc, np.sum(gained * precision) / true[-1]])

    return figures


def _movers(moved: Floats, events: Events) -> tuple[Mover, ...]:
    """What the events that moved most have in common, as against the others; empty if nothing moved."""
    count = max(1, int(len(moved) * MOVERS))
    if not len(moved) or np.partition(moved, -count)[-count] == 0 or count == len(moved):
        return ()
    chosen = np.zeros(len(moved), bool)
    chosen[np.argpartition(moved, -count)[-count:]] = True
    found = [_mover(name, column, chosen) for name, column in zip(events.names, events.features.T, strict=True)]
    return tuple(sorted(found, key=lambda mover: -abs(mover.apart))[:NAMED])


def _mover(name: str, column: NDArray[np.float32], chosen: NDArray[np.bool_]) -> Mover:
    known = ~np.isnan(column)
    inside, outside = column[chosen & known].astype(np.float64), column[~chosen & known].astype(np.float64)
    if not (len(inside) and len(outside)):
        return Mover(name, float("nan"), float("nan"), 0.0)
    spread = float(column[known].astype(np.float64).std())
    mine, theirs = float(inside.mean()), float(outside.mean())
    return Mover(name, mine, theirs, (mine - theirs) / spread if spread else 0.0)


def manifest_differences(first: Manifest, second: Manifest) -> list[tuple[str, str, str]]:
    """(what, in the first, in the second) of everything in bundle.json that is not the same, in its order."""
    one, two = dict(_flat("", msgspec.to_builtins(first))), dict(_flat("", msgspec.to_builtins(second)))
    keys = dict.fromkeys([*one, *two])
    return [(key, one.get(key, ""), two.get(key, "")) for key in keys if one.get(key) != two.get(key)]


def _flat(prefix: str, value: Any) -> Sequence[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, part in value.items() for pair in _flat(f"{prefix}.{key}" if prefix else key, part)]
    if isinstance(value, list | tuple):
        return [(f"{prefix}: {part}", "yes") for part in map(str, value)]
    return [(prefix, str(value))]
