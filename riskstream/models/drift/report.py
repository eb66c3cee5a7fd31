"""What was found in a window, as the reports and alerts that go out. Every number is rounded here, once."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.alerts import Standing
from riskstream.models.drift.causes import WHOLE, Cause, Mover, Parts
from riskstream.models.drift.judgement import LEAST_LOCATION, Judge
from riskstream.models.drift.sentences import sentence
from riskstream.models.drift.sketch import Sketch
from riskstream.models.drift.skew import Skewed
from riskstream.models.drift.statistics import DISTANCES, mean_shift, shares
from riskstream.models.drift.tally import SCORE, Tally, Variable
from riskstream.models.drift.window import Window
from riskstream.schemas.drift import Alert, Bins, Distance, DriftReport, FeatureDrift, Prediction, Severity, Verdict
from riskstream.schemas.score import DECISIONS

DIGITS = 6
CRITICAL = 10  # times the smallest change that is worth an alert

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Finding:
    """A judged window: flags per part and series, the alerts to be told, and those that stand."""

    window: Window
    parts: Parts
    flags: Mapping[str, NDArray[np.bool_]]
    alerts: tuple[Alert, ...]
    standing: tuple[Standing, ...]

    def drifted(self, label: str) -> set[Variable]:
        """Variables that a standing alert is about, as far as it concerns this part."""
        here = [each for each in self.standing if label == WHOLE or each.alert.segment in (None, label)]
        return {variable for each in here for variable in (*each.leads, *each.echoes)}


def number(value: float | np.floating) -> float | None:
    """Rounded to six digits; None if it is no finite number."""
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


def share(value: float | np.floating) -> float:
    """A share, rounded; 0 of nothing is 0."""
    return min(1.0, max(0.0, number(value) or 0.0))


def reports_of(judge: Judge, finding: Finding) -> tuple[DriftReport, ...]:
    sketches = {WHOLE: finding.window.whole, **finding.window.segments}
    return tuple(_report(judge, finding, label, sketches[label]) for label in finding.parts.tallies)


def _report(judge: Judge, finding: Finding, label: str, sketch: Sketch) -> DriftReport:
    window, whole = finding.window, label == WHOLE
    features, prediction = _columns(judge, finding, label, sketch)
    letters = dict(sorted(window.dead_letters.items())) if whole else {}
    return DriftReport(
        model=window.model,
        segment=None if whole else label,
        window_start=window.start,
        window_end=window.end,
        coverage=share(window.coverage),
        events=sketch.events,
        unseen=sum(window.unseen.values()) if whole else 0,
        degraded=share(sketch.degraded_events / max(sketch.events, 1)),
        new_values=max((feature.new_values for feature in features), default=0.0),
        dead_letters=letters,
        dead_letter_share=share(sum(letters.values()) / max(sketch.events + sum(letters.values()), 1)),
        prediction=prediction,
        features=features,
        alerts=finding.alerts if whole else (),
        windows_learned=finding.parts.memories[label].windows,
    )


def _columns(judge: Judge, finding: Finding, label: str, sketch: Sketch) -> tuple[tuple[FeatureDrift, ...], Prediction]:
    """The features in their order, and what the model made of them."""
    shape, tally = judge.shape, finding.parts.tallies[label]
    distances, bins = _distances(judge, sketch), _bins(judge, sketch)
    part, known = _shares_of(tally), _shares_of(shape.known)
    verdicts = _Verdicts(judge, finding, label)
    count = len(shape.layout.names)
    features = tuple(
        FeatureDrift(
            name=name,
            missing=share(part[k]),
            reference_missing=share(known[k]),
            new_values=share(part[count + k]),
            distance=distances[k],
            bins=bins[k],
            p_value=verdicts.p_value(name),
            verdict=verdicts.verdict(name),
        )
        for k, name in enumerate(shape.layout.names)
    )
    decided = slice(2 * count, 2 * count + len(DECISIONS))
    prediction = Prediction(
        mean_score=distances[-1].mean,
        reference_mean_score=distances[-1].reference_mean,
        decisions={name: share(value) for name, value in zip(DECISIONS, part[decided], strict=True)},
        reference_decisions={name: share(value) for name, value in zip(DECISIONS, known[decided], strict=True)},
        distance=distances[-1],
        bins=bins[-1],
        p_value=verdicts.p_value(SCORE, *DECISIONS),
        verdict=verdicts.verdict(SCORE, *DECISIONS),
    )
    return features, prediction


class _Verdicts:
    """What the report says of a feature, or of the score with the decisions, in one part."""

    def __init__(self, judge: Judge, finding: Finding, label: str) -> None:
        self._p, self._flags = finding.parts.judged[label].p, finding.flags[label]
        self._drifted = {variable.name for variable in finding.drifted(label)}
        self._calendar = judge.rules.calendar
        self._warm = judge.is_warm(finding.parts.memories[label])
        self._series: dict[str, list[int]] = {}
        for k, variable in enumerate(judge.variables):
            self._series.setdefault(variable.name, []).append(k)

    def p_value(self, *names: str) -> float | None:
        known = self._known(names)
        return number(known.min()) if len(known) else None

    def verdict(self, *names: str) -> Verdict:
        if self._drifted.intersection(names):
            return "drifted"
        known = len(self._known(names))
        if names[0] in self._calendar or (self._warm and not known):
            return "not_judged"
        if not known:
            return "warming_up"
        return "suspect" if any(self._flags[self._series[name]].any() for name in names) else "calm"

    def _known(self, names: tuple[str, ...]) -> Floats:
        p = self._p[[k for name in names for k in self._series[name]]]
        return p[~np.isnan(p)]


def _shares_of(tally: Tally) -> Floats:
    return np.asarray(tally.hits / np.maximum(tally.trials, 1))


def _distances(judge: Judge, sketch: Sketch) -> list[Distance]:
    """Each column's, the score's last, from the bundle's reference."""
    shape = judge.shape
    found = {name: distance(shape.reference_bins, sketch.bins, shape.starts) for name, distance in DISTANCES.items()}
    histograms = [*shape.reference.features.values(), shape.reference.score]
    mean, variance = (
        np.array([getattr(each, name) for each in histograms], np.float64) for name in ("mean", "variance")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        found |= {"mean": sketch.means(), "reference_mean": mean, "variance_ratio": sketch.variances() / variance}
    count = np.array([sum(each.counts) for each in histograms])
    found["z"] = mean_shift(found["mean"], sketch.variances(), sketch.present(), (mean, variance, count))
    return [Distance(**{name: number(column[k]) for name, column in found.items()}) for k in range(len(histograms))]


def _bins(judge: Judge, sketch: Sketch) -> list[Bins]:
    layout, starts = judge.shape.layout, judge.shape.starts
    reference, seen = (
        np.round(np.nan_to_num(shares(counts, starts)), DIGITS).tolist()
        for counts in (judge.shape.reference_bins, sketch.bins)
    )
    cuts = layout.starts.tolist()
    return [
        Bins(
            edges=tuple(layout.column_edges(k).tolist()),
            reference=tuple(reference[cuts[k] : cuts[k + 1]]),
            seen=tuple(seen[cuts[k] : cuts[k + 1]]),
        )
        for k in range(layout.columns)
    ]


def raised(judge: Judge, parts: Parts, window: Window, cause: Cause, since: int) -> Alert:
    """A new alert. Its id is made of what it is about and since when, so the same windows give the same one."""
    lead = cause.lead
    kind = "shift" if lead.family == "shift" and lead.variable.kind == "missing" else lead.variable.kind
    measure, before, after = _sizes(judge, parts, lead)
    return _told(
        Alert(
            id=f"{kind}:{lead.variable.name}:{lead.segment or WHOLE}:{since}",
            kind=kind,
            severity=_severity(judge, lead),
            model=window.model,
            feature=lead.variable.name,
            features=tuple(dict.fromkeys(variable.name for variable in cause.variables)),
            segment=lead.segment,
            since=since,
            raised_at=window.end,
            measure=measure,
            before=before,
            after=after,
            p_value=share(lead.p),
            sentence="",
        )
    )


def renewed(standing: Standing, moving: Mapping[Variable, Mover], judge: Judge, parts: Parts) -> Standing:
    """The alert with the sizes of this window, if its lead still moves. What it is about does not change."""
    lead = moving.get(standing.leads[0])
    if lead is None:
        return standing
    fixed = Mover(lead.variable, lead.series, lead.part, lead.p, lead.effect, standing.alert.segment)
    measure, before, after = _sizes(judge, parts, fixed)
    names = tuple(dict.fromkeys(variable.name for variable in (*standing.leads, *standing.echoes)))
    alert = msgspec.structs.replace(
        standing.alert, measure=measure, before=before, after=after, p_value=share(lead.p), features=names
    )
    return msgspec.structs.replace(standing, alert=_told(alert))


def skew_alert(found: tuple[Skewed, ...], window: Window, before: Alert | None) -> Alert:
    """Keeps its id, its lead's name and its time for as long as there is any skew."""
    lead = found[0]
    since, raised_at = (before.since, before.raised_at) if before else (window.start, window.end)
    return _told(
        Alert(
            id=before.id if before else f"skew:{lead.variable.name}:{WHOLE}:{since}",
            kind="skew",
            severity="warning",
            model=window.model,
            feature=lead.variable.name,
            features=tuple(dict.fromkeys(skewed.variable.name for skewed in found)),
            since=since,
            raised_at=raised_at,
            measure=lead.measure,
            before=number(lead.before),
            after=number(lead.after),
            p_value=0.0,
            sentence="",
        )
    )


def _told(alert: Alert) -> Alert:
    return msgspec.structs.replace(alert, sentence=sentence(alert))


def _severity(judge: Judge, lead: Mover) -> Severity:
    return "critical" if abs(lead.effect) >= CRITICAL * judge.least[lead.series] else "warning"


def _sizes(judge: Judge, parts: Parts, lead: Mover) -> tuple[str, float | None, float | None]:
    """What is said of the lead's size: measure, before, after; within the segment that explains it, else of all."""
    label = lead.segment or WHOLE
    seen = parts.tallies.get(label) or parts.partitions[label]
    usual = parts.memories.get(label, parts.memories[WHOLE]).recent
    shares_count, columns = len(judge.shape.shares), len(judge.shape.columns)
    if lead.series < shares_count:
        before, after = (number(_shares_of(tally)[lead.series]) for tally in (usual, seen))
        return ("missing share" if lead.variable.kind == "missing" else "share"), before, after
    column = (lead.series - shares_count) % columns
    moved = abs(parts.judged[lead.part].effect[shares_count + column])
    if lead.series >= shares_count + columns and not moved >= LEAST_LOCATION:
        return "PSI", 0.0, number(lead.effect)
    return "mean", number(_mean(judge, usual, column)), number(_mean(judge, seen, column))


def _mean(judge: Judge, tally: Tally, column: int) -> float:
    bins = slice(judge.shape.layout.starts[column], judge.shape.layout.starts[column + 1])
    return float(tally.totals[column] / max(tally.bins[bins].sum(), 1))
