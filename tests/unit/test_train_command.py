"""`riskstream train --register`: the registry says the version, and what training recorded passes the gates."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from riskstream.models.training.simulated import simulated_dataset
from riskstream.workers.cli import app
from tests.support.training import SMALL

Run = Callable[..., str]
CONFIG = """
data = "data"
name = "payment-risk"
version = "9.9.9"
model.trees = 20
bootstrap = 0
"""


@pytest.fixture
def run(registry_folder: Path, tmp_path: Path) -> Run:
    clean = {name: None for name in os.environ if name.startswith("RISKSTREAM_")}
    variables = {**clean, "RISKSTREAM_REGISTRY_URI": str(registry_folder), "COLUMNS": "200", "LOGNAME": "ada"}

    def command(*arguments: str | Path) -> str:
        result = CliRunner().invoke(app, list(map(str, arguments)), env=variables)
        assert result.exit_code == 0, result.output
        return result.output

    return command


def test_a_trained_bundle_is_numbered_registered_and_can_be_approved(run: Run, tmp_path: Path) -> None:
    simulated_dataset(SMALL, tmp_path / "data")
    config = tmp_path / "train.toml"
    config.write_text(CONFIG)
    told = run("train", config, "--out", tmp_path / "bundle", "--register")
    assert "bundle=payment-risk@1.0.0" in told
    assert "next: riskstream model approve payment-risk@1.0.0" in told
    assert "passed  checks_failed: 0" in run("model", "approve", "payment-risk@1.0.0")
    again = run("train", config, "--out", tmp_path / "again", "--register")
    assert "next: RISKSTREAM_BUNDLE=payment-risk@1.0.0 riskstream worker" in again
