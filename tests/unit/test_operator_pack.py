"""Rules, dashboards and runbooks speak of metrics that exist, and of each other."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from riskstream.deploy.demo.model import NAME
from riskstream.schemas.drift import ALERT_KINDS, SEVERITIES
from riskstream.schemas.score import DECISIONS
from riskstream.workers.cli import app
from riskstream.workers.drift.metrics import DriftMetrics
from riskstream.workers.metrics import PREFIX, Metrics, Row, table
from riskstream.workers.settings import Settings
from riskstream.workers.settings_sources import variable

ROOT = Path(__file__).parents[2]
PROMETHEUS, GRAFANA = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana"
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
DASHBOARDS = sorted(GRAFANA.glob("*.json"))
PROMTOOL = shutil.which("promtool")

METRIC = re.compile(rf"\b{PREFIX}[a-z0-9_]+")
RECORDED = re.compile(r"\briskstream:[a-z0-9_:]+")
MATCHER = re.compile(rf"\b({PREFIX}[a-z0-9_]+)\{{([^}}]*)\}}")
SCRAPED_WITH = {"job", "instance"}
TABLE: dict[str, tuple[type, Row]] = {**table(Metrics), **table(DriftMetrics)}
PAGE_IF_CRITICAL = '{{ if eq $labels.severity "critical" }}page{{ else }}ticket{{ end }}'
VALUES: dict[str, set[str]] = {  # of metrics with more than one label
    "drift_alerts": {*ALERT_KINDS, *SEVERITIES},
    "drift_decision_share": set(DECISIONS),
}


def rules(file: str) -> list[dict[str, Any]]:
    content = yaml.safe_load((PROMETHEUS / file).read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}
RECORDINGS = {rule["record"]: rule["expr"] for rule in rules("recording.yml")}


def panels(path: Path) -> list[tuple[str, str]]:
    """The expressions of a dashboard, those of its variables among them."""
    board = json.loads(path.read_text())
    found = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", ())]
    return found + [(row["name"], row["definition"]) for row in board["templating"]["list"] if "definition" in row]


EXPRESSIONS = [
    *RECORDINGS.items(),
    *((name, rule["expr"]) for name, rule in ALERTS.items()),
    *((f"{path.stem}: {title}", expr) for path in DASHBOARDS for title, expr in panels(path)),
]


def exposed_names() -> set[str]:
    """The names as a scrape shows them: a histogram is three."""
    parts = ("_bucket", "_sum", "_count")
    return {
        PREFIX + name + suffix
        for name, (kind, _) in TABLE.items()
        for suffix in (parts if "Histogram" in str(kind) else ("",))
    }


@pytest.mark.parametrize(("where", "expr"), EXPRESSIONS)
def test_every_metric_that_is_asked_for_exists(where: str, expr: str) -> None:
    assert set(METRIC.findall(expr)) <= exposed_names()
    assert set(RECORDED.findall(expr)) <= RECORDINGS.keys()


@pytest.mark.parametrize(("where", "expr"), EXPRESSIONS)
def test_labels_and_their_values_are_those_of_the_table(where: str, expr: str) -> None:
    for metric, matchers in MATCHER.findall(expr):
        name = re.sub(r"_(bucket|sum|count)$", "", metric).removeprefix(PREFIX)
        _, row = TABLE[name]
        labels, known = set((row.label or "").split()), set(row.known) or VALUES.get(name)
        for label, value in re.findall(r'(\w+)[!=~]+"([^"]*)"', matchers):
            assert label in labels | {"le"} | SCRAPED_WITH
            assert known is None or label not in labels or value == "$model" or set(value.split("|")) <= known


def test_a_worker_and_the_sidecar_share_no_name() -> None:
    assert len(TABLE) == len(table(Metrics)) + len(table(DriftMetrics))


@pytest.mark.parametrize("kind", ALERT_KINDS)
def test_every_kind_of_drift_alert_has_its_rule(kind: str) -> None:
    named = [name for name, rule in ALERTS.items() if f'kind="{kind}"' in rule["expr"]]
    assert named == [f"RiskstreamModel{kind.title().replace('_', '')}"]


def test_everything_the_sidecar_shows_of_a_model_is_on_the_model_dashboard() -> None:
    asked = {name for _, expr in panels(GRAFANA / "model.json") for name in METRIC.findall(expr)}
    asked |= {name for recorded in RECORDINGS.values() for name in METRIC.findall(recorded)}
    assert {PREFIX + name for name in table(DriftMetrics)} <= asked


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_how_urgent_it_is_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"page", "ticket", PAGE_IF_CRITICAL}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{name.lower()}"
    assert f"\n### {name}\n" in RUNBOOKS


def test_every_runbook_entry_has_its_alert() -> None:
    assert set(re.findall(r"^### (\w+)$", RUNBOOKS, re.MULTILINE)) == ALERTS.keys()


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`riskstream ([a-z][^`]*)`", RUNBOOKS))))
def test_every_command_that_a_runbook_names_exists_with_its_options(line: str) -> None:
    command, (name, *rest) = typer.main.get_command(app), line.split()
    command = command.commands[name]  # type: ignore[attr-defined]
    if subcommands := getattr(command, "commands", {}):
        command = subcommands[rest[0]]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options
    needed = {name for parameter in command.params if parameter.required for name in parameter.opts if name[0] == "-"}
    assert needed <= set(rest)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))
def test_dashboards_name_no_data_source_and_overlap_nowhere(path: Path) -> None:
    board = json.loads(path.read_text())
    assert {str(panel["datasource"]["uid"]) for panel in board["panels"] if "targets" in panel} == {"${datasource}"}
    cells = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_what_is_scraped_are_the_ports_that_hold_unless_told_otherwise() -> None:
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    ports = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    fields = Settings.model_fields
    worker, sidecar = fields["health_port"].default, fields["drift_port"].default
    assert ports == {"riskstream-worker": [f"localhost:{worker}"], "riskstream-drift": [f"localhost:{sidecar}"]}


def test_rules_ask_for_jobs_that_are_scraped() -> None:
    jobs = {job["job_name"] for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]}
    asked = {job for _, expr in EXPRESSIONS for job in re.findall(r'job="([^"]*)"', expr)}
    assert asked <= jobs


def test_compose_runs_workers_and_the_sidecar_by_settings_that_exist() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    ours = {name: service for name, service in services.items() if str(service["image"]).startswith("riskstream")}
    commands = [" ".join(service.get("command", ["worker"])) for service in ours.values()]
    assert sorted(commands) == ["drift", "topics create", "worker", "worker"]
    named = {name for service in ours.values() for name in service["environment"]}
    assert named <= {variable(name) for name in Settings.model_fields}
    model = re.escape(str(Path("../.riskstream/bundles") / NAME))
    assert all(re.search(model, str(service["volumes"])) for name, service in ours.items() if name != "topics")


@pytest.mark.parametrize(("process", "extras"), [("worker", []), ("drift", ["drift"])])
def test_the_image_of_each_process_has_its_packages(process: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(row for extra in extras for row in project["optional-dependencies"][extra])]
    locked = re.findall(r"^([\w.-]+)==", (ROOT / f"requirements-{process}.lock").read_text(), re.MULTILINE)
    assert {re.split(r"[\[>=<]", row)[0] for row in wanted} <= set(locked)
    assert f"PROCESS={process}" in (ROOT / "deploy" / "Dockerfile").read_text()


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed; it comes with Prometheus")
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "recording.yml", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_prometheus_takes_the_rules_and_they_fire_as_they_should(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *command], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
