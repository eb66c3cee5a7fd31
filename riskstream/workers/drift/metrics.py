"""The sidecar's metrics: one table, as for the worker. Of models it shows the shortest windows, all events together."""

from collections.abc import Mapping
from itertools import product
from typing import Annotated

from prometheus_client import Counter, Gauge

from riskstream.schemas.drift import ALERT_KINDS, SEVERITIES, DriftReport
from riskstream.workers.metrics import Family, Row, Table, table

RECORDS = ("new", "repeat", "overlap", "unreadable")
WEBHOOK = ("sent", "failed", "dropped")


class DriftMetrics(Table):
    """The sidecar's."""

    drift_active: Annotated[Gauge, Row("1 if this instance works, 0 if it stands by")]
    drift_records_total: Annotated[Family[Counter], Row("Records of stats, by what they were", "outcome", RECORDS)]
    drift_events_total: Annotated[Counter, Row("Scored events summed into windows")]
    drift_late_events_total: Annotated[Counter, Row("Events and dead letters that came after their window was over")]
    drift_unseen_offsets: Annotated[Gauge, Row("Input offsets in open windows that no worker told of")]
    drift_waiting_offsets: Annotated[
        Gauge, Row("Input offsets that no worker has scored yet, in partitions whose event time stands still")
    ]
    drift_cells: Annotated[Gauge, Row("Steps of time times models that are held in memory")]
    drift_windows_closed_total: Annotated[Family[Counter], Row("Windows closed and reported", "length_s")]
    drift_window_end_timestamp_seconds: Annotated[
        Family[Gauge], Row("Event time at which the last one ended", "length_s")
    ]
    drift_webhook_total: Annotated[Family[Counter], Row("Posts of alerts, by what became of them", "outcome", WEBHOOK)]

    drift_window_events: Annotated[Family[Gauge], Row("Events of the last window", "model")]
    drift_mean_score: Annotated[Family[Gauge], Row("Mean score of the last window", "model")]
    drift_reference_mean_score: Annotated[Family[Gauge], Row("Mean score in the model's reference", "model")]
    drift_decision_share: Annotated[Family[Gauge], Row("Share of a decision in the last window", "model decision")]
    drift_degraded_share: Annotated[Family[Gauge], Row("Share of degraded scores in the last window", "model")]
    drift_dead_letter_share: Annotated[Family[Gauge], Row("Share of dead letters in the last window", "model")]
    drift_score_psi: Annotated[Family[Gauge], Row("Stability index of the scores against the reference", "model")]
    drift_feature_psi: Annotated[
        Family[Gauge], Row("Stability index of a feature against its reference", "model feature")
    ]
    drift_feature_missing_share: Annotated[Family[Gauge], Row("Share of events without the feature", "model feature")]
    drift_alerts: Annotated[Family[Gauge], Row("Alerts that stand, in windows of any length", "model kind severity")]


class Shown:
    """What is shown of models: one that brings no windows any more is shown no more, nor are its alerts.

    A model that was rolled out has nobody who could end its alerts.
    """

    def __init__(self, metrics: DriftMetrics) -> None:
        self._metrics = metrics
        self._ends: dict[str, int] = {}

    def window(self, report: DriftReport) -> None:
        """The figures of a window of all events."""
        self._ends[report.model] = report.window_end
        metrics, model, said = self._metrics, report.model, report.prediction
        for family, value in (
            (metrics.drift_window_events, report.events),
            (metrics.drift_mean_score, said.mean_score),
            (metrics.drift_reference_mean_score, said.reference_mean_score),
            (metrics.drift_degraded_share, report.degraded),
            (metrics.drift_dead_letter_share, report.dead_letter_share),
            (metrics.drift_score_psi, said.distance.psi),
        ):
            _set(family, model, value)
        for decision, share in said.decisions.items():
            _set(metrics.drift_decision_share, (model, decision), share)
        for feature in report.features:
            _set(metrics.drift_feature_psi, (model, feature.name), feature.distance.psi)
            _set(metrics.drift_feature_missing_share, (model, feature.name), feature.missing)

    def alerts(self, standing: Mapping[tuple[str, str, str], int]) -> None:
        """How many stand, by model, kind and severity; those that are not named are none."""
        for named in product(self._ends, ALERT_KINDS, SEVERITIES):
            self._metrics.drift_alerts[named].set(standing.get(named, 0))

    def forget(self, until: int) -> list[str]:
        """The models whose last window ended by then are shown no more; answers which they were."""
        gone = [model for model, end in self._ends.items() if end <= until]
        for model in gone:
            del self._ends[model]
            for family in self._of_models():
                for value in [
                    value for value in family if value == model or (isinstance(value, tuple) and value[0] == model)
                ]:
                    family.forget(value)
        return gone

    def _of_models(self) -> list[Family[Gauge]]:
        rows = table(DriftMetrics).items()
        return [getattr(self._metrics, name) for name, (_, row) in rows if (row.label or "").split()[:1] == ["model"]]


def _set(family: Family[Gauge], value: str | tuple[str, ...], number: float | None) -> None:
    """What is not known is not shown, rather than shown as it last was."""
    if number is None:
        family.forget(value)
    else:
        family[value].set(number)
