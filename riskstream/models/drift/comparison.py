"""Two tallies held against each other: how far apart, in units of what chance would do if events were independent.

Three kinds of test, each robust to what real columns are like:

- a share (missing, decisions ...): the exact binomial test, its mid-p value turned into a normal deviate (a randomised
  quantile residual without the dice: Dunn and Smyth 1996; mid-p: Lancaster 1961), right for rare events too;
- the location of a column: the mean of its ranks among the reference's values (Mann and Whitney 1947, over bins).
  A mean would be at the mercy of one large amount;
- the distribution of a column: 8 n JS, with the Jensen-Shannon divergence JS in nats and n = n1 n2 / (n1 + n2). To
  second order it is Pearson's chi-square (Lin 1991), but one event in a bin that was empty cannot make it large.
  Its cube root is close to normal (Wilson and Hilferty 1931).

The other side is a finite sample too: each test counts both sides' numbers of events.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from riskstream.models.drift.statistics import js, shares, sums
from riskstream.models.drift.tally import Shape, Tally

Floats = NDArray[np.float64]

LEAST_EVENTS = 30  # on either side, or nothing is said
SMALLEST = 1e-300


@dataclass(frozen=True, eq=False)
class Comparison:
    """Of all shares, then all columns: `deviate` is signed, and standard normal for independent events under calm.

    `share_effect` is a difference of shares, `location_effect` of mean ranks (.5 is everything), `distance` is 8 JS,
    which is a PSI to second order, and `chi2` that distance times the number of events. NaN: too few events.
    """

    share_deviate: Floats
    share_effect: Floats
    location_deviate: Floats
    location_effect: Floats
    distance: Floats
    chi2: Floats


def compare(shape: Shape, seen: Tally, usual: Tally) -> Comparison:
    share_deviate, share_effect = _shares(seen, usual)
    location_deviate, location_effect = _locations(shape, seen, usual)
    enough = _harmonic(sums(seen.bins, shape.starts), sums(usual.bins, shape.starts))
    distance = 8 * np.log(2) * js(usual.bins, seen.bins, shape.starts)
    return Comparison(
        share_deviate, share_effect, location_deviate, location_effect, distance + 0 * enough, distance * enough
    )


def _harmonic(seen: Floats, usual: Floats) -> Floats:
    """The size of one sample whose share varies as the difference of these two; NaN if either is too small."""
    with np.errstate(invalid="ignore"):
        both = seen * usual / (seen + usual)
    return np.where((seen >= LEAST_EVENTS) & (usual >= LEAST_EVENTS), both, np.nan)


def _shares(seen: Tally, usual: Tally) -> tuple[Floats, Floats]:
    size = _harmonic(seen.trials, usual.trials)
    expected = (usual.hits + 0.5) / (usual.trials + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = seen.hits / seen.trials
    deviate = _mid_p_deviate(share * size, size, expected)
    return deviate, share - np.where(usual.trials > 0, usual.hits / np.maximum(usual.trials, 1), np.nan) + 0 * size


def _mid_p_deviate(hits: Floats, size: Floats, expected: Floats) -> Floats:
    """Normal deviate with the mid-p tails of a binomial; hits and size need not be whole (incomplete beta function)."""

    def at_least(k: Floats, n: Floats, p: Floats) -> Floats:
        inner = special.betainc(np.maximum(k, SMALLEST), np.maximum(n - k + 1, SMALLEST), p)
        return np.where(k <= 0, 1.0, np.where(k >= n + 1, 0.0, inner))

    misses = size - hits
    above = (at_least(hits, size, expected) + at_least(hits + 1, size, expected)) / 2
    below = (at_least(misses, size, 1 - expected) + at_least(misses + 1, size, 1 - expected)) / 2
    tail = special.ndtri(np.maximum(np.minimum(above, below), SMALLEST))
    deviate = np.where(above < below, -tail, tail)
    return np.where(np.isnan(size), np.nan, np.where(np.minimum(above, below) >= 0.5, 0.0, deviate))


def _locations(shape: Shape, seen: Tally, usual: Tally) -> tuple[Floats, Floats]:
    size = _harmonic(sums(seen.bins, shape.starts), sums(usual.bins, shape.starts))
    part = shares(usual.bins, shape.starts)
    centre = sums(part * shape.ranks, shape.starts)
    variance = sums(part * shape.ranks**2, shape.starts) - centre**2
    effect = sums(shares(seen.bins, shape.starts) * shape.ranks, shape.starts) - centre
    # A column that has always been constant has no variance; what it becomes is the distribution's to say.
    with np.errstate(divide="ignore", invalid="ignore"):
        deviate = effect * np.sqrt(size) / np.sqrt(np.where(variance > 1e-6, variance, np.nan))
    return deviate, effect + 0 * deviate
