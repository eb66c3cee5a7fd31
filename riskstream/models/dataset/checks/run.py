"""All checks of a data set, one row each, and what they come to."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from riskstream.models.dataset.checks import future, leakage, table
from riskstream.models.dataset.checks.drift import drift
from riskstream.models.dataset.checks.finding import Finding, Subject, Verdict


class Check(NamedTuple):
    name: str
    group: str
    examine: Callable[[Subject], Finding]


CHECKS: tuple[Check, ...] = (
    Check("columns and bounds", "Table", table.columns),
    Check("order and repeats", "Table", table.order),
    Check("missing values", "Table", table.missing),
    Check("classes", "Labels", table.classes),
    Check("label delay", "Labels", table.label_delay),
    Check("labels known in time", "Leakage", leakage.labels_in_time),
    Check("parts kept apart", "Leakage", leakage.parts_apart),
    Check("too good features", "Leakage", leakage.too_good),
    Check("known only afterwards", "Leakage", leakage.known_afterwards),
    Check("features made again", "Leakage", future.made_again),
    Check("another future", "Leakage", future.without_the_future),
    Check("against the reference", "Drift", drift),
)

Result = tuple[Check, Finding]


def run(subject: Subject) -> Iterator[Result]:
    """Each check with its finding, as it is done. A table without its columns is examined no further."""
    for check in CHECKS:
        finding = check.examine(subject)
        yield check, finding
        if check is CHECKS[0] and any(rule in table.NO_TABLE for _, rule, *_ in finding.rows):
            return


def overall(results: list[Result]) -> Verdict:
    """The worst of all."""
    verdicts = {finding.verdict for _, finding in results}
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "pass"
