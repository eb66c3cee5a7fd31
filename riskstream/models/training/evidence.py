"""What a bundle carries beside the model: how its inputs and scores looked, and cases that show it still says the same.

No row of the training log goes into either: histograms of single columns, and rows mixed from their edges.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.bundle import Histogram, Reference
from riskstream.models.drift.sketch import SketchLayout
from riskstream.models.policy import DECISIONS, Policy

FEATURE_LEVELS = np.linspace(0.0, 1.0, 19)[1:-1]
FEW_VALUES = 20
SCORE_EDGES = tuple(float(edge) for edge in np.linspace(0.0, 1.0, 51)[1:-1])
SMOKE_CASES = 32
CANDIDATES = 2_000
EXTREME = float(np.finfo(np.float32).max)


def histogram(values: NDArray[np.floating], edges: Sequence[float]) -> Histogram:
    present = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, present, side="right"), minlength=len(edges) + 1)
    return Histogram(edges=tuple(edges), counts=tuple(counts.tolist()), missing=len(values) - len(present))


def edges_of(values: NDArray[np.floating]) -> list[float]:
    """Quantiles, at most 19; or, if there are at most 20 values, one edge at and one after each.

    A value that training never had, such as a new category, is then in a bin where the reference has none. Among
    quantiles the second smallest value is always an edge: where most values are one (a count of zero), all others would
    share its bin.
    """
    known = np.unique(values[~np.isnan(values)])
    if len(known) <= FEW_VALUES:
        half = min([0.5, *np.diff(known) / 2])
        return [float(edge) for edge in np.unique([known, known + half])]
    quantiles = np.quantile(values[~np.isnan(values)], FEATURE_LEVELS, method="lower")
    return [float(edge) for edge in np.unique([known[1], known[-1], *quantiles]) if edge > known[0]]


def make_reference(
    names: Sequence[str], features: NDArray[np.float32], scores: NDArray[np.float64], policy: Policy
) -> Reference:
    decided = np.bincount(policy.decide(scores), minlength=len(DECISIONS))
    counted = Reference(
        rows=len(features),
        features={name: histogram(column, edges_of(column)) for name, column in zip(names, features.T, strict=True)},
        score=histogram(scores, SCORE_EDGES),
        decisions=dict(zip(DECISIONS, decided.tolist(), strict=True)),
    )
    layout = SketchLayout.of_reference(counted)
    columns = enumerate(zip(names, features.T, strict=True))
    return msgspec.structs.replace(
        counted,
        features={name: _with_moments(counted.features[name], layout, i, column) for i, (name, column) in columns},
        score=_with_moments(counted.score, layout, layout.features, scores),
    )


def _with_moments(histogram: Histogram, layout: SketchLayout, column: int, values: NDArray[np.floating]) -> Histogram:
    """Rounded as in a sketch of live events: the two differ by what the events are, not by how they are added."""
    rounded = layout.rounded(values[~np.isnan(values)], column) / layout.scale[column]
    if not len(rounded):
        return histogram
    return msgspec.structs.replace(histogram, mean=float(rounded.mean()), variance=float(rounded.var()))


def candidates(reference: Reference, seed: int) -> NDArray[np.float32]:
    """Rows that look like events and are none: each feature is drawn by itself, from its edges or as missing."""
    rng = np.random.default_rng([seed, *b"smoke"])
    columns = []
    for known in reference.features.values():
        values = rng.choice(known.edges or (0.0,), CANDIDATES)
        columns.append(np.where(rng.random(CANDIDATES) < known.missing / reference.rows, np.nan, values))
    return np.stack(columns, axis=1).astype(np.float32)


def smoke_rows(rows: NDArray[np.float32], scores: NDArray[np.float64]) -> NDArray[np.float32]:
    """The corners (all missing, all zero, both ends of float32), and rows from the lowest score to the highest."""
    corners = np.repeat(np.array([[np.nan], [0.0], [EXTREME], [-EXTREME]], np.float32), rows.shape[1], axis=1)
    spread = np.linspace(0, len(rows) - 1, SMOKE_CASES - len(corners)).astype(int)
    return np.concatenate([corners, rows[np.argsort(scores, kind="stable")[spread]]])
