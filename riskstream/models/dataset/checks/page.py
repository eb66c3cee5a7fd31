"""The findings as one HTML page that needs nothing else: no scripts, no fonts, no network."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from riskstream.models.dataset.checks.run import Result, overall
from riskstream.models.dataset.manifest import Dataset

MEANING = {"pass": "nothing to do", "warn": "look at it", "fail": "do not train on it"}


def page(name: str, dataset: Dataset, results: Sequence[Result]) -> str:
    """The same findings give the same page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["day"] = lambda ms: f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"
    environment.filters["number"] = lambda value: f"{value:,}"
    template = environment.from_string((files(__package__) / "page.html").read_text(encoding="utf-8"))
    verdict = overall(list(results))
    groups = list(dict.fromkeys(check.group for check, _ in results))
    return template.render(
        name=name, dataset=dataset, results=results, groups=groups, verdict=verdict, meaning=MEANING[verdict]
    )
