"""Small training runs, whole, of every kind of model and of label, and the gates that a wrong model does not pass."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import onnx
import pytest

from riskstream.models.bundle import Bundle, BundleError, Smoke, load_bundle
from riskstream.models.outputs import Answer
from riskstream.models.payment import DOMAIN
from riskstream.models.policy import Policy
from riskstream.models.scorer import Scorer
from riskstream.models.training.config import Kind, Model, Parameter, Search, TrainConfig, Validation
from riskstream.models.training.evidence import candidates, edges_of, histogram
from riskstream.models.training.examples import Examples, TrainingData
from riskstream.models.training.export import Origin
from riskstream.models.training.leafwise import LeafWise
from riskstream.models.training.learners import Exported
from riskstream.models.training.parity import ParityError, boundaries, boundary_rows, check_batches, check_parity
from riskstream.models.training.pipeline import Trained, train
from tests.support.training import relabelled, small_data

ORIGIN = Origin(datetime(2026, 1, 1, tzinfo=UTC), "abc123")
POLICY = Policy(review=0.5, decline=0.8)
CONFIG = TrainConfig(model=Model(trees=60, parameters={"nthread": 1}), bootstrap=20)
QUICK: dict[str, dict[str, Parameter]] = {
    "xgboost": {"nthread": 1, "eta": 0.3},
    "lightgbm": {"num_threads": 1},
    "logistic": {"C": 0.01},
}
KINDS: tuple[Kind, ...] = ("xgboost", "lightgbm", "random_forest", "logistic")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def data(folder: Path) -> TrainingData:
    return small_data(folder)


@pytest.fixture(scope="module")
def trained(folder: Path, data: TrainingData) -> Trained:
    return train(CONFIG, data, DOMAIN, folder / "one", ORIGIN)


@pytest.fixture(scope="module")
def bundle(trained: Trained) -> Bundle:
    return trained.bundle


def small(kind: Kind) -> TrainConfig:
    return TrainConfig(model=Model(kind=kind, trees=10, parameters=QUICK.get(kind, {})), bootstrap=0)


def test_the_bundle_serves_what_was_trained(trained: Trained, folder: Path) -> None:
    assert trained.parity.largest <= 1e-6
    assert trained.parity.flips == 0
    assert load_bundle(folder / "one", DOMAIN.features) == trained.bundle


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", ["binary", "multiclass", "multilabel"])
def test_every_kind_of_model_serves_every_kind_of_label(
    data: TrainingData, tmp_path: Path, kind: Kind, labels: Literal["binary", "multiclass", "multilabel"]
) -> None:
    given = data if labels == "binary" else relabelled(data, labels)
    done = train(small(kind), given, DOMAIN, tmp_path / "bundle", ORIGIN)
    assert done.parity.largest <= 1e-6
    assert done.parity.flips == 0
    assert done.bundle.manifest.output.task == labels
    assert done.bundle.manifest.metrics["auc"] > 0.7
    assert ("auc_stolen_card" in done.bundle.manifest.metrics) == (labels != "binary")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_bundle(data: TrainingData, tmp_path: Path, kind: Kind) -> None:
    for name in ("one", "two"):
        train(small(kind), data, DOMAIN, tmp_path / name, ORIGIN)
    for name in ("bundle.json", "model.onnx", "reference.json", "smoke.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_feature_that_is_never_there_does_no_harm(data: TrainingData, tmp_path: Path, kind: Kind) -> None:
    def without(part: Examples) -> Examples:
        return replace(
            part, features=np.where(np.arange(part.features.shape[1]) == 3, np.float32(np.nan), part.features)
        )

    poorer = TrainingData(data.about, without(data.train), without(data.calibration), without(data.test))
    assert train(small(kind), poorer, DOMAIN, tmp_path / "bundle", ORIGIN).parity.flips == 0


def test_another_seed_makes_another_model(data: TrainingData, bundle: Bundle, tmp_path: Path) -> None:
    other = train(msgspec.structs.replace(CONFIG, seed=8), data, DOMAIN, tmp_path / "other", ORIGIN)
    assert other.bundle.model != bundle.model


def test_the_manifest_says_where_the_model_comes_from(bundle: Bundle, data: TrainingData) -> None:
    training = bundle.manifest.training
    assert training.fingerprint == data.about.fingerprint
    assert training.commit == "abc123"
    assert training.cuts["train"] == data.about.cuts.train
    assert training.parameters["model.trees"] == training.parameters["trees_grown"] == 60
    assert {"xgboost-cpu", "onnxruntime"} <= training.libraries.keys()


def test_the_manifest_says_how_well_it_was_proved(bundle: Bundle, trained: Trained) -> None:
    assert bundle.manifest.metrics["parity_max"] == trained.parity.largest <= 1e-6
    assert bundle.manifest.metrics["flips"] == 0
    assert "checks_failed" not in bundle.manifest.metrics  # nobody looked


def test_the_model_knows_fraud_and_is_not_omniscient(bundle: Bundle) -> None:
    metrics = bundle.manifest.metrics
    assert 0.8 < metrics["auc"] < 0.9999
    assert metrics["auc_low"] <= metrics["auc"] <= metrics["auc_high"]


def test_no_bundle_takes_the_place_of_another(data: TrainingData, trained: Trained) -> None:
    with pytest.raises(BundleError, match="already exists"):
        train(CONFIG, data, DOMAIN, trained.path, ORIGIN)


def rounded_to_nearest(model: LeafWise, name: str) -> Exported:
    """What the usual converter makes of LightGBM's thresholds."""
    right = onnx.load_model_from_string(EXPORT(model, name).model)
    values = next(part for part in right.graph.node[0].attribute if part.name == "nodes_values")
    values.floats[:] = [np.nextafter(np.float32(value), np.float32(np.inf)) for value in values.floats]
    return Exported(bytes(right.SerializeToString()), "logit", "logits")


