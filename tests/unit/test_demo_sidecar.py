"""What the demo holds against the sidecar: windows that are not what was scored. That it is late is no fault."""

import msgspec
import pytest

from riskstream.deploy.demo.sidecar import Watched
from tests.support.drift_reports import report

REPORTS = [report(0), msgspec.structs.replace(report(1), unseen=7)]
EVENTS = sum(each.events for each in REPORTS)


@pytest.mark.parametrize("scored", [EVENTS, EVENTS + 7])
def test_windows_that_hold_what_was_scored_are_well(scored: int) -> None:
    assert Watched(REPORTS, scored).problems == []


@pytest.mark.parametrize("scored", [EVENTS - 1, EVENTS + 8])
def test_an_event_too_many_or_one_that_is_missing_unsaid_is_told(scored: int) -> None:
    assert Watched(REPORTS, scored).problems == [
        f"the sidecar's windows hold {EVENTS} events, and {scored} were scored in their time"
    ]


def test_a_sidecar_that_was_late_is_no_problem() -> None:
    assert Watched([], 0).problems == []
