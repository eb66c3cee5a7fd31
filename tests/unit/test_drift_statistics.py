"""Distances over bins, held against scipy and against sums written out plainly."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import jensenshannon

from riskstream.models.drift.statistics import DISTANCES, js, ks, mean_shift, psi, shares

ONE = np.array([0])
Counts = NDArray[np.int64]


def some(counts: list[int]) -> bool:
    return sum(counts) > 3


pairs = st.integers(1, 12).flatmap(
    lambda bins: st.tuples(*[
        st.lists(st.integers(0, 500), min_size=bins, max_size=bins).filter(some).map(np.array) for _ in range(2)
    ])
)  # fmt: skip


@given(pairs)
def test_psi_is_the_sum_written_out(pair: tuple[Counts, Counts]) -> None:
    reference, seen = pair
    both = (reference + seen) / (reference + seen).sum()
    q, p = (((counts + both) / (counts.sum() + 1)).tolist() for counts in pair)
    plain = sum((a - b) * log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
    assert psi(reference, seen, ONE) == pytest.approx(plain, abs=1e-12)


@given(pairs)
def test_jensen_shannon_is_scipys(pair: tuple[Counts, Counts]) -> None:
    assert js(*pair, ONE)[0] == pytest.approx(jensenshannon(*pair, base=2) ** 2, abs=1e-9)


@given(pairs)
def test_kolmogorov_smirnov_is_scipys_of_the_binned_values(pair: tuple[Counts, Counts]) -> None:
    reference, seen = (np.repeat(np.arange(len(counts)), counts) for counts in pair)
    assert ks(pair[0], pair[1], ONE)[0] == pytest.approx(
        stats.ks_2samp(seen, reference, method="asymp").statistic, abs=1e-12
    )


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(-1, 1), st.integers(2, 40))
def test_binning_hides_at_most_the_share_of_one_bin_from_ks(seed: int, shift: float, bins: int) -> None:
    rng = np.random.default_rng(seed)
    reference, seen = rng.normal(size=400), rng.normal(shift, size=300)
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, x, side="right"), minlength=len(edges) + 1) for x in (reference, seen)]
    exact = stats.ks_2samp(seen, reference).statistic
    largest_bin = max((count / count.sum()).max() for count in counts)
    assert exact - largest_bin <= ks(counts[0], counts[1], ONE)[0] <= exact + 1e-12


@given(st.lists(pairs, min_size=1, max_size=5))
def test_many_features_at_once_are_each_as_alone(features: list[tuple[Counts, Counts]]) -> None:
    starts = np.cumsum([0, *(len(reference) for reference, _ in features)])[:-1]
    together = [np.concatenate(side) for side in zip(*features, strict=True)]
    for distance in DISTANCES.values():
        alone = [distance(reference, seen, ONE)[0] for reference, seen in features]
        np.testing.assert_allclose(distance(together[0], together[1], starts), np.array(alone), atol=1e-12)


@pytest.mark.parametrize("distance", DISTANCES.values())
def test_equal_distributions_are_not_apart_and_nothing_is_unknown(distance: object) -> None:
    assert callable(distance)
    counts = np.array([5, 0, 7])
    assert distance(counts, counts * 3, ONE)[0] == pytest.approx(0.0, abs=0.05)
    assert np.isnan(distance(counts, np.zeros(3), ONE)[0])
    assert np.isnan(distance(np.zeros(3), counts, ONE)[0])


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=50), st.lists(st.integers(0, 9), min_size=3, max_size=9))
def test_the_mean_shift_is_welchs(seen: list[int], reference: list[int]) -> None:
    sides = [(np.array(np.mean(x)), np.array(np.var(x, ddof=1)), np.array(len(x))) for x in (seen, reference)]
    mean, variance, count = sides[0]
    if min(len(set(seen)), len(set(reference))) > 1:
        z = mean_shift(mean, variance, count, sides[1])
        assert z == pytest.approx(stats.ttest_ind(seen, reference, equal_var=False).statistic, abs=1e-6)


def test_segments_keep_their_dimension() -> None:
    counts = np.array([[1, 1, 2, 2], [0, 4, 1, 1]])
    np.testing.assert_allclose(shares(counts, np.array([0, 2])), [[0.5, 0.5, 0.5, 0.5], [0, 1, 0.5, 0.5]])
