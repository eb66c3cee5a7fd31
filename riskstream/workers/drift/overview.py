"""What the page shows: the closed windows of a series in short, and one of them whole."""

import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from riskstream.schemas.drift import Alert, DriftReport, encode_report, report_key


class Series(NamedTuple):
    """Windows that belong side by side. `segment` "" means all events."""

    model: str
    length_ms: int
    segment: str


class WindowRow(msgspec.Struct, frozen=True, kw_only=True):
    """A window in short. `key` asks for all of it."""

    key: str
    start: int
    end: int
    events: int
    mean_score: float | None
    reference_mean_score: float | None
    decisions: dict[str, float]
    degraded: float
    dead_letter_share: float
    psi: float | None
    drifted: int
    suspect: int


class FeatureRow(msgspec.Struct, frozen=True):
    """A feature and what its reference misses."""

    name: str
    reference_missing: float


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """A series, oldest window first. `missing` has a row for each feature and in it a share for each window."""

    model: str
    length: int
    segment: str
    models: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    segments: tuple[str, ...] = ()
    windows: tuple[WindowRow, ...] = ()
    features: tuple[FeatureRow, ...] = ()
    missing: tuple[tuple[float, ...], ...] = ()
    alerts: tuple[Alert, ...] = ()


class _Kept(NamedTuple):
    row: WindowRow
    features: tuple[FeatureRow, ...]
    missing: tuple[float, ...]
    alerts: tuple[Alert, ...]
    whole: bytes  # compressed: bins are many and alike


@dataclass
class Recent:
    """The last `keep` windows of each of at most `series` series; what came first goes first."""

    keep: int
    series: int
    _kept: dict[Series, deque[_Kept]] = field(default_factory=dict)

    def add(self, report: DriftReport) -> None:
        series = Series(report.model, report.length_ms, report.segment or "")
        while series not in self._kept and len(self._kept) >= self.series:
            del self._kept[next(iter(self._kept))]
        windows = self._kept.setdefault(series, deque(maxlen=self.keep))
        kept = _kept(report)
        for index, other in enumerate(windows):
            if other.row.key == kept.row.key:
                windows[index] = kept
                return
        windows.append(kept)

    def whole(self, key: str) -> bytes | None:
        """The report as it was published, or None if it is not kept (any more)."""
        found = (kept.whole for windows in self._kept.values() for kept in windows if kept.row.key == key)
        return next((zlib.decompress(whole) for whole in found), None)

    def overview(self, model: str | None, length_ms: int | None, segment: str | None, windows: int) -> Overview:
        """At most `windows` of them. What is not asked for, or not there, is the latest model and shortest length."""
        models = tuple(dict.fromkeys(series.model for series in reversed(self._kept)))
        if not models:
            return Overview(model="", length=0, segment="")
        chosen = model if model in models else models[0]
        lengths = tuple(sorted({series.length_ms for series in self._kept if series.model == chosen}))
        length = length_ms if length_ms in lengths else lengths[0]
        segments = tuple(sorted(s.segment for s in self._kept if (s.model, s.length_ms) == (chosen, length)))
        part = segment if segment in segments else segments[0]
        kept = sorted(self._kept[Series(chosen, length, part)], key=lambda one: one.row.end)[-windows:]
        of_all = sorted(self._kept.get(Series(chosen, length, ""), ()), key=lambda one: one.row.end)[-windows:]
        return Overview(
            model=chosen,
            length=length,
            segment=part,
            models=models,
            lengths=lengths,
            segments=segments,
            windows=tuple(one.row for one in kept),
            features=kept[-1].features,
            missing=tuple(zip(*(one.missing for one in kept), strict=True)),
            alerts=_latest(of_all),
        )


def _kept(report: DriftReport) -> _Kept:
    said, verdicts = report.prediction, [feature.verdict for feature in report.features]
    row = WindowRow(
        key=report_key(report).decode(),
        start=report.window_start,
        end=report.window_end,
        events=report.events,
        mean_score=said.mean_score,
        reference_mean_score=said.reference_mean_score,
        decisions=said.decisions,
        degraded=report.degraded,
        dead_letter_share=report.dead_letter_share,
        psi=said.distance.psi,
        drifted=verdicts.count("drifted"),
        suspect=verdicts.count("suspect"),
    )
    features = tuple(FeatureRow(feature.name, feature.reference_missing) for feature in report.features)
    missing = tuple(feature.missing for feature in report.features)
    return _Kept(row, features, missing, report.alerts, zlib.compress(encode_report(report), 6))


def _latest(windows: list[_Kept]) -> tuple[Alert, ...]:
    """Each alert once, as the last window that names it has it; those still active first, then the newest."""
    latest = {alert.id: alert for window in windows for alert in window.alerts}
    return tuple(sorted(latest.values(), key=lambda alert: (alert.ended_at is not None, -alert.since, alert.id)))
