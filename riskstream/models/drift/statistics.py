"""Distances between two binned distributions, for many features at once.

Bins of all features lie in one flat array, `starts` says where each feature's begin; the results have one number per
feature. Counts may have leading dimensions (one per segment, say), which stay. A feature without any value gives NaN.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
Floats = NDArray[np.float64]
Starts = NDArray[np.int64]


def sums(values: Numbers, starts: Starts) -> Floats:
    """Each feature's sum over its bins."""
    return np.add.reduceat(np.asarray(values, np.float64), starts, axis=-1)


def spread(per_feature: Numbers, starts: Starts, bins: int) -> Numbers:
    """Each feature's number once for each of its bins."""
    return np.repeat(per_feature, np.diff(starts, append=bins), axis=-1)


def shares(counts: Numbers, starts: Starts) -> Floats:
    """The share of each bin among its feature's."""
    with np.errstate(invalid="ignore"):
        return counts / spread(sums(counts, starts), starts, counts.shape[-1])


def psi(reference: Numbers, seen: Numbers, starts: Starts) -> Floats:
    """Population stability index: sum of (p - q) ln(p / q).

    The symmetric Kullback-Leibler divergence (Jeffreys 1946; Siddiqi, Credit Risk Scorecards, 2006). To either side
    one event is added, spread as both sides together, so that a bin that only one of them has is not infinite. With m
    and n events, two samples of one distribution over K bins have a PSI of (K - 1)(1/m + 1/n) on average (Yurdakul
    2018): the usual limits of .1 and .25 mean nothing in a small window.
    """
    both = shares(seen + reference, starts)
    p, q = shares(seen + both, starts), shares(reference + both, starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(both > 0, (p - q) * np.log(p / q), 0.0)
    return np.where(_known(reference, seen, starts), sums(terms, starts), np.nan)


def ks(reference: Numbers, seen: Numbers, starts: Starts) -> Floats:
    """Kolmogorov-Smirnov distance: the largest gap of the cumulative shares, at the bins' edges.

    Between two edges the gap may be larger, by at most the share of that bin in one of the two.
    """
    gap = np.nan_to_num(shares(seen, starts) - shares(reference, starts))
    total = np.cumsum(gap, axis=-1)
    before = spread(np.take(total - gap, starts, axis=-1), starts, gap.shape[-1])
    largest = np.maximum.reduceat(np.abs(total - before), starts, axis=-1)
    return np.where(_known(reference, seen, starts), largest, np.nan)


def js(reference: Numbers, seen: Numbers, starts: Starts) -> Floats:
    """Jensen-Shannon divergence to base 2: 0 for equal, 1 for disjoint distributions (Lin 1991).

    scipy's `jensenshannon(p, q, base=2)` is its square root.
    """
    p, q = shares(seen, starts), shares(reference, starts)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / middle), 0.0) + np.where(q > 0, q * np.log2(q / middle), 0.0)
    return np.where(_known(reference, seen, starts), np.maximum(sums(terms, starts) / 2, 0.0), np.nan)


def mean_shift(mean: Numbers, variance: Numbers, count: Numbers, reference: tuple[Numbers, Numbers, Numbers]) -> Floats:
    """Welch's z: the difference of two means in its standard error. `reference` is mean, variance and count."""
    reference_mean, reference_variance, reference_count = reference
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((mean - reference_mean) / np.sqrt(variance / count + reference_variance / reference_count))


def _known(reference: Numbers, seen: Numbers, starts: Starts) -> NDArray[np.bool_]:
    return (sums(reference, starts) > 0) & (sums(seen, starts) > 0)


# One row each: a function of reference counts, counts seen and starts.
DISTANCES: Mapping[str, Callable[[Numbers, Numbers, Starts], Floats]] = MappingProxyType(
    {"psi": psi, "ks": ks, "js": js}
)
