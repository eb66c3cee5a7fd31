"""The demo trains a model once, and never uses one that is damaged."""

from pathlib import Path

import pytest
from rich.console import Console

from riskstream.deploy.demo.model import DOMAIN, NAME, ready_bundle
from riskstream.models.domain import load_domain
from tests.support.bundle import write_random_bundle

QUIET = Console(quiet=True)


def train(path: Path) -> None:
    write_random_bundle(path, load_domain(DOMAIN))


def refuse(path: Path) -> None:
    pytest.fail(f"trains {path.name} though there is a good one")


def test_the_first_run_trains_and_later_ones_keep_the_model(tmp_path: Path) -> None:
    assert ready_bundle(tmp_path, QUIET, train) == tmp_path / NAME
    assert ready_bundle(tmp_path, QUIET, refuse) == tmp_path / NAME


def test_a_damaged_bundle_stays_and_a_new_one_comes_beside_it(tmp_path: Path) -> None:
    model = ready_bundle(tmp_path, QUIET, train) / "model.onnx"
    model.write_bytes(b"damaged")
    assert ready_bundle(tmp_path, QUIET, train) == tmp_path / f"{NAME}-2"
    assert model.read_bytes() == b"damaged"
    assert ready_bundle(tmp_path, QUIET, refuse) == tmp_path / f"{NAME}-2"
