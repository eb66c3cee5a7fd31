"""`riskstream model`, as a person uses it: a life from proposed to retired, and what is said when it cannot be."""

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from riskstream.models.bundle import Training
from riskstream.models.domain import load_domain
from riskstream.models.policy import Policy
from riskstream.workers.cli import app
from riskstream.workers.errors import Unavailable
from riskstream.workers.registry.folder import LOCK, locked
from riskstream.workers.registry.mlflow_store import ENVIRONMENT, translated
from tests.support.bundle import write_random_bundle
from tests.support.registry import METRICS

DOMAIN = load_domain("riskstream.models.payment")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """random@1.0.0"""
    return write_random_bundle(tmp_path / "one", DOMAIN, metrics=METRICS)


@pytest.fixture
def next_bundle(tmp_path: Path) -> Path:
    """random@1.0.1: the same model with other thresholds."""
    return write_random_bundle(
        tmp_path / "two", DOMAIN, metrics=METRICS, version="1.0.1", thresholds=Policy(review=0.4, decline=0.6)
    )


class Cli:
    """Runs commands on one registry as one person."""

    def __init__(self, registry: Path | str) -> None:
        clean = {name: None for name in os.environ if name.startswith("RISKSTREAM_")}
        self._variables = {**clean, "RISKSTREAM_REGISTRY_URI": str(registry), "COLUMNS": "160", "LOGNAME": "ada"}

    def __call__(self, *arguments: str | Path, code: int = 0) -> str:
        result: Result = CliRunner().invoke(app, ["model", *map(str, arguments)], env=self._variables)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return " ".join(result.output.split())


@pytest.fixture
def model(registry_folder: Path) -> Cli:
    return Cli(registry_folder)


def test_a_life_from_proposed_to_retired(model: Cli, bundle: Path, next_bundle: Path) -> None:
    assert "random@1.0.0 is proposed" in model("register", bundle)
    assert "passed flips" in model("approve", "random@1.0.0", "--because", "holidays")
    assert "random@1.0.0 is live" in model("live", "random@1.0.0", "--because", "first")
    model("register", next_bundle, "--by", "bob")
    model("approve", "random@1.0.1")
    assert "random@1.0.1 is live, 1.0.0 is approved" in model("live", "random@1.0.1", "--because", "sharper")
    model("retire", "random@1.0.0", "--because", "old")
    told = model("show", "random")
    for expected in ("1.0.1 │ proposed │ bob", "live, instead of 1.0.0 │ ada │ sharper", "retired │ ada │ old"):
        assert expected in told
    assert re.search(r"Live .* 1\.0\.0 │ (\S+ \S+ UTC) │ (\S+ \S+ UTC) │ │ 1\.0\.1 │ \2 │ now", told)


def test_all_models_are_listed(model: Cli, bundle: Path) -> None:
    model("register", bundle)
    assert "random │ 1.0.0 │ proposed" in model("list")


def test_a_version_is_shown_with_what_it_is(model: Cli, bundle: Path) -> None:
    model("register", bundle)
    told = model("show", "random@1.0.0")
    assert "random@1.0.0 is proposed" in told
    assert f"feature set {DOMAIN.features.id}" in told


def test_a_fetched_bundle_can_be_shown(model: Cli, bundle: Path, tmp_path: Path) -> None:
    model("register", bundle)
    assert "random@1.0.0 (proposed) is in" in model("fetch", "random@1.0.0", "--to", tmp_path / "copy")
    assert (tmp_path / "copy" / "bundle.json").read_bytes() == (bundle / "bundle.json").read_bytes()
    assert "already exists" in model("fetch", "random@1.0.0", "--to", tmp_path / "copy", code=2)


# What is typed -> exit code, what is said.
REFUSALS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no model": (("show", "nobody"), 2, "nobody is not registered; there is: none of that name"),
    "no version": (("approve", "random@7.0.0"), 2, "random@7.0.0 is not registered; there is: 1.0.0."),
    "no label": (("approve", "random"), 2, "is not NAME@VERSION, such as payment-risk@1.1.0"),
    "too early": (("live", "random@1.0.0", "--because", "x"), 1, "first `riskstream model approve random@1.0.0`"),
    "no reason": (("live", "random@1.0.0"), 2, "--because"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_refusal_says_why_and_ends_with_its_code(model: Cli, bundle: Path, what: str) -> None:
    model("register", bundle)
    arguments, code, told = REFUSALS[what]
    assert told in model(*arguments, code=code)


def test_a_wrong_version_is_refused_and_told_the_right_one(model: Cli, bundle: Path, tmp_path: Path) -> None:
    model("register", bundle)
    training = Training(fingerprint="01", events=1, parameters={}, libraries={})
    wrong = write_random_bundle(tmp_path / "wrong", DOMAIN, metrics=METRICS, training=training)
    assert "so its version is 1.1.0, not 1.0.0" in model("register", wrong, code=1)


def test_a_registry_in_use_is_waited_for_and_then_told(registry_folder: Path) -> None:
    with (registry_folder / LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match=r"in use by another command for 0\.1 s"), locked(registry_folder, 0.1):
            pass


def test_a_locked_database_is_told() -> None:
    """MLflow waits 20 s for one that others have locked, and then says this."""
    from mlflow.exceptions import MlflowException

    locked_by_others = MlflowException("(sqlite3.OperationalError) database is locked\n[SQL: ...]", 2)
    assert locked_by_others.error_code == "TEMPORARILY_UNAVAILABLE"
    told = r"^registry here: does not answer or is locked: .* is locked$"
    with pytest.raises(Unavailable, match=told), translated("here"):
        raise locked_by_others


def test_a_server_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    told = Cli("http://ada:hunter2@127.0.0.1:9")("list", code=75)
    assert "error: registry http://127.0.0.1:9: does not answer" in told
    assert "hunter2" not in told


def test_an_address_of_another_kind_is_refused() -> None:
    cli = CliRunner().invoke(app, ["model", "list"], env={"RISKSTREAM_REGISTRY_URI": "s3://bucket"})
    assert cli.exit_code == 2
    assert "RISKSTREAM_REGISTRY_URI: should be a folder, or http:// or https://" in cli.output


WATCHED = """
import json, sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith("socket.") else None)
from riskstream.models.policy import Policy
from riskstream.workers.cli import app
try:
    app(["model", "register", sys.argv[1], "--by", "ada"])
finally:
    import mlflow, time
    time.sleep(0.5)  # its telemetry, were it on, would ask by a thread
    print(json.dumps(sorted(set(seen) & {"socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.sendmsg"})))
"""


def test_mlflow_talks_to_nobody_and_says_nothing(registry_folder: Path, bundle: Path, tmp_path: Path) -> None:
    """In a process of its own: among tests, MLflow keeps its telemetry to itself anyway."""
    hidden = ("CI", "PYTEST", "RISKSTREAM_", "DO_NOT", "MLFLOW")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(bundle)],
        env={**variables, "RISKSTREAM_REGISTRY_URI": str(registry_folder), "PYTHONPATH": str(Path.cwd())},
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    said, events = done.stdout.splitlines()
    assert said == "random@1.0.0 is proposed"
    assert done.stderr == ""
    assert json.loads(events) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "registry"]
