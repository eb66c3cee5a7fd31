"""Is this window out of the ordinary? P-values that respect how many events there were and how much they hang together.

A series is unusual only if it differs from everything that counts as normal: from recent calm windows, from the same
hour of earlier days, and from what the model was trained on. Each of these that is known can only excuse a deviation,
so how often calm windows are flagged is decided by the first alone, whose scale is learned from just such windows. The
p-value is the largest of the three, the effect the smallest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import special

from riskstream.models.drift.comparison import LEAST_EVENTS, Comparison, compare
from riskstream.models.drift.memory import Memory
from riskstream.models.drift.statistics import sums
from riskstream.models.drift.tally import Shape, Tally, Variable

Floats = NDArray[np.float64]

# The smallest change worth an alert: of a share, as a difference; of a column's mean rank; of its distribution, as PSI.
LEAST_SHARE = {"missing": 0.01, "new_values": 0.005, "prediction": 0.005, "degraded": 0.02, "dead_letters": 0.005}
LEAST_LOCATION = 0.03
LEAST_DISTANCE = 0.1
# Where fewer events are expected, they are taken to come in clusters of at least this variance over mean.
FEW_EXPECTED, CLUSTER = 5.0, 4.0
EXACT = 1e6


@dataclass(frozen=True)
class Rules:
    """What the operator decides. `false_alarms` is the share of calm windows that may raise an alert, over all series.

    Half of it is spent on alerts raised at once, half on those that need two suspicious windows of three (any pair of
    three at level s has a chance of 3 s^2). Who watches windows of several lengths gives each its part.
    """

    false_alarms: float = 0.01
    warm_up: int = 24  # windows to learn from before anything is said ...
    first_ms: int = 86_400_000  # ... and so long, in event time: a day, so that every hour has been seen once
    memory: float = 96.0  # windows after which an old one counts a third
    end_after: int = 3  # calm windows end an alert
    calendar: tuple[str, ...] = ("hour", "weekday")  # features that say what time it is: shown, not judged

    @property
    def at_once(self) -> float:
        return self.false_alarms / 2

    @property
    def suspicious(self) -> float:
        return float(np.sqrt(self.false_alarms / 6))


@dataclass(frozen=True, eq=False)
class Judged:
    """One part's series: shares, locations, distributions. NaN where nothing can be said."""

    p: Floats
    effect: Floats
    deviation: Comparison  # from recent windows


