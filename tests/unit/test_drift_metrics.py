"""What the sidecar's metrics show of models: the latest window, alerts of windows of any length, nothing outdated."""

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from riskstream.models.payment import DOMAIN
from riskstream.schemas.drift import ALERT_KINDS, SEVERITIES, DriftReport
from riskstream.workers.drift.metrics import DriftMetrics, Shown
from riskstream.workers.drift.webhook import Changes
from tests.support.drift_reports import BROKEN_FROM, FEATURE, LENGTH_MS, MODEL, report

BROKEN, OTHER = report(BROKEN_FROM + 1), "other@1.0.0"
(ALERT,) = BROKEN.alerts


@pytest.fixture
def metrics() -> DriftMetrics:
    return DriftMetrics(CollectorRegistry())


def value(metrics: DriftMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"riskstream_drift_{name}", labels)


def models(metrics: DriftMetrics) -> set[str]:
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    return {sample.labels["model"] for sample in samples if "model" in sample.labels}


def of_other(window: DriftReport) -> DriftReport:
    return msgspec.structs.replace(window, model=OTHER)


def hour(window: DriftReport, **alert: object) -> DriftReport:
    """The same alert in a longer window that ends with this one."""
    start = window.window_end - 12 * LENGTH_MS
    return msgspec.structs.replace(window, window_start=start, alerts=(msgspec.structs.replace(ALERT, **alert),))


def test_the_figures_are_those_of_the_latest_window(metrics: DriftMetrics) -> None:
    shown = Shown(metrics)
    shown.window(report(0))
    shown.window(BROKEN)
    assert value(metrics, "window_events", model=MODEL) == BROKEN.events
    assert value(metrics, "feature_missing_share", model=MODEL, feature=FEATURE) == 0.28
    assert value(metrics, "decision_share", model=MODEL, decision="review") == 0.02


def test_what_a_window_does_not_know_is_not_shown_as_it_last_was(metrics: DriftMetrics) -> None:
    shown, nothing = Shown(metrics), msgspec.structs.replace(BROKEN.prediction, mean_score=None)
    shown.window(BROKEN)
    shown.window(msgspec.structs.replace(BROKEN, prediction=nothing))
    assert value(metrics, "mean_score", model=MODEL) is None


def test_every_kind_of_alert_is_shown_from_the_first_window_on(metrics: DriftMetrics) -> None:
    shown = Shown(metrics)
    shown.window(report(0))
    shown.alerts({("nobody@1.0.0", "missing", "critical"): 3, (MODEL, "missing", "critical"): 2})
    counts = {
        (kind, severity): value(metrics, "alerts", model=MODEL, kind=kind, severity=severity)
        for kind in ALERT_KINDS
        for severity in SEVERITIES
    }
    assert counts == {pair: 2.0 * (pair == ("missing", "critical")) for pair in counts}
    assert models(metrics) == {MODEL}


def test_a_model_that_brings_no_windows_any_more_is_shown_no_more(metrics: DriftMetrics) -> None:
    shown = Shown(metrics)
    shown.window(of_other(report(0)))
    shown.window(BROKEN)
    shown.alerts({(OTHER, "shift", "warning"): 1})
    assert models(metrics) == {MODEL, OTHER}
    assert shown.forget(report(0).window_end) == [OTHER]
    assert models(metrics) == {MODEL}
    shown.alerts({(OTHER, "shift", "warning"): 1})
    assert models(metrics) == {MODEL}
    assert value(metrics, "feature_psi", model=MODEL, feature=DOMAIN.features.names[0]) is not None


def test_one_cause_in_windows_of_two_lengths_stands_once_and_at_its_severest() -> None:
    changes = Changes()
    assert [change for change, _ in changes.of(BROKEN)] == ["began"]
    assert list(changes.of(hour(BROKEN, severity="warning"))) == []
    assert changes.standing == {(MODEL, "missing", "critical"): 1}


def test_an_alert_that_only_the_hour_sees_stands_all_the_same() -> None:
    changes = Changes()
    assert list(changes.of(report(0))) == []
    assert [change for change, _ in changes.of(hour(BROKEN, severity="warning"))] == ["began"]
    assert changes.standing == {(MODEL, "missing", "warning"): 1}


def test_it_stands_until_it_has_ended_in_every_length() -> None:
    changes = Changes()
    told = list(changes.of(BROKEN)) + list(changes.of(hour(BROKEN)))
    told += changes.of(msgspec.structs.replace(BROKEN, alerts=(msgspec.structs.replace(ALERT, ended_at=1),)))
    assert changes.standing == {(MODEL, "missing", "critical"): 1}
    told += changes.of(hour(BROKEN, ended_at=2))
    assert changes.standing == {}
    assert [change for change, _ in told] == ["began", "ended"]


def test_what_stands_of_a_model_ends_once_with_the_model() -> None:
    changes = Changes()
    told = [change for window in (BROKEN, hour(BROKEN), of_other(report(0))) for change in changes.of(window)]
    told += [*changes.leave(OTHER, 5), *changes.leave(MODEL, 7), *changes.leave(MODEL, 8)]
    assert [(change, alert.ended_at) for change, alert in told] == [("began", None), ("ended", 7)]
    assert changes.standing == {}
