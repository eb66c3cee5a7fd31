"""What the answers of models with several classes or labels come to, by the scorer and on the wire."""

from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from onnx import helper, numpy_helper

from riskstream.models.bundle import Bundle, Manifest, Output, Smoke
from riskstream.models.calibration import Calibration, Isotonic, PerLabel, Platt, Uncalibrated
from riskstream.models.outputs import answer_of, checked, line_of, risk_on_line
from riskstream.models.scorer import Scorer
from tests.support.tiny_bundle import model_of, tiny_bundle

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(0, 3, (200, 3))
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
LABELS = PerLabel(labels=(Uncalibrated(), Platt(slope=2.0, intercept=-1.0), Isotonic((-9.0, 9.0), (0.1, 0.3))))


def output(task: Literal["multiclass", "multilabel"], kind: Literal["logit", "probability"] = "logit") -> Output:
    return Output(kind=kind, task=task, tensor="probabilities", classes=("honest", "stolen", "takeover"))


@pytest.mark.parametrize(("kind", "said"), [("logit", LOGITS), ("probability", SHARES)])
def test_the_risk_of_several_classes_is_what_the_honest_one_leaves(
    kind: Literal["logit", "probability"], said: np.ndarray
) -> None:
    answer = answer_of(output("multiclass", kind), Uncalibrated(), said)
    assert answer.risk == pytest.approx(1 - SHARES[:, 0], abs=1e-7)
    assert answer.probabilities == pytest.approx(SHARES, abs=1e-7)


def test_calibration_moves_the_risk_and_the_classes_share_it() -> None:
    answer = answer_of(output("multiclass"), Platt(slope=0.5, intercept=-1.0), LOGITS)
    assert answer.probabilities is not None
    assert answer.probabilities.sum(axis=1) == pytest.approx(np.ones(200))
    assert answer.probabilities[:, 1] / answer.probabilities[:, 2] == pytest.approx(SHARES[:, 1] / SHARES[:, 2])
    odds = 0.5 * np.log((1 - SHARES[:, 0]) / SHARES[:, 0]) - 1.0
    assert answer.risk == pytest.approx(1 / (1 + np.exp(-odds)))


def test_the_risk_of_several_labels_is_the_likeliest_each_calibrated_by_itself() -> None:
    answer = answer_of(output("multilabel"), LABELS, LOGITS)
    assert answer.probabilities is not None
    assert answer.probabilities[:, 1] == pytest.approx(1 / (1 + np.exp(1 - 2 * LOGITS[:, 1])))
    assert answer.probabilities[:, 2].max() <= 0.3
    assert (answer.risk == answer.probabilities.max(axis=1)).all()


@pytest.mark.parametrize("said", [[[-800.0, 800.0, 3e38]], [[3e38, -3e38, -3e38]], [[0.0, 0.0, 0.0]]])
def test_extreme_logits_give_probabilities(said: list[list[float]]) -> None:
    for one in (output("multiclass"), output("multilabel")):
        calibration = LABELS if one.task == "multilabel" else Uncalibrated()
        answer = answer_of(one, calibration, np.array(said))
        assert 0 <= answer.risk[0] <= 1
        assert answer.probabilities is not None
        assert np.all((answer.probabilities >= 0) & (answer.probabilities <= 1))


