"""The README says what is so."""

import re
from pathlib import Path

import pytest

from riskstream.workers.exits import EXIT_CODES
from riskstream.workers.settings import Settings
from riskstream.workers.settings_report import with_table
from riskstream.workers.settings_sources import SECRETS_DIR, variable

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_settings_table_is_that_of_the_model() -> None:
    renew = "python -m riskstream.workers.settings_report README.md renews it"
    assert with_table(README) == README, renew


@pytest.mark.parametrize(("code", "meaning"), EXIT_CODES.items())
def test_every_exit_code_is_told(code: int, meaning: str) -> None:
    assert f"| {code} | {meaning} |" in README


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"`(riskstream/[\w/]+\.py)`", README)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{target}:" in makefile for target in re.findall(r"make (demo|test|up|check|\w+)`", README))


def test_every_variable_that_is_named_is_a_setting() -> None:
    known = {variable(name) for name in Settings.model_fields} | {SECRETS_DIR}
    assert set(re.findall(r"RISKSTREAM_[A-Z_]+[A-Z]", README)) <= known
