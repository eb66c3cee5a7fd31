"""Calibration, thresholds, figures and intervals, on scores whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from riskstream.models.calibration import Isotonic, Platt
from riskstream.models.policy import Policy
from riskstream.models.training.calibrate import CalibrationError, calibrate, fit_isotonic, fit_platt
from riskstream.models.training.config import Alerts, Cost, Costs, Precision, Recall, Rule, Thresholds, Top
from riskstream.models.training.intervals import Resampling, intervals, slices
from riskstream.models.training.metrics import calibration_error, measure, precision_at, recalls
from riskstream.models.training.thresholds import DAY_MS, Judged, choose_policy, cost_of, money_saved

POLICY = Policy(review=0.3, decline=0.6)


def events(count: int = 5_000, share: float = 0.05, seed: int = 0) -> Judged:
    rng = np.random.default_rng(seed)
    risky = rng.random(count) < share
    scores = np.clip(0.35 * risky + rng.normal(0.1, 0.1, count), 0, 1)
    time = np.sort(rng.integers(0, 10 * DAY_MS, count))
    return Judged(scores, risky, rng.integers(100, 50_000, count), time, rng.integers(0, 300, count).astype(np.uint64))


KNOWN = events()


def chosen(review: Rule, decline: Rule = Precision(value=0.8), costs: Costs = Costs()) -> Policy:  # noqa: B008 - frozen
    return choose_policy(KNOWN, Thresholds(review=review, decline=decline), costs)


def test_thresholds_stand_in_gaps_between_scores() -> None:
    policy = chosen(Top(value=0.1))
    assert 0.095 < (KNOWN.scores >= policy.review).mean() < 0.105
    assert KNOWN.risky[KNOWN.scores >= policy.decline].mean() >= 0.8
    assert not {policy.review, policy.decline} & set(KNOWN.scores.tolist())


def test_a_threshold_by_recall_is_the_highest_that_reaches_it() -> None:
    caught = np.sort(KNOWN.scores[KNOWN.risky])
    policy = chosen(Recall(value=0.9))
    assert (caught >= policy.review).mean() >= 0.9
    assert (caught >= np.min(caught[caught > policy.review]) + 1e-12).mean() < 0.9


def test_a_threshold_by_budget_gives_so_many_alerts_a_day() -> None:
    assert (chosen(Alerts(value=20), Top(value=0.001)).review <= KNOWN.scores).sum() == 200


def test_a_threshold_by_cost_is_the_cheapest_of_all() -> None:
    costs = Costs(review=700, insult=0)
    policy = chosen(Cost(), Top(value=0.0001), costs)

    def cost(review: float) -> float:
        return cost_of(KNOWN, Policy(review=review, decline=1.0).decide(KNOWN.scores), costs)

    assert cost(policy.review) == min(cost(float(score)) for score in np.unique(KNOWN.scores))


def test_what_is_not_worth_its_price_is_not_done() -> None:
    policy = chosen(Cost(), Cost(), Costs(review=10_000_000, insult=100_000_000))
    assert policy.review == policy.decline
    assert KNOWN.risky[KNOWN.scores >= policy.decline].all()


def test_money_is_what_stopped_frauds_would_have_cost_less_reviews_and_insults() -> None:
    two = np.array([0, 1, 2, 2], np.uint8)
    few = Judged(
        np.zeros(4), np.array([True, True, True, False]), np.array([1_000, 500, 200, 900]), np.arange(4), KNOWN.user[:4]
    )
    assert cost_of(few, two, Costs(review=30, insult=70)) == 1_000 + 30 + 70
    assert money_saved(few, two, Costs(review=30, insult=70)) == 1_700 - 1_100


def test_precision_at_k_is_a_mean_over_days() -> None:
    time = np.array([0, 1, 2, DAY_MS, DAY_MS + 1])
    scores, risky = np.array([0.9, 0.8, 0.7, 0.1, 0.2]), np.array([True, False, True, True, False])
    few = Judged(scores, risky, np.ones(5, np.int64), time, np.arange(5).astype(np.uint64))
    assert precision_at(few, 1) == (1.0 + 0.0) / 2
    assert precision_at(few, 2) == (0.5 + 0.5) / 2
    assert precision_at(few, 100) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_recall_at_a_false_positive_rate_uses_no_more_than_it() -> None:
    cut = np.quantile(KNOWN.scores[~KNOWN.risky], 0.99)
    assert recalls(KNOWN)["recall_at_fpr_0.01"] == pytest.approx((KNOWN.scores[KNOWN.risky] > cut).mean(), abs=0.01)


def test_calibrated_scores_have_a_small_error_and_shifted_ones_a_large_one() -> None:
    rng = np.random.default_rng(1)
    scores = rng.beta(1, 20, 50_000)
    good = replace(events(50_000), scores=scores, risky=rng.random(50_000) < scores)
    assert calibration_error(good) < 0.004
    assert calibration_error(replace(good, scores=scores + 0.1)) == pytest.approx(0.1, abs=0.01)


def test_intervals_are_of_the_figures_that_scikit_learn_gives() -> None:
    ties = replace(KNOWN, scores=KNOWN.scores.round(2))
    found = intervals(ties, Resampling(POLICY, 50, 1))
    assert found["auc"].value == pytest.approx(roc_auc_score(ties.risky, ties.scores))
    assert found["average_precision"].value == pytest.approx(average_precision_score(ties.risky, ties.scores))
    assert found["caught"].value == pytest.approx((ties.scores[ties.risky] >= 0.3).mean())
    assert all(ends.low < ends.value < ends.high for ends in found.values())


def test_many_events_of_few_users_prove_less_than_those_of_many() -> None:
    def width(users: int) -> float:
        crowd = replace(KNOWN, user=(np.arange(5_000) % users).astype(np.uint64))
        low_high = intervals(
            replace(crowd, scores=KNOWN.scores + 0.5 * (crowd.user % 3 == 0)), Resampling(POLICY, 80, 1)
        )
        return low_high["auc"].high - low_high["auc"].low

    assert width(10) > 2 * width(5_000)


def test_slices_have_sizes_and_no_figures_without_enough_fraud() -> None:
    country = np.where(np.arange(5_000) < 40, "LI", "DE")
    large, small = slices(KNOWN, {"country": country}, Resampling(POLICY, 20, 1))
    assert (large.value, large.events, small.value, small.events) == ("DE", 4_960, "LI", 40)
    assert large.auc is not None
    assert small.auc is None


def test_rare_values_share_a_slice() -> None:
    found = slices(KNOWN, {"country": np.arange(5_000) % 40}, Resampling(POLICY, 0, 1))
    assert len(found) == 13
    assert found[-1].value == "other"
    assert sum(one.events for one in found) == 5_000


def logistic_truth(count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    logits = rng.normal(-2, 2, count)
    return logits, rng.random(count) < 1 / (1 + np.exp(-(0.7 * logits + 0.4)))


def test_platt_finds_the_line_and_auto_keeps_it() -> None:
    logits, risky = logistic_truth()
    line = fit_platt(logits, risky)
    assert (line.slope, line.intercept) == pytest.approx((0.7, 0.4), abs=0.05)
    assert isinstance(calibrate("auto", logits, risky), Platt)


def test_auto_takes_a_curve_where_no_line_fits() -> None:
    logits, _ = logistic_truth()
    truth = np.where(logits < 0, 0.05, 0.3)
    risky = np.random.default_rng(3).random(len(logits)) < truth
    curve = calibrate("auto", logits, risky)
    assert isinstance(curve, Isotonic)
    assert curve.apply(np.array([-3.0, 0.5])) == pytest.approx([0.05, 0.3], abs=0.04)


def test_a_curve_rises_between_its_levels() -> None:
    logits, risky = logistic_truth(2_000)
    assert (np.diff(fit_isotonic(logits, risky).apply(np.linspace(-3, 3, 500))) > 0).mean() > 0.99


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_model_that_ranks_backwards_cannot_be_calibrated(method: str) -> None:
    logits, risky = logistic_truth(2_000)
    with pytest.raises(CalibrationError, match="labels"):
        calibrate(method, -logits, risky)


def test_held_out_rows_of_one_class_cannot_calibrate() -> None:
    with pytest.raises(CalibrationError, match="one class only"):
        calibrate("auto", np.arange(5.0), np.zeros(5, bool))


def test_measured_figures_are_all_shares_or_money() -> None:
    figures = measure(KNOWN, POLICY, Costs(), 100)
    assert all(0 <= value <= 1 for name, value in figures.items() if not name.startswith("money"))
    assert figures["caught"] == pytest.approx((KNOWN.scores[KNOWN.risky] >= 0.3).mean(), abs=1e-6)
