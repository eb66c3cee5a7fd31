"""A small training run, whole, and the gates that a wrong model does not pass."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest

from riskstream.models.bundle import Bundle, Smoke, load_bundle
from riskstream.models.payment import DOMAIN
from riskstream.models.policy import Policy
from riskstream.models.scorer import Scorer
from riskstream.models.simulation import SimulationConfig, simulate
from riskstream.models.training import ParityError, Trained, TrainingConfig, boosting, train
from riskstream.models.training.evidence import candidates, edges_of, histogram
from riskstream.models.training.examples import fingerprint, make_examples, split_by_time
from riskstream.models.training.parity import boundary_rows, check_parity
from riskstream.models.training.thresholds import choose_policy

SMALL = TrainingConfig(users=400, events=30_000, trees=60)
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy(review=0.5, decline=0.8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Trained:
    return train(SMALL, folder / "one", MOMENT)


@pytest.fixture(scope="module")
def bundle(trained: Trained) -> Bundle:
    return trained.bundle


def test_the_bundle_serves_what_was_trained(trained: Trained, folder: Path) -> None:
    assert trained.parity.largest <= 1e-6
    assert trained.parity.flips == 0
    assert load_bundle(folder / "one", DOMAIN.features) == trained.bundle


def test_the_model_knows_fraud_and_is_not_omniscient(bundle: Bundle) -> None:
    assert 0.8 < bundle.manifest.metrics["auc"] < 0.9999


def test_the_same_seed_makes_the_same_bundle(bundle: Bundle, folder: Path) -> None:
    train(SMALL, folder / "two", MOMENT)
    for name in ("bundle.json", *bundle.manifest.files):
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes(), name


def test_the_reference_counts_every_held_out_row(bundle: Bundle) -> None:
    reference = bundle.reference
    for known in (*reference.features.values(), reference.score):
        assert sum(known.counts) + known.missing == reference.rows
    assert all(len(known.edges) <= 40 for known in reference.features.values())
    assert sum(reference.decisions.values()) == reference.rows


def test_smoke_cases_reach_from_all_missing_to_both_extremes(bundle: Bundle) -> None:
    rows = np.array(bundle.smoke.rows, np.float64)
    assert len(rows) == 32
    assert np.isnan(rows[0]).all()
    assert rows.max(where=~np.isnan(rows), initial=0) == np.finfo(np.float32).max
    assert np.ptp(bundle.smoke.expected) > 0.1


def test_no_smoke_case_is_a_row_of_the_log(bundle: Bundle) -> None:
    log = simulate(SimulationConfig(seed=SMALL.seed, users=SMALL.users, events=SMALL.events, days=SMALL.days))
    known = {row.tobytes() for row in make_examples(DOMAIN, log, SMALL.seed).features}
    rows = np.array(bundle.smoke.rows, np.float64).astype(np.float32)
    assert not any(row.tobytes() in known for row in rows)


def with_less_or_equal(model: bytes) -> bytes:
    """What a converter would make that takes XGBoost's `<` for `<=`."""
    proto = onnx.load_model_from_string(model)
    modes = next(part for part in proto.graph.node[0].attribute if part.name == "nodes_modes")
    modes.strings[:] = [mode.replace(b"BRANCH_LT", b"BRANCH_LEQ") for mode in modes.strings]
    return bytes(proto.SerializeToString())


def test_boundary_rows_show_a_comparison_that_is_off_by_one_step(bundle: Bundle) -> None:
    nothing = Smoke(rows=bundle.smoke.rows[:1], expected=bundle.smoke.expected[:1])
    wrong = Scorer(replace(bundle, model=with_less_or_equal(bundle.model), smoke=nothing))
    edges = boundary_rows(candidates(bundle.reference, seed=1), boosting.splits(bundle.model), seed=1)
    with pytest.raises(ParityError, match="differ"):
        check_parity(Scorer(bundle)(edges), wrong(edges), bundle.manifest.thresholds)


def test_parity_forgives_rounding() -> None:
    scores = np.array([0.1, 0.5, 0.9])
    parity = check_parity(scores, scores + 1e-7, POLICY)
    assert 0.9e-7 < parity.largest < 1.1e-7
    assert parity.flips == 0


@pytest.mark.parametrize("change", [[2e-6, 0.0, 0.0], [0.0, -1e-9, 0.0], [0.0, 0.0, np.nan]])
def test_parity_refuses_a_difference_a_flip_and_a_nan(change: list[float]) -> None:
    scores = np.array([0.1, 0.5, 0.9])
    with pytest.raises(ParityError, match="differ"):
        check_parity(scores, scores + np.array(change), POLICY)


def test_the_parts_of_the_log_follow_each_other_in_time() -> None:
    examples = make_examples(DOMAIN, simulate(SimulationConfig(seed=3, users=50, events=2_000, days=60)), 3)
    split = split_by_time(examples)
    parts = (split.train, split.calibration, split.test)
    shares = [len(part) / len(examples) for part in parts]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.01)
    assert np.concatenate([part.features for part in parts]).tobytes() == examples.features.tobytes()


def test_a_repeat_is_not_one_more_example() -> None:
    config = SimulationConfig(seed=3, users=50, events=2_000, days=60, repeat_share=0.1)
    log = simulate(config)
    warm = log.events[0].event_time + DOMAIN.features.spec.horizon_ms
    distinct = {event.event_id for event in log.events if event.event_time >= warm}
    assert len(make_examples(DOMAIN, log, 3)) == len(distinct) < 1_000


def test_the_fingerprint_is_that_of_the_log() -> None:
    config = SimulationConfig(seed=3, users=20, events=200)
    assert fingerprint(simulate(config)) == fingerprint(simulate(config))
    assert fingerprint(simulate(config)) != fingerprint(simulate(replace(config, seed=4)))


def test_thresholds_stand_in_gaps_between_scores() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(5_000) < 0.02).astype(np.uint8)
    scores = np.clip(0.35 * labels + rng.normal(0.1, 0.1, 5_000), 0, 1)
    policy = choose_policy(scores, labels)
    assert 0.015 < (scores >= policy.review).mean() < 0.025
    assert labels[scores >= policy.decline].mean() >= 0.8
    assert not {policy.review, policy.decline} & set(scores.tolist())


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        ([], []),
        ([np.nan], []),
        ([5.0, 5.0], [5.0, 5.5]),
        ([0.0, 1.0, np.nan, 1.0], [0.0, 0.5, 1.0, 1.5]),
        ([0.5, 0.25], [0.25, 0.375, 0.5, 0.625]),
    ],
)
def test_few_values_have_an_edge_at_and_after_each(values: list[float], edges: list[float]) -> None:
    assert edges_of(np.array(values, np.float32)) == edges


def test_what_training_never_had_is_in_a_bin_where_the_reference_has_none() -> None:
    known = histogram(np.array([5411, 5812]), edges := edges_of(np.array([5411, 5812, 5411])))
    for new in (0, 5410, 5412, 5811, 5813, 9999):
        assert known.counts[int(np.searchsorted(edges, new, side="right"))] == 0


def test_a_rare_tail_has_bins_of_its_own() -> None:
    values = np.concatenate([np.zeros(9_900), np.arange(1.0, 101.0)])
    known = histogram(values, edges_of(values))
    assert known.edges == (1.0, 100.0)
    assert known.counts == (9_900, 99, 1)
