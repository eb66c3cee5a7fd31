"""Tests of shares, locations and distributions are calibrated, and right where events are few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from riskstream.models.drift.comparison import Comparison, compare
from riskstream.models.drift.judgement import benjamini_hochberg
from riskstream.models.drift.tally import Tally
from tests.support import windows

SHAPE = windows.shape()


def seen(rng: np.random.Generator, count: int) -> Tally:
    return SHAPE.of(windows.sketch(SHAPE.layout, windows.events(rng, count)), {})


def calm(count: int, rounds: int = 200) -> list[Comparison]:
    rng = np.random.default_rng(3)
    return [compare(SHAPE, seen(rng, count), SHAPE.known) for _ in range(rounds)]


def share_of(hits: int, trials: int, known_hits: int, known_trials: int) -> float:
    """The first share's deviate."""
    one, other = (
        Tally(SHAPE.nothing.hits + k, SHAPE.nothing.trials + n, SHAPE.nothing.bins, SHAPE.nothing.totals)
        for k, n in ((hits, trials), (known_hits, known_trials))
    )
    return float(compare(SHAPE, one, other).share_deviate[0])


@settings(max_examples=50)
@given(st.integers(30, 5_000), st.integers(0, 60))
def test_a_share_against_a_huge_reference_is_the_binomial_mid_p(trials: int, hits: int) -> None:
    hits = min(hits, trials)
    law = stats.binom(trials, (2_000_000 + 0.5) / (100_000_000 + 1))
    above, below = law.sf(hits) + law.pmf(hits) / 2, law.cdf(hits) - law.pmf(hits) / 2
    expected = stats.norm.isf(above) if above < below else stats.norm.ppf(below)
    assert share_of(hits, trials, 2_000_000, 100_000_000) == pytest.approx(expected, abs=0.02)


def test_a_small_reference_makes_less_of_the_same_difference() -> None:
    assert share_of(60, 1_000, 20_000, 1_000_000) > 1.3 * share_of(60, 1_000, 20, 1_000) > 0


def test_too_few_events_say_nothing() -> None:
    assert np.isnan(share_of(29, 29, 5, 1_000))
    assert np.isnan(share_of(5, 1_000, 0, 29))


@pytest.mark.parametrize("count", [100, 1_000])
def test_deviates_of_calm_windows_are_standard_normal(count: int) -> None:
    found = calm(count)
    for deviates in ([each.share_deviate[1] for each in found], [each.location_deviate[0] for each in found]):
        assert abs(np.mean(deviates)) < 0.25
        assert 0.8 < np.std(deviates) < 1.2


@pytest.mark.parametrize("count", [100, 1_000])
def test_the_distance_times_events_is_a_chi_square(count: int) -> None:
    """Of as many degrees of freedom as bins in use less one."""
    bins = np.count_nonzero(SHAPE.reference_bins[: SHAPE.starts[1]])
    chi2 = [each.chi2[0] for each in calm(count)]
    assert np.mean(chi2) == pytest.approx(bins - 1, rel=0.12)
    assert np.var(chi2) == pytest.approx(2 * (bins - 1), rel=0.35)


def test_one_event_where_there_never_was_one_is_no_alarm() -> None:
    calm_one = seen(np.random.default_rng(3), 200)
    odd = Tally(calm_one.hits, calm_one.trials, calm_one.bins.copy(), calm_one.totals)
    odd.bins[SHAPE.starts[1]] += 1  # below every value of `flag`
    assert compare(SHAPE, odd, SHAPE.known).chi2[1] < compare(SHAPE, calm_one, SHAPE.known).chi2[1] + 3.5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 0.5))
def test_benjamini_hochberg_is_scipys(p: list[float], level: float) -> None:
    limit = benjamini_hochberg(np.array(p), level)
    adjusted = stats.false_discovery_control(p)
    close = np.abs(adjusted - level) < 1e-9
    assert np.array_equal((np.array(p) <= limit)[~close], (adjusted <= level)[~close])
