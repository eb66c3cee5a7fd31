"""The drift report on the wire: one window of event time, of one model, as a whole or of one segment.

The sidecar publishes it to `drift-reports` under `report_key`, so a repeat overwrites. Shares are of the window's
events and lie in [0, 1]; null is a number that cannot be had, such as the mean of nothing. Every list is in a fixed
order and every number is rounded where it is made, so the same window gives the same bytes.
"""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from riskstream.schemas.fields import EpochMs

# What a verdict says of a series: too early to say, as usual, unlikely under calm but not yet an alert, part of an
# alert, shown but never judged (such as the hour of the day).
Verdict = Literal["warming_up", "calm", "suspect", "drifted", "not_judged"]
AlertKind = Literal["missing", "new_values", "shift", "prediction", "degraded", "dead_letters", "skew"]
Severity = Literal["warning", "critical"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
ALERT_KINDS: tuple[AlertKind, ...] = get_args(AlertKind)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]


class Bins(msgspec.Struct, frozen=True, kw_only=True):
    """Two histograms over the same bins, for drawing. Bin k holds values in [edges[k-1], edges[k]); missing is none."""

    edges: tuple[float, ...]
    reference: Annotated[tuple[Share, ...], Meta(description="share of each bin in the bundle's reference")]
    seen: Annotated[tuple[Share, ...], Meta(description="share of each bin in this window; all 0 if none has a value")]


class Distance(msgspec.Struct, frozen=True, kw_only=True):
    """How far the window's distribution is from the bundle's reference; docs/drift.md has the formulas."""

    psi: Annotated[float, Meta(description="population stability index; natural logarithm")] | None = None
    ks: Annotated[float, Meta(description="largest distance of the cumulative distributions")] | None = None
    js: Annotated[float, Meta(description="Jensen-Shannon divergence, 0 to 1 (base 2)")] | None = None
    z: Annotated[float, Meta(description="shift of the mean in its standard errors")] | None = None
    mean: float | None = None
    reference_mean: float | None = None
    variance_ratio: Annotated[float, Meta(description="variance over the reference's")] | None = None


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """One feature, in the order of the feature table."""

    name: str
    missing: Share
    reference_missing: Share
    new_values: Annotated[Share, Meta(description="share of the values that lie where the reference had none")]
    distance: Distance
    p_value: Annotated[Share, Meta(description="the least of the feature's tests; null while warming up")] | None
    verdict: Verdict
    bins: Bins


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What the model said."""

    mean_score: Share | None
    reference_mean_score: Share | None
    decisions: Annotated[dict[str, Share], Meta(description="share of each decision")]
    reference_decisions: dict[str, Share]
    distance: Distance
    p_value: Share | None
    verdict: Verdict
    bins: Bins


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One cause. It stands in every report of the whole from the window that raised it to the one that ended it."""

    id: Annotated[str, Meta(description="the same in every window; one for each cause")]
    kind: AlertKind
    severity: Severity
    model: str
    feature: Annotated[str, Meta(description="what moved most; a decision or reason for those kinds")]
    features: Annotated[tuple[str, ...], Meta(description="all that moved with it, the lead first")]
    segment: Annotated[str, Meta(description="where it comes from, such as channel=web")] | None = None
    since: Annotated[EpochMs, Meta(description="start of the first window that shows it")]
    raised_at: Annotated[EpochMs, Meta(description="end of the window that raised it")]
    ended_at: Annotated[EpochMs, Meta(description="end of the window that ended it")] | None = None
    measure: Annotated[str, Meta(description="what `before` and `after` are, such as missing share")]
    before: float | None
    after: float | None
    p_value: Share
    sentence: Annotated[str, Meta(description="for people; its wording may change")]


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """A closed window. It is published once, or again with the same bytes."""

    model: Annotated[str, Meta(description="name@version of the model")]
    segment: Annotated[str, Meta(description="such as channel=web; null: all events")] | None = None
    window_start: Annotated[EpochMs, Meta(description="event time, included")]
    window_end: Annotated[EpochMs, Meta(description="event time, not included")]
    coverage: Annotated[Share, Meta(description="share of the input's partitions that had reached the window's end")]
    events: Count
    unseen: Annotated[Count, Meta(description="offsets that no worker counted: at most so many events are not in here")]
    degraded: Annotated[Share, Meta(description="share of scores that were made without something")]
    new_values: Annotated[Share, Meta(description="the largest `new_values` of all features")]
    dead_letters: Annotated[dict[str, Count], Meta(description="by reason; only in the report of all events")]
    dead_letter_share: Annotated[Share, Meta(description="of events and dead letters together")]
    prediction: Prediction
    features: tuple[FeatureDrift, ...]
    alerts: Annotated[tuple[Alert, ...], Meta(description="active or just ended; only in the report of all events")]
    windows_learned: Annotated[Count, Meta(description="calm windows that the verdicts know")]

    @property
    def length_ms(self) -> int:
        return self.window_end - self.window_start


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(DriftReport).decode


def report_key(report: DriftReport) -> bytes:
    """Names the window: a repeat has the same key, and a compacted topic keeps the last."""
    return f"{report.model}|{report.length_ms}|{report.window_start}|{report.segment or '*'}".encode()


def encode_report(report: DriftReport) -> bytes:
    return _encode(report)


def decode_report(data: bytes) -> DriftReport:
    """The report in `data`. Raises msgspec.DecodeError if it does not follow the contract."""
    return _decode(data)
