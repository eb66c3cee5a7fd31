"""The report of a training run: whole, of one file, the same each time, and with what the bundle says."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from riskstream.models.bundle import Histogram, Reference
from riskstream.models.payment import DOMAIN
from riskstream.models.training.config import Model, TrainConfig
from riskstream.models.training.examples import TrainingData
from riskstream.models.training.export import Origin
from riskstream.models.training.pipeline import Trained, train
from riskstream.models.training.report.importance import permutation_importance, shifts
from riskstream.models.training.report.page import page
from tests.support.training import small_data

CONFIG = TrainConfig(model=Model(kind="logistic", parameters={"C": 0.01}), bootstrap=20)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return small_data(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def trained(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    out: Path = tmp_path_factory.mktemp("bundle") / "one"
    return train(CONFIG, data, DOMAIN, out, Origin(datetime(2026, 1, 1, tzinfo=UTC)))


@pytest.fixture(scope="module")
def text(trained: Trained, data: TrainingData) -> str:
    return page(trained, data, CONFIG)


class Tags(HTMLParser):
    """Every address that a browser would fetch, and what was opened and never closed."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href") and tag in ("script", "img")]
        self.fetched += [value or "" for name, value in attrs if name == "href" and tag == "link"]
        if tag in ("div", "table", "figure", "svg", "details", "dl"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_the_page_needs_nothing_but_itself(text: str) -> None:
    tags = Tags()
    tags.feed(text)
    assert tags.fetched == []
    assert tags.open == []
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_the_same_run_gives_the_same_page(text: str, trained: Trained, data: TrainingData) -> None:
    assert page(trained, data, CONFIG) == text


def test_every_plot_people_look_for_is_there(text: str) -> None:
    assert text.count("<svg") == 6
    for title in ("Precision and recall", "ROC", "Calibration", "Scores", "Thresholds and costs", "What it looks at"):
        assert f"<h3>{title}</h3>" in text


def test_figures_slices_and_origin_are_those_of_the_bundle(text: str, trained: Trained) -> None:
    manifest = trained.bundle.manifest
    assert f"{manifest.metrics['brier']:.4f}" in text
    assert manifest.training.fingerprint in text
    assert "channel web" in text
    assert all(name in text for name in manifest.training.libraries)


def test_a_share_of_fraud_that_moved_and_the_best_that_was_possible_are_told(text: str, trained: Trained) -> None:
    metrics = trained.bundle.manifest.metrics
    assert f"it was {100 * metrics['fraud_share']:.2f} %" in text
    best = re.search(r"at best (0\.\d+)", text)
    assert best is not None
    assert metrics["precision_at_100"] <= float(best[1]) < 1


def test_importance_finds_the_only_feature_that_matters(data: TrainingData) -> None:
    found = permutation_importance(lambda rows: np.nan_to_num(rows[:, 3]), data.test, DOMAIN.features.names, seed=1)
    assert found[0][0] == DOMAIN.features.names[3] or found[0][1] == 0
    assert [lost for name, lost in found if name != DOMAIN.features.names[3]] == [0.0] * (len(found) - 1)


def test_a_feature_that_moved_or_went_missing_has_the_largest_shift() -> None:
    rng = np.random.default_rng(0)
    now = Histogram(edges=(-1.0, 0.0, 1.0), counts=(160, 340, 340, 160))
    reference = Reference(rows=1_000, features=dict.fromkeys(("same", "moved", "gone"), now), score=now, decisions={})
    then = rng.normal(size=(1_000, 3)).astype(np.float32)
    then[:, 1] += 1.0
    then[:300, 2] = np.nan
    found = {shift.feature: shift for shift in shifts(reference, then)}
    assert found["same"].psi < 0.05 < found["moved"].psi
    assert found["gone"].psi > 0.25
    assert (found["gone"].missing_then, found["gone"].missing_now) == (0.3, 0.0)
