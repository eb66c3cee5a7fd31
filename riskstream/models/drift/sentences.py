"""What an alert says to people: what changed, from what to what, since when, where."""

from collections.abc import Sequence
from datetime import UTC, datetime

from riskstream.schemas.drift import Alert

OTHERS_SHOWN = 2
SUBJECTS = {
    "missing": "`{name}` missing",
    "new_values": "`{name}` has values that training never had:",
    "shift": "`{name}` {measure}",
    "prediction": "{measure} of `{name}`",
    "degraded": "scores made without something:",
    "dead_letters": "dead letters `{name}`:",
    "skew": "`{name}` is not as in training: {measure}",
}


def sentence(alert: Alert) -> str:
    """`ip_country_differs` missing 0.1 % -> 28 % since 14:05, all from channel=web; with it `x` and 3 more."""
    subject = SUBJECTS[alert.kind].format(name=alert.feature, measure=alert.measure)
    size = f"{_number(alert.before, alert.measure)} -> {_number(alert.after, alert.measure)}"
    since = datetime.fromtimestamp(alert.since / 1000, UTC).strftime("%H:%M")
    place = f", all from {alert.segment}" if alert.segment else ""
    return f"{subject} {size} since {since}{place}{_others(alert.features[1:])}"


def _number(value: float | None, measure: str) -> str:
    if value is None:
        return "unknown"
    if measure.endswith("share"):
        return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"
    return f"{value:.4g}"


def _others(names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(f"`{name}`" for name in names[:OTHERS_SHOWN])
    more = len(names) - OTHERS_SHOWN
    return f"; with it {shown}" + (f" and {more} more" if more > 0 else "")
