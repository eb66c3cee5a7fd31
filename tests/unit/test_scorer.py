"""The scorer proves itself when made, gives the same bits in every batch, and never a number that is no probability."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from onnx import helper, numpy_helper

from riskstream.models.bundle import BundleError, Output, Smoke
from riskstream.models.calibration import Platt, Uncalibrated, logit
from riskstream.models.scorer import NonFiniteScore, Scorer
from tests.support.tiny_bundle import model_of, scores_of, stumps, tiny_bundle


def rows(count: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 3))
    values[rng.random(values.shape) < 0.2] = np.nan
    return values.astype(np.float32)


def tree_by_tree(row: np.ndarray) -> float:
    """What the model says, in plain Python."""
    parts = {attribute.name: helper.get_attribute_value(attribute) for attribute in stumps().attribute}
    margin = 0.0
    for tree in range(len(parts["nodes_values"]) // 3):
        value = row[parts["nodes_featureids"][3 * tree]]
        missing_left = bool(parts["nodes_missing_value_tracks_true"][3 * tree])
        left = missing_left if np.isnan(value) else value < parts["nodes_values"][3 * tree]
        margin += parts["class_weights"][2 * tree + (0 if left else 1)]
    return float(1 / (1 + np.exp(-(0.9 * margin - 0.2))))


def test_a_score_is_the_calibrated_sum_of_the_trees() -> None:
    sample = rows(20)
    assert scores_of(tiny_bundle(), sample) == pytest.approx([tree_by_tree(row) for row in sample], abs=1e-6)


def test_a_row_scores_the_same_bits_in_every_batch() -> None:
    scorer, sample = Scorer(tiny_bundle()), rows(1000)
    whole = scorer(sample)
    for size in (1, 2, 3, 7, 50, 51, 129, 256, 999):
        parts = np.concatenate([scorer(sample[start : start + size]) for start in range(0, len(sample), size)])
        assert parts.tobytes() == whole.tobytes(), size


def test_no_rows_give_no_scores() -> None:
    assert Scorer(tiny_bundle())(rows(0)).shape == (0,)


def test_extreme_values_give_probabilities() -> None:
    extremes = np.array([[np.inf] * 3, [-np.inf] * 3, [3e38] * 3, [1e-45] * 3, [np.nan] * 3], np.float32)
    assert np.all((scores_of(tiny_bundle(), extremes) >= 0) & (scores_of(tiny_bundle(), extremes) <= 1))


@pytest.mark.parametrize("wrong", [rows(2).astype(np.float64), rows(2)[:, :2], rows(2)[0]])
def test_rows_of_another_shape_or_type_are_a_bug(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="want float32"):
        Scorer(tiny_bundle())(wrong)


def weighted(weight: float) -> bytes:
    """A model that multiplies: what is not finite in a row stays so in its score."""
    weights = numpy_helper.from_array(np.full((3, 2), weight, np.float32), "w")
    return model_of(helper.make_node("MatMul", ["features", "w"], ["probabilities"]), initializer=(weights,))


@pytest.mark.parametrize(("kind", "bad"), [("probability", [1, 3, 4, 5]), ("logit", [1, 3])])
def test_rows_without_a_score_are_named(kind: Literal["probability", "logit"], bad: list[int]) -> None:
    output = Output(kind=kind, tensor="probabilities", column=1, classes=("honest", "fraud"))
    expected = 0.5 if kind == "probability" else 1 / (1 + np.exp(-0.5))
    bundle = tiny_bundle(weighted(0.5), calibration=Uncalibrated(), output=output)
    scorer = Scorer(replace(bundle, smoke=Smoke(rows=((0.25, 0.5, 0.25),), expected=(expected,))))
    batch = np.array([[0.1] * 3, [np.nan] * 3, [0.2] * 3, [np.inf] * 3, [2.0] * 3, [-1.0] * 3], np.float32)
    with pytest.raises(NonFiniteScore) as error:
        scorer(batch)
    assert error.value.rows.tolist() == bad


# A bundle whose parts do not belong together -> what the error says.
MISMATCHES = {
    "another model": (
        tiny_bundle(model_of(stumps(seed=7))),
        r"smoke.json: case 0: expected 0.046825661, seen 0\.\d{9}",
    ),
    "another calibration": (tiny_bundle(calibration=Uncalibrated()), r"case 0: expected .* \(2 of 2 cases differ\)"),
    "the other class": (
        tiny_bundle(output=Output(tensor="probabilities", column=0, classes=("honest", "fraud"))),
        "case 0: expected",
    ),
    "another input": (tiny_bundle(input="x"), r"model.onnx: want one float32 input x \[n, 3\]"),
    "another width": (tiny_bundle(features=("amount", "hour")), r"want one float32 input features \[n, 2\]"),
    "another output": (
        tiny_bundle(output=Output(tensor="label2", column=0, classes=("honest", "fraud"))),
        "no output label2, only",
    ),
    "a column too far": (
        tiny_bundle(output=Output(tensor="probabilities", column=2, classes=("honest", "fraud"))),
        "model.onnx: cannot run: index 2 is out of bounds",
    ),
    "no number": (tiny_bundle(weighted(1.0)), "smoke.json: case 0: the model gave no score"),
}


@pytest.mark.parametrize("mismatch", MISMATCHES)
def test_a_bundle_whose_parts_do_not_belong_together_is_refused(mismatch: str) -> None:
    bundle, message = MISMATCHES[mismatch]
    with pytest.raises(BundleError, match=message):
        Scorer(bundle)


def test_a_model_whose_rows_see_each_other_is_refused() -> None:
    across = helper.make_node("Softmax", ["features"], ["probabilities"], axis=0)
    bundle = tiny_bundle(model_of(across), calibration=Uncalibrated())
    smoke = Smoke(rows=((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), expected=(0.5, 0.5))
    with pytest.raises(BundleError, match="smoke case 0 scores differently alone"):
        Scorer(replace(bundle, smoke=smoke))


def test_calibration_keeps_the_order_and_stays_inside() -> None:
    logits = np.array([-3e38, -800.0, -1.0, 0.0, 1e-9, 1.0, 800.0, 3e38])
    for calibration in (Platt(slope=20.0, intercept=-50.0), Platt(slope=0.01, intercept=50.0), Uncalibrated()):
        calibrated = calibration.apply(logits)
        assert np.all(np.diff(calibrated) >= 0)
        assert calibrated[0] >= 0
        assert calibrated[-1] <= 1


def test_a_probability_survives_the_way_through_its_logit() -> None:
    probability = np.concatenate([[0.0], np.random.default_rng(0).random(1000), [1.0]])
    assert Uncalibrated().apply(logit(probability)) == pytest.approx(probability, abs=1e-7)
