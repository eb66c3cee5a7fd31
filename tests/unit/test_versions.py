"""A version's number says what changed."""

from datetime import UTC, datetime

import pytest

from riskstream.models.bundle import Manifest, Output, sealed
from riskstream.models.calibration import Uncalibrated
from riskstream.models.policy import Policy
from riskstream.models.versions import Label, difference, next_version, order, parse_label
from tests.support.registry import proven
from tests.support.tiny_bundle import model_of, stumps


def manifest(version: str = "1.2.3", data: str = "00", model: bytes | None = None, **changed: object) -> Manifest:
    return sealed(proven(version, data, model, **changed)).manifest


def output(kind: str = "probability", classes: tuple[str, str] = ("honest", "fraud")) -> Output:
    return Output(kind=kind, tensor="probabilities", column=1, classes=classes)  # type: ignore[arg-type]


# What is different -> the next version after 1.2.3.
CHANGES: dict[str, tuple[Manifest, str]] = {
    "the feature set": (manifest(feature_set="feedfeedfeedfeed"), "2.0.0"),
    "the kind of output": (manifest(output=output(kind="logit")), "2.0.0"),
    "the classes": (manifest(output=output(classes=("good", "bad"))), "2.0.0"),
    "model.onnx": (manifest(model=model_of(stumps(200))), "1.3.0"),
    "the training data": (manifest(data="01"), "1.3.0"),
    "the calibration": (manifest(calibration=Uncalibrated()), "1.2.4"),
    "the thresholds": (manifest(thresholds=Policy(0.4, 0.8)), "1.2.4"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_difference_has_its_part_of_the_version(what: str) -> None:
    new, version = CHANGES[what]
    change = difference(manifest(), new)
    assert change is not None
    assert change.what == what
    assert next_version(manifest(), new) == version


def test_the_gravest_difference_counts() -> None:
    assert next_version(manifest(), manifest(feature_set="feedfeedfeedfeed", thresholds=Policy(0.4, 0.8))) == "2.0.0"


def test_the_same_model_made_on_another_day_keeps_its_version() -> None:
    assert next_version(manifest(), manifest("9.9.9", created_at=datetime(2027, 1, 1, tzinfo=UTC))) == "1.2.3"


def test_the_first_version_is_one() -> None:
    assert next_version(None, manifest()) == "1.0.0"


def test_versions_are_ordered_by_number_and_a_release_comes_after_its_candidates() -> None:
    versions = ["1.10.0", "1.9.0", "2.0.0", "2.0.0-rc1", "1.9.10"]
    assert sorted(versions, key=order) == ["1.9.0", "1.9.10", "1.10.0", "2.0.0-rc1", "2.0.0"]


@pytest.mark.parametrize(
    "text", ["payment-risk", "/models/a@1.0.0", "./a@1.0.0", "a@1.0", "a@01.0.0", "A@1.0.0", "@1.0.0"]
)
def test_what_is_not_a_name_and_a_version_is_no_label(text: str) -> None:
    assert parse_label(text) is None


def test_a_label_is_a_name_and_a_version() -> None:
    assert parse_label("payment-risk@1.2.0") == Label("payment-risk", "1.2.0")
    assert str(Label("payment-risk", "1.2.0")) == "payment-risk@1.2.0"