EXPORT: Callable[[LeafWise, str], Exported] = LeafWise.export


def test_a_failing_gate_leaves_no_bundle_behind(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LeafWise, "export", rounded_to_nearest)
    with pytest.raises(ParityError, match="no bundle was made"):
        train(small("lightgbm"), data, DOMAIN, tmp_path / "bundle", ORIGIN)
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_sees_its_batch_does_not_pass() -> None:
    rows = np.random.default_rng(0).normal(size=(3_000, 2)).astype(np.float32)

    def looks_around(batch: np.ndarray) -> Answer:
        return Answer(batch[:, 0] + 1e-9 * len(batch), None)

    with pytest.raises(ParityError, match="batches of 1;"):
        check_batches(looks_around, rows)


def test_early_stopping_grows_fewer_trees_and_folds_judge_the_future(data: TrainingData, tmp_path: Path) -> None:
    model = Model(trees=400, early_stopping=5, parameters={"eta": 0.3, "nthread": 1})
    config = TrainConfig(model=model, validation=Validation(folds=3), bootstrap=0)
    done = train(config, data, DOMAIN, tmp_path / "bundle", ORIGIN)
    assert 1 <= int(done.bundle.manifest.training.parameters["trees_grown"]) < 400
    assert 1 <= len(done.folds) <= 3
    assert all(0.05 < worth <= 1 for worth in done.folds)


def test_a_search_is_repeatable_and_keeps_what_is_fixed(data: TrainingData, tmp_path: Path) -> None:
    model = Model(kind="logistic", parameters={"max_iter": 200})
    config = TrainConfig(model=model, validation=Validation(folds=1), search=Search(trials=3), bootstrap=0)
    found = [
        train(config, data, DOMAIN, tmp_path / name, ORIGIN).bundle.manifest.training.parameters for name in ("a", "b")
    ]
    assert found[0] == found[1]
    assert found[0]["model.parameters.max_iter"] == 200


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


def test_no_smoke_case_is_a_row_of_the_log(bundle: Bundle, data: TrainingData) -> None:
    known = {row.tobytes() for part in (data.train, data.calibration, data.test) for row in part.features}
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
    edges = boundary_rows(candidates(bundle.reference, seed=1), boundaries(bundle), seed=1)
    with pytest.raises(ParityError, match="differ"):
        check_parity(Scorer(bundle).answer(edges), wrong.answer(edges), bundle.manifest.thresholds)


def answer(scores: Any) -> Answer:
    return Answer(np.asarray(scores), None)


def test_parity_forgives_rounding() -> None:
    scores = np.array([0.1, 0.5, 0.9])
    parity = check_parity(answer(scores), answer(scores + 1e-7), POLICY)
    assert 0.9e-7 < parity.largest < 1.1e-7
    assert (parity.flips, parity.rows) == (0, 3)


@pytest.mark.parametrize("change", [[2e-6, 0.0, 0.0], [0.0, -1e-9, 0.0], [0.0, 0.0, np.nan]])
def test_parity_refuses_a_difference_a_flip_and_a_nan(change: list[float]) -> None:
    scores = np.array([0.1, 0.5, 0.9])
    with pytest.raises(ParityError, match="differ"):
        check_parity(answer(scores), answer(scores + np.array(change)), POLICY)


def test_parity_looks_at_the_probability_of_every_class() -> None:
    risk, several = np.array([0.1]), np.array([[0.9, 0.04, 0.06]])
    with pytest.raises(ParityError, match="differ"):
        check_parity(Answer(risk, several), Answer(risk, several[:, [0, 2, 1]]), POLICY)


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
