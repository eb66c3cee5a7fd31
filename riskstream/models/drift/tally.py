"""A window as what can be tested: shares (how many of how many) and distributions (counts over bins).

The reference, a window, a segment of it and the windows before it all become a `Tally` of one `Shape`, so that
comparing any two of them is one function. Tallies add up and shrink: what is remembered is a weighted sum of windows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riskstream.models.bundle import Reference
from riskstream.models.drift.sketch import Sketch, SketchLayout
from riskstream.models.drift.statistics import shares, sums
from riskstream.schemas.dead_letter import REASONS
from riskstream.schemas.drift import AlertKind
from riskstream.schemas.score import DECISIONS

Floats = NDArray[np.float64]
SCORE = "score"


class Variable(NamedTuple):
    """What an alert is about: one feature's missing share, one feature's values, one decision, one reason ..."""

    kind: AlertKind
    name: str


@dataclass(frozen=True, eq=False)
class Shape:
    """Which numbers a tally has. `shares` first, then a column per feature and one for the score."""

    layout: SketchLayout
    reference: Reference

    @cached_property
    def shares(self) -> tuple[Variable, ...]:
        names = self.layout.names
        return (
            *(Variable("missing", name) for name in names),
            *(Variable("new_values", name) for name in names),
            *(Variable("prediction", name) for name in DECISIONS),
            Variable("degraded", "degraded"),
            *(Variable("dead_letters", reason) for reason in REASONS),
        )

    @cached_property
    def columns(self) -> tuple[Variable, ...]:
        return (*(Variable("shift", name) for name in self.layout.names), Variable("prediction", SCORE))

    @property
    def series(self) -> int:
        """Shares, locations of columns, distributions of columns."""
        return len(self.shares) + 2 * len(self.columns)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each column's bins begin."""
        return self.layout.starts[:-1]

    @cached_property
    def reference_bins(self) -> Floats:
        histograms = [*self.reference.features.values(), self.reference.score]
        return np.array([count for histogram in histograms for count in histogram.counts], np.float64)

    @cached_property
    def ranks(self) -> Floats:
        """Each bin's place among the reference's values, 0 to 1: the middle of its step of the cumulative share."""
        part = np.nan_to_num(shares(self.reference_bins, self.starts))
        total = np.cumsum(part)
        before = np.repeat(total[self.starts] - part[self.starts], np.diff(self.layout.starts))
        return total - before - part / 2

    @cached_property
    def known(self) -> "Tally":
        """The reference. Of degraded scores and dead letters training knows nothing: those have no trials."""
        missing = np.array([histogram.missing for histogram in self.reference.features.values()], np.float64)
        present = sums(self.reference_bins, self.starts)
        decisions = [float(self.reference.decisions.get(decision, 0)) for decision in DECISIONS]
        means = [h.mean or 0.0 for h in (*self.reference.features.values(), self.reference.score)]
        unknown = np.zeros(1 + len(REASONS))
        return Tally(
            hits=np.concatenate([missing, np.zeros(len(missing)), decisions, unknown]),
            trials=np.concatenate(
                [np.full(len(missing), self.reference.rows), present[:-1], [present[-1]] * 3, unknown]
            ),
            bins=self.reference_bins,
            totals=np.array(means) * present,
        )

    def of(self, sketch: Sketch, dead_letters: Mapping[str, int] | None = None) -> "Tally":
        """The tally of a sketch; of a segment, whose dead letters are unknown, those have no trials."""
        new = np.where(self.reference_bins == 0, sketch.bins, 0)
        present, events = sketch.present(), sketch.events
        letters = np.array([(dead_letters or {}).get(reason, 0) for reason in REASONS])
        records = 0 if dead_letters is None else events + letters.sum()
        counted = (sketch.missing, sums(new, self.starts)[:-1], sketch.decisions, [sketch.degraded_events], letters)
        trials = ([events] * len(self.layout.names), present[:-1], [events] * 4, [records] * len(letters))
        return Tally(
            hits=np.concatenate(counted).astype(np.float64),
            trials=np.concatenate(trials).astype(np.float64),
            bins=sketch.bins.astype(np.float64),
            totals=sketch.sums / self.layout.scale,
        )

    @cached_property
    def nothing(self) -> "Tally":
        empty = np.zeros(len(self.shares))
        return Tally(empty, empty, np.zeros(len(self.reference_bins)), np.zeros(len(self.columns)))


@dataclass(frozen=True, eq=False)
class Tally:
    """Share k is `hits[k] / trials[k]`; `bins` are all columns' one after the other; `totals` their sums of values."""

    hits: Floats
    trials: Floats
    bins: Floats
    totals: Floats

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.hits + other.hits, self.trials + other.trials, self.bins + other.bins, self.totals + other.totals
        )

    def __sub__(self, other: "Tally") -> "Tally":
        """Without `other`, which is a part of it; what rounding leaves below nought is nought."""
        return Tally(
            np.maximum(self.hits - other.hits, 0),
            np.maximum(self.trials - other.trials, 0),
            np.maximum(self.bins - other.bins, 0),
            self.totals - other.totals,
        )

    def __mul__(self, weight: float) -> "Tally":
        return Tally(self.hits * weight, self.trials * weight, self.bins * weight, self.totals * weight)

    def vector(self) -> Floats:
        return np.concatenate([self.hits, self.trials, self.bins, self.totals])

    @classmethod
    def of_vector(cls, shape: Shape, vector: Floats) -> "Tally":
        """The tally again, as views."""
        some, bins = len(shape.shares), len(shape.reference_bins)
        cuts = np.cumsum([some, some, bins])
        return cls(*np.split(vector, cuts))