@dataclass(frozen=True, eq=False)
class Judge:
    """Judges the tallies of one model by some rules."""

    shape: Shape
    rules: Rules = field(default_factory=Rules)

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """What each series belongs to: shares, then columns by location, then columns by distribution."""
        return (*self.shape.shares, *self.shape.columns, *self.shape.columns)

    @cached_property
    def least(self) -> Floats:
        """The smallest effect of each series that is worth an alert."""
        shares = [LEAST_SHARE[variable.kind] for variable in self.shape.shares]
        columns = len(self.shape.columns)
        return np.array([*shares, *[LEAST_LOCATION] * columns, *[LEAST_DISTANCE] * columns])

    @cached_property
    def judged(self) -> NDArray[np.bool_]:
        columns = [variable.name not in self.rules.calendar for variable in self.shape.columns]
        return np.array([*[True] * len(self.shape.shares), *columns, *columns])

    def is_warm(self, memory: Memory) -> bool:
        return memory.windows >= self.rules.warm_up and memory.age_ms >= self.rules.first_ms

    def part(self, seen: Tally, memory: Memory, reference: Tally | None) -> Judged:
        """One part of a window against what is usual there; `reference` if training knew such a part."""
        deviation = compare(self.shape, seen, memory.recent)
        p, effect = self.against(seen, deviation, memory)
        known = [compare(self.shape, seen, reference)] if reference else []
        for found in [*known, self._this_hour(seen, memory)]:
            other_p, other_effect = self.against(seen, found, memory)
            opposed = np.sign(other_effect) != np.sign(effect)
            p = np.where(np.isnan(other_p), p, np.where(opposed, 1.0, np.maximum(p, other_p)))
            effect = np.where(np.isnan(other_p), effect, np.where(opposed, 0.0, _smaller(effect, other_effect)))
        ready = self.is_warm(memory) & (memory.weight >= min(self.rules.warm_up, self.rules.memory / 2)) & self.judged
        return Judged(np.where(ready, p, np.nan), effect, deviation)

    def _this_hour(self, seen: Tally, memory: Memory) -> Comparison:
        """Against the same hour of earlier days, shares and locations as if those were known exactly.

        Few earlier windows would else excuse almost everything, by being uncertain.
        """
        usual = memory.same_hour(self.shape)
        found, exact = compare(self.shape, seen, usual), compare(self.shape, seen, usual * EXACT)
        return replace(
            found,
            share_deviate=exact.share_deviate + 0 * found.share_deviate,
            location_deviate=exact.location_deviate + 0 * found.location_deviate,
        )

    def against(self, seen: Tally, found: Comparison, memory: Memory) -> tuple[Floats, Floats]:
        """Two-sided p-values of shares and locations, one-sided of distributions: Student's t with a learned scale."""
        columns = len(self.shape.columns)
        weight, crowd = np.maximum(memory.weight, 1), self._crowd(seen, memory)
        deviates = np.concatenate([found.share_deviate, found.location_deviate])
        excess = np.maximum(memory.squares / weight, self._least_excess(seen, memory))[:-columns]
        t = deviates / np.sqrt(1 + (excess - 1) * crowd[:-columns])
        two_sided = 2 * special.stdtr(weight[:-columns], -np.abs(t))
        mean, deviation = self._usual_root(memory, seen)
        far = (np.cbrt(found.chi2 / crowd[-columns:]) - mean) / (deviation * np.sqrt(1 + 1 / weight[-columns:]))
        one_sided = special.stdtr(weight[-columns:], -far)
        beyond = np.maximum(found.distance - mean**3 * found.distance / np.maximum(found.chi2, 1e-12), 0)
        return np.concatenate([two_sided, one_sided]), np.concatenate(
            [found.share_effect, found.location_effect, np.where(np.isnan(found.chi2), np.nan, beyond)]
        )

    def _least_excess(self, seen: Tally, memory: Memory) -> Floats:
        """What is rare comes in clusters, one customer's, and calm windows have too few of them to tell of it."""
        usual = memory.recent
        expected = seen.trials * usual.hits / np.maximum(usual.trials, 1)
        shares = np.where(np.minimum(expected, seen.trials - expected) < FEW_EXPECTED, CLUSTER, 1.0)
        return np.concatenate([shares, np.ones(2 * len(self.shape.columns))])

    def _usual_root(self, memory: Memory, seen: Tally) -> tuple[Floats, Floats]:
        """Mean and deviation of the cube root of a calm chi-square; at least what Wilson and Hilferty say."""
        columns = len(self.shape.columns)
        weight = np.maximum(memory.weight[-columns:], 2)
        mean = memory.roots / weight
        variance = np.maximum(memory.squares[-columns:] / weight - mean**2, 0) * weight / (weight - 1)
        freedom = np.maximum(sums((memory.recent.bins + seen.bins) > 0, self.shape.starts) - 1, 1)
        return mean, np.sqrt(np.maximum(variance, mean**2 * 2 / (9 * freedom)) + 1e-12)

    def _crowd(self, seen: Tally, memory: Memory) -> Floats:
        """How many times larger than a usual window this one is, at least 1, for each series.

        What varies from window to window, and not from event to event, does not average out in a larger one.
        """
        columns = sums(seen.bins, self.shape.starts), sums(memory.recent.bins, self.shape.starts)
        now = np.concatenate([seen.trials, columns[0], columns[0]])
        usual = np.concatenate([memory.recent.trials, columns[1], columns[1]]) / max(memory.recent_windows, 1)
        return np.maximum(now / np.maximum(usual, 1), 1)

    def flags(self, parts: Mapping[str, Judged], level: float) -> Mapping[str, NDArray[np.bool_]]:
        """Series whose p-value passes at a false discovery rate of `level` over all parts, with effects that matter."""
        limit = benjamini_hochberg(np.concatenate([judged.p for judged in parts.values()]), level)
        with np.errstate(invalid="ignore"):
            return {name: (j.p <= limit) & (np.abs(j.effect) >= self.least) for name, j in parts.items()}


def _smaller(effect: Floats, other: Floats) -> Floats:
    return np.where(np.abs(other) < np.abs(effect), other, effect)


def benjamini_hochberg(p: Floats, level: float) -> float:
    """The largest p-value that is still a discovery; -1 if there is none (Benjamini and Hochberg 1995)."""
    ordered = np.sort(p[~np.isnan(p)])
    passed = np.flatnonzero(ordered <= level * np.arange(1, len(ordered) + 1) / max(len(ordered), 1))
    return float(ordered[passed[-1]]) if len(passed) else -1.0


def enough(tally: Tally, shape: Shape) -> bool:
    """Whether a part has enough events for any test at all."""
    return bool(sums(tally.bins, shape.starts)[-1] >= LEAST_EVENTS)
