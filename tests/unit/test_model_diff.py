"""Two models on the same events: agreement, decisions, quality, and what sets apart those that they disagree on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

from riskstream.models.bundle import sealed
from riskstream.models.domain import load_domain
from riskstream.models.model_diff import Comparison, Events, Judged, compare, manifest_differences, ranking, ranks
from riskstream.models.policy import Policy
from riskstream.workers.cli import app
from tests.support.bundle import write_random_bundle
from tests.support.datasets import simulated_dataset
from tests.support.registry import METRICS, proven

DOMAIN = load_domain("riskstream.models.payment")
POLICY = Policy(review=0.5, decline=0.8)
N = 4_000


def events(seed: int = 3) -> Events:
    """A tenth is risky; the feature `amount` knows it, `hour` knows nothing, four events a user."""
    rng = np.random.default_rng(seed)
    risky = (rng.random(N) < 0.1).astype(np.int8)
    features = np.stack([rng.normal(risky, 1.0), rng.normal(size=N)], axis=1).astype(np.float32)
    return Events(("amount", "hour"), features, risky, np.repeat(np.arange(N // 4), 4))


def squashed(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))


def found(first: np.ndarray, second: np.ndarray, on: Events, policy: Policy = POLICY) -> Comparison:
    return compare(Judged(first, POLICY), Judged(second, policy), on, lambda _: None)


def test_a_model_is_like_itself() -> None:
    on = events()
    scores = squashed(on.features[:, 0])
    same = found(scores, scores, on)
    assert (same.pearson, same.spearman, same.psi) == pytest.approx((1, 1, 0))
    assert same.decisions.sum() == same.decisions.trace() == N
    assert [(one.difference, one.low, one.high) for one in same.figures] == [(0, 0, 0), (0, 0, 0)]
    assert same.movers == ()


def test_a_better_model_is_better_by_its_whole_interval() -> None:
    on = events()
    better = found(squashed(on.features[:, 0] + on.features[:, 1]), squashed(on.features[:, 0]), on)
    for figure in better.figures:
        assert 0 < figure.low < figure.difference < figure.high


def test_the_intervals_of_two_models_of_the_same_worth_hold_nothing_nearly_always() -> None:
    held = 0
    for seed in range(12):
        on, noise = events(seed), np.random.default_rng([seed, 1]).normal(size=(2, N)) / 2
        auc, _ = found(squashed(on.features[:, 0] + noise[0]), squashed(on.features[:, 0] + noise[1]), on).figures
        held += auc.low < 0 < auc.high
    assert held >= 10


def test_figures_are_those_of_scikit_learn() -> None:
    on = events()
    first, second = squashed(on.features[:, 1]), squashed(on.features[:, 0]).round(2)  # with ties
    auc, precision = found(first, second, on).figures
    assert (auc.first, auc.second) == pytest.approx([roc_auc_score(on.risky, each) for each in (first, second)])
    assert precision.second == pytest.approx(average_precision_score(on.risky, second))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=4, max_size=30))
def test_weights_count_as_repetitions(rows: list[tuple[int, bool, int]]) -> None:
    rows = [*rows, (1, True, 1), (3, False, 1)]
    scores, risky, times = (np.array(column) for column in zip(*rows, strict=True))
    repeated = np.repeat(scores, times), np.repeat(risky, times)
    expected = roc_auc_score(repeated[1], repeated[0]), average_precision_score(repeated[1], repeated[0])
    assert ranking(scores.astype(float), risky)(times.astype(float)) == pytest.approx(expected)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_ranks_are_those_of_scipy(values: list[int]) -> None:
    assert ranks(np.array(values, float)).tolist() == rankdata(values).tolist()


def test_correlations_and_decisions_are_counted() -> None:
    on = events()
    first, second = squashed(on.features[:, 0]), squashed(on.features[:, 0] * 2)
    both = found(first, second, on, Policy(review=0.6, decline=0.9))
    assert both.spearman == pytest.approx(float(spearmanr(first, second).statistic))
    assert both.decisions[0, 2] == ((first < 0.5) & (second >= 0.9)).sum()
    assert both.decisions[1, 0] == ((first >= 0.5) & (first < 0.8) & (second < 0.6)).sum()


def test_the_feature_behind_a_disagreement_is_named() -> None:
    on = events()
    first = squashed(on.features[:, 0])
    second = np.where(on.features[:, 1] > 2.0, 1.0, first)
    assert found(first, second, on).movers[0].feature == "hour"


def test_without_enough_known_labels_no_figure_is_given() -> None:
    on = replace(events(), risky=np.full(N, -1, np.int8))
    assert found(squashed(on.features[:, 0]), squashed(on.features[:, 1]), on).figures == ()


def test_unknown_labels_do_not_count() -> None:
    on = events()
    scores = squashed(on.features[:, 0]), squashed(on.features[:, 1])
    half = np.arange(N) < N // 2
    masked = replace(on, risky=np.where(half, on.risky, -1).astype(np.int8))
    assert found(*scores, masked).known == N // 2
    assert found(*scores, masked).figures[0].first == pytest.approx(roc_auc_score(on.risky[half], scores[0][half]))


def test_constant_scores_have_no_correlation() -> None:
    on = events()
    assert np.isnan(found(np.full(N, 0.5), squashed(on.features[:, 0]), on).pearson)


def test_manifests_differ_in_what_is_named() -> None:
    one, two = (sealed(bundle).manifest for bundle in (proven(), proven("1.0.1", thresholds=Policy(0.4, 0.8))))
    assert manifest_differences(one, two) == [("version", "1.0.0", "1.0.1"), ("thresholds.review", "0.5", "0.4")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles that differ in their thresholds, and a data set."""
    path = tmp_path_factory.mktemp("diff")
    simulated_dataset(path / "data")
    write_random_bundle(path / "one", DOMAIN, metrics=METRICS)
    write_random_bundle(path / "two", DOMAIN, trees=80, version="1.1.0", thresholds=Policy(review=0.45, decline=0.6))
    return path


def diff(place: Path, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["model", "diff", str(place / "one"), *arguments], env={"COLUMNS": "160"})
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_the_command_compares_on_a_data_set(place: Path) -> None:
    told = diff(place, str(place / "two"), "--on", str(place / "data"))
    for expected in (
        "differs in model.onnx: a minor change", "thresholds.review │ 0.5 │ 0.45", "PSI", "Quality on",
        "random@1.0.0 ↓ random@1.1.0 →", "What sets the 1 % of events apart",
    ):  # fmt: skip
        assert expected in told


def test_the_command_compares_manifests_alone(place: Path) -> None:
    assert "PSI" not in diff(place, str(place / "two"))


def test_a_data_set_of_other_features_is_refused(place: Path, tmp_path: Path) -> None:
    other = write_random_bundle(tmp_path / "other", DOMAIN, version="2.0.0", feature_set="feedfeedfeedfeed")
    told = diff(place, str(other), "--on", str(place / "data"), code=2)
    assert "random@2.0.0 was made for feedfeedfeedfeed; make a data set with the release of that bundle" in told


def test_a_part_without_rows_is_told(place: Path) -> None:
    assert "no rows of tset; it has" in diff(
        place, str(place / "two"), "--on", str(place / "data"), "--split", "tset", code=2
    )
