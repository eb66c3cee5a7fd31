"""Rules, dashboards and runbooks speak of metrics that exist, and of each other."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from riskstream.workers.metrics import PREFIX, table

ROOT = Path(__file__).parents[2]
PROMETHEUS, GRAFANA = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana"
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
DASHBOARDS = sorted(GRAFANA.glob("*.json"))
PROMTOOL = shutil.which("promtool")

METRIC = re.compile(rf"\b{PREFIX}[a-z0-9_]+")
RECORDED = re.compile(r"\briskstream:[a-z0-9_:]+")
MATCHER = re.compile(rf"\b({PREFIX}[a-z0-9_]+)\{{([^}}]*)\}}")
SCRAPED_WITH = {"job", "instance"}


def rules(file: str) -> list[dict[str, Any]]:
    content = yaml.safe_load((PROMETHEUS / file).read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}
RECORDINGS = {rule["record"]: rule["expr"] for rule in rules("recording.yml")}


def panels(path: Path) -> list[tuple[str, str]]:
    found = json.loads(path.read_text())["panels"]
    return [(panel["title"], target["expr"]) for panel in found for target in panel.get("targets", ())]


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
        for name, (kind, _) in table().items()
        for suffix in (parts if "Histogram" in str(kind) else ("",))
    }


@pytest.mark.parametrize(("where", "expr"), EXPRESSIONS)
def test_every_metric_that_is_asked_for_exists(where: str, expr: str) -> None:
    assert set(METRIC.findall(expr)) <= exposed_names()
    assert set(RECORDED.findall(expr)) <= RECORDINGS.keys()


@pytest.mark.parametrize(("where", "expr"), EXPRESSIONS)
def test_labels_and_their_values_are_those_of_the_table(where: str, expr: str) -> None:
    for metric, matchers in MATCHER.findall(expr):
        _, row = table()[re.sub(r"_(bucket|sum|count)$", "", metric).removeprefix(PREFIX)]
        for label, value in re.findall(r'(\w+)[!=~]+"([^"]*)"', matchers):
            assert label in {row.label, "le"} | SCRAPED_WITH
            assert not row.known or label != row.label or set(value.split("|")) <= set(row.known)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_how_urgent_it_is_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{name.lower()}"
    assert f"\n### {name}\n" in RUNBOOKS


def test_every_runbook_entry_has_its_alert() -> None:
    assert set(re.findall(r"^### (\w+)$", RUNBOOKS, re.MULTILINE)) == ALERTS.keys()


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
