"""A user's history and a payment's features the slow way: plain Python, exact fractions, from the rules alone."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from riskstream.models.history import HistorySpec
from riskstream.schemas.payment import CHANNELS, ENTRY_MODES, Payment, PaymentProfile

Row = Sequence[int]


class Expected(NamedTuple):
    columns: dict[str, float]
    original: int


def histories(spec: HistorySpec, log: Sequence[Row]) -> list[Expected]:
    """What each event of one user's log sees, facts as rows of words, in offset order. Originals are indexes."""
    facts: list[int] = []
    answers = []
    for index, event in enumerate(log):
        visible = facts[-spec.capacity :]
        original = next((i for i in visible if log[i][2] == event[2]), -1)
        if original < 0:
            facts.append(index)
        else:
            visible = [i for i in visible if i < original]
        answers.append(Expected(_columns(spec, [log[i] for i in visible], event), original))
    return answers


def _columns(spec: HistorySpec, visible: list[Row], event: Row) -> dict[str, float]:
    def within(width: int) -> list[Row]:
        return [fact for fact in visible if event[1] - width < fact[1] <= event[1]]

    columns: dict[str, float] = {}
    for name, width in spec.windows:
        values = [fact[spec.value] for fact in within(width)]
        columns[f"count_{name}"] = len(values)
        columns[f"sum_{name}"] = sum(values)
        columns[f"mean_{name}"] = float(Fraction(sum(values), len(values))) if values else math.nan
        columns[f"max_{name}"] = max(values) if values else math.nan
    for name, word in spec.distinct:
        for window in spec.distinct_windows:
            found = {fact[word] for fact in within(dict(spec.windows)[window])}
            columns[f"distinct_{name}_{window}"] = len(found - {0})
    counted = within(spec.horizon_ms)
    values = [fact[spec.value] for fact in counted]
    columns["since_last_s"] = (event[1] - max(fact[1] for fact in counted)) / 1000 if counted else math.nan
    columns["mean"] = float(Fraction(sum(values), len(values))) if values else math.nan
    columns["std"] = _deviation(values)
    for name, word in spec.distinct:
        same = sum(fact[word] == event[word] for fact in counted)
        columns[f"same_{name}"] = same if event[word] else math.nan
    return columns


def _deviation(values: list[int]) -> float:
    if len(values) < 2:
        return math.nan
    mean = Fraction(sum(values), len(values))
    return math.sqrt(Fraction(sum((value - mean) ** 2 for value in values), len(values)))


def payment_features(event: Payment, past: Mapping[str, float], profile: PaymentProfile | None) -> dict[str, float]:
    """The payment's table by name, from its history's columns; None says NaN."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=event.event_time)
    known = profile or PaymentProfile(computed_at=0)
    opened, home = known.account_created_at, known.home_country
    found: dict[str, float | None] = {
        "amount_log": math.log1p(event.amount),
        "hour": at.hour,
        "weekday": at.weekday(),
        "channel": CHANNELS.index(event.channel) if event.channel in CHANNELS else 0,
        "entry_mode": ENTRY_MODES.index(event.entry_mode) if event.entry_mode in ENTRY_MODES else 0,
        "card_present": event.card_present,
        "mcc": int(event.mcc),
        "ip_country_differs": None if event.ip_country is None else event.ip_country != event.country,
        "has_device": event.device_id is not None,
        "since_last": past["since_last_s"],
        "amount_over_mean": _over(event.amount, past["mean"]),
        "amount_z_score": _over(event.amount - past["mean"], past["std"]),
        "same_merchant_30d": past["same_merchants"],
        "new_merchant": past["same_merchants"] == 0,
        "new_device": None if event.device_id is None else past["same_devices"] == 0,
        "new_country": past["same_countries"] == 0,
        "account_age": None if opened is None else (event.event_time - opened) / 86_400_000,
        "abroad": None if home is None else home != event.country,
        "kyc_level": known.kyc_level,
        "amount_over_typical": _over(event.amount, known.typical_amount),
        "chargebacks_365d": known.chargebacks_365d,
    }
    for name, value in past.items():
        kind, _, window = name.partition("_")
        if window in ("1h", "24h", "7d", "30d"):
            found[name if kind == "count" else f"amount_{name}"] = value
        elif kind == "distinct":
            found[name] = value
    return {name: math.nan if value is None else float(value) for name, value in found.items()}


def _over(over: float, under: float | None) -> float | None:
    return over / under if under else None