@pytest.mark.parametrize("calibration", [Uncalibrated(), Platt(slope=0.7, intercept=-2.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_single_logit_is_checked_and_calibrated_in_one_pass_to_the_same_bits(
    calibration: Calibration, dtype: type[np.floating[Any]]
) -> None:
    one = Output(kind="logit", task="binary", tensor="logits", classes=("honest", "stolen"))
    raw = np.array([*RNG.normal(0, 300, 500), 0.0, -0.0, np.nan, np.inf, -np.inf, 3e38], dtype)
    line = line_of(one, calibration)
    assert line is not None
    risk, invalid = risk_on_line(raw, *line)
    said, expected = checked(one, raw)
    assert invalid.tolist() == expected.tolist() == [502, 503, 504]
    assert risk.tobytes() == answer_of(one, calibration, said).risk.tobytes()


@pytest.mark.parametrize("kind", ["logit", "probability"])
def test_only_a_logit_with_a_line_is_taken_that_way(kind: Literal["logit", "probability"]) -> None:
    knots = Isotonic((-9.0, 9.0), (0.1, 0.3))
    assert line_of(Output(kind=kind, task="binary", tensor="logits", classes=("honest", "stolen")), knots) is None
    assert line_of(output("multiclass", kind), Uncalibrated()) is None
    assert (
        line_of(
            Output(kind="probability", task="binary", tensor="logits", classes=("honest", "stolen")), Uncalibrated()
        )
        is None
    )


def test_no_probability_of_risk_is_shared_without_a_zero_over_a_zero() -> None:
    answer = answer_of(output("multiclass", "probability"), Uncalibrated(), np.array([[1.0, 0.0, 0.0]]))
    assert answer.probabilities is not None
    assert np.isfinite(answer.probabilities).all()


def test_one_bad_column_makes_a_bad_row() -> None:
    raw = np.array([[0.1, 0.2, 0.7], [0.1, np.nan, 0.9], [0.1, 1.2, 0.0]], np.float32)
    said, invalid = checked(output("multiclass", "probability"), raw)
    np.testing.assert_array_equal(said, raw.astype(np.float64))
    assert invalid.tolist() == [1, 2]
    assert checked(output("multiclass", "logit"), raw)[1].tolist() == [1]


def test_one_column_of_a_table_is_read_as_if_it_were_by_itself() -> None:
    table = np.array([[0.9, 0.1], [0.2, np.inf], [0.6, 0.4]], np.float32)
    said, invalid = checked(output("multilabel", "probability"), table[:, 1])
    np.testing.assert_array_equal(said, table[:, 1].astype(np.float64))
    assert invalid.tolist() == [1]


@pytest.mark.parametrize(
    "calibration", [Isotonic((-1.0, 0.5, 0.6), (0.0, 0.1, 0.9)), Isotonic((0.0, 1e-9), (0.0, 1.0))]
)
def test_isotonic_rises_stays_between_its_knots_and_is_the_same_in_every_batch(calibration: Isotonic) -> None:
    logits = np.sort(np.concatenate([RNG.normal(0, 2, 997), calibration.logits, [-1e300, 1e300]]))
    whole = calibration.apply(logits)
    assert (np.diff(whole) >= 0).all()
    assert whole[[0, -1]] == pytest.approx([calibration.probabilities[0], calibration.probabilities[-1]])
    at_knots = calibration.apply(np.array(calibration.logits))
    assert at_knots == pytest.approx(calibration.probabilities)
    alone = np.array([calibration.apply(logits[k : k + 1])[0] for k in range(len(logits))])
    assert alone.tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    ("knots", "message"),
    [
        ({"logits": [0.0, 1.0], "probabilities": [0.1]}, "2 knots have 1"),
        ({"logits": [1.0, 1.0], "probabilities": [0.1, 0.2]}, "must rise"),
        ({"logits": [0.0, 1.0], "probabilities": [0.2, 0.1]}, "must not fall"),
        ({"logits": [0.0], "probabilities": [0.2]}, "length >= 2"),
    ],
)
def test_knots_that_are_no_rising_line_are_refused(knots: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert({"kind": "isotonic", **knots}, Calibration)


def several(task: Literal["multiclass", "multilabel"], calibration: Calibration) -> Bundle:
    """A model that multiplies each of three features by a weight per class."""
    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")
    model = model_of(helper.make_node("MatMul", ["features", "w"], ["probabilities"]), initializer=(weights,))
    expected = answer_of(output(task), calibration, np.array([[0.5, 0.25, -1.0]])).risk
    bundle = tiny_bundle(model, output=output(task), calibration=calibration)
    return Bundle(bundle.manifest, model, bundle.reference, Smoke(rows=((0.5, 0.25, -1.0),), expected=tuple(expected)))


@pytest.mark.parametrize(("task", "calibration"), [("multiclass", Uncalibrated()), ("multilabel", LABELS)])
def test_the_scorer_serves_several_classes_by_the_runtime(
    task: Literal["multiclass", "multilabel"], calibration: Calibration
) -> None:
    scorer = Scorer(several(task, calibration))
    rows = LOGITS.astype(np.float32)
    expected = answer_of(output(task), calibration, rows.astype(np.float64))
    assert scorer.answer(rows).probabilities == pytest.approx(expected.probabilities)
    assert scorer(rows) == pytest.approx(expected.risk)
    assert scorer.engine_reason == f"a {task} output"
    nothing = scorer.answer(rows[:0]).probabilities
    assert nothing is not None
    assert nothing.shape == (0, 3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"output": output("multilabel")}, "a calibration per label"),
        ({"calibration": LABELS}, "a calibration per label"),
        ({"output": {"tensor": "x", "classes": ["a", "b", "c"]}}, "two classes, not 3"),
        ({"output": {"tensor": "x", "task": "multiclass", "classes": ["a"]}}, "at least two classes"),
    ],
)
def test_a_manifest_whose_output_contradicts_itself_is_refused(changed: dict[str, Any], message: str) -> None:
    manifest = msgspec.to_builtins(tiny_bundle().manifest) | msgspec.to_builtins(changed)
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(manifest, Manifest)
