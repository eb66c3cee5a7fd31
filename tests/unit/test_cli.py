"""The command line teaches, and ends with the code that it promises."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from riskstream.workers.cli import app
from riskstream.workers.exits import EXIT_CODES, EXTRAS, FAILURES, explain
from riskstream.workers.settings_sources import SettingsError

GOOD = {
    "event_id": "e1",
    "user_id": "u1",
    "event_time": 1_788_220_800_000,
    "amount": 1250,
    "currency": "EUR",
    "merchant_id": "m1",
    "mcc": "5411",
    "country": "DE",
    "channel": "web",
}


def run(*arguments: str, **variables: str) -> Result:
    clean = {name: None for name in os.environ if name.startswith("RISKSTREAM_")}
    return CliRunner().invoke(app, arguments, env={**clean, **variables, "COLUMNS": "200"})


def test_help_names_the_commands_examples_and_exit_codes() -> None:
    text = run("--help").output
    for expected in ("worker", "topics", "simulate", "train", "inspect", "Examples", *map(str, EXIT_CODES)):
        assert expected in text


@pytest.mark.parametrize(
    "command",
    [
        "worker",
        "topics create",
        "simulate",
        "dataset",
        "train",
        "bundle show",
        "inspect",
        "settings",
        "validate",
        "contracts",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_help_imports_nothing_heavy() -> None:
    heavy = ("numpy", "numba", "pydantic", "confluent_kafka", "redis", "onnxruntime", "prometheus_client")
    code = f"import sys, riskstream.workers.cli; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_wrong_settings_end_with_2_and_no_traceback() -> None:
    result = run("settings", RISKSTREAM_MAX_BATCH="many")
    assert result.exit_code == 2
    assert "error: RISKSTREAM_MAX_BATCH: " in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments", [("fly",), ("settings", "--fly"), ("simulate",), ("topics", "create", "--partitions", "0")]
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_settings_show_values_and_where_they_come_from_without_secrets() -> None:
    variables = {"RISKSTREAM_REDIS_URL": "redis://:hunter2@cache/0", "RISKSTREAM_SASL_PASSWORD": "hunter3"}
    result = run("settings", **variables)
    assert result.exit_code == 0
    assert "redis://:***@cache/0" in result.output
    assert "hunter" not in result.output


def test_an_unknown_variable_is_warned_of() -> None:
    assert "warning: RISKSTREAM_COLOUR is no setting" in run("settings", RISKSTREAM_COLOUR="red").output


def test_a_good_file_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps({**GOOD, "new_field": 1}) + "\n")
    result = run("validate", str(path))
    assert result.exit_code == 0
    assert "2 events, 0 would be refused" in result.output


def test_bad_lines_are_told_by_number_and_reason_without_their_content(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join([json.dumps(GOOD), "{", json.dumps({**GOOD, "user_id": "{Bob}"}), ""]))
    result = run("validate", str(path))
    assert result.exit_code == 1
    assert "line 2: not_json" in result.output
    assert "line 3: bad_characters user_id" in result.output
    assert "Bob" not in result.output


def test_only_so_many_refusals_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("{\n" * 50)
    assert "... and 48 more" in run("validate", "--show", "2", str(path)).output


def test_a_directory_that_is_no_bundle_ends_with_2(tmp_path: Path) -> None:
    result = run("bundle", "show", str(tmp_path))
    assert result.exit_code == 2
    assert "bundle.json" in result.output


@pytest.mark.parametrize("name", FAILURES)
def test_every_known_failure_exists(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(importlib.import_module(module), kind), Exception)


def test_a_missing_extra_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(ModuleNotFoundError("no", name="sklearn.metrics")) == 2
    assert "pip install 'riskstream[train]'" in capsys.readouterr().err


def test_extras_are_those_of_the_package() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f"\n{extra} = [" in text for extra in set(EXTRAS.values()))


def test_a_bug_shows_its_traceback_and_ends_with_70(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(KeyError("odd")) == 70
    assert "KeyError" in capsys.readouterr().err


def test_each_problem_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    explain(SettingsError(["one", "two"]))
    assert capsys.readouterr().err == "error: one\nerror: two\n"
