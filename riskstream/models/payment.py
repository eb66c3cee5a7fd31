"""The payment domain: payments as columns and facts, and the table of what the model sees of them.

To add a feature, add a row to FEATURES: a formula, or a function where none will do.
"""

from collections.abc import Sequence
from itertools import product
from string import ascii_uppercase
from typing import Any

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from riskstream.models.domain import Domain, FactRows
from riskstream.models.features import Feature, FeatureSet
from riskstream.models.formulas import differs, event, history, log1p, none, present, profile, ratio
from riskstream.models.history import HistorySpec
from riskstream.schemas.columns import Code, ColumnTable, Digits, Hash, Integer, Number
from riskstream.schemas.payment import CHANNELS, ENTRY_MODES, PAYMENT_FACT, Payment, PaymentProfile

Column = NDArray[Any]

HOUR, DAY = 3_600_000, 86_400_000

HISTORY = HistorySpec(
    windows=(("1h", HOUR), ("24h", DAY), ("7d", 7 * DAY), ("30d", 30 * DAY)),
    horizon_ms=30 * DAY,
    capacity=512,
    value=PAYMENT_FACT.index("amount"),
    distinct=(
        ("merchants", PAYMENT_FACT.index("merchant")),
        ("countries", PAYMENT_FACT.index("country")),
        ("devices", PAYMENT_FACT.index("device")),
    ),
    distinct_windows=("24h", "30d"),
)

COUNTRIES = ("", *(a + b for a, b in product(ascii_uppercase, repeat=2)))
"""Every code that a country may have, at the position that is its number; 0 is missing."""

COLUMNS = ColumnTable(
    {
        "event_time": Integer("event_time"),
        "event_hash": Hash("event_id"),
        "amount": Integer("amount"),
        "merchant": Hash("merchant_id"),
        "device": Hash("device_id"),
        "country": Code("country", COUNTRIES),
        "mcc": Digits("mcc"),
        "channel": Code("channel", CHANNELS),
        "ip_country": Code("ip_country", COUNTRIES),
        "entry_mode": Code("entry_mode", ENTRY_MODES),
        "card_present": Number("card_present"),
    }
)


def profiles(found: Sequence[PaymentProfile | None]) -> dict[str, Column]:
    """An array per profile field; a missing number is NaN, a missing country 0."""
    missing = PaymentProfile(computed_at=0)
    names = PaymentProfile.__struct_fields__
    some = [profile or missing for profile in found]
    fields = zip(*map(astuple, some), strict=True) if some else ((),) * len(names)
    field = dict(zip(names, fields, strict=True))
    return {
        "account_created_at": np.array(field["account_created_at"], np.float64),
        "home_country": Code("home_country", COUNTRIES).of(field["home_country"]),
        "kyc_level": np.array(field["kyc_level"], np.float64),
        "typical_amount": np.array(field["typical_amount"], np.float64),
        "chargebacks_365d": np.array(field["chargebacks_365d"], np.float64),
    }


TIME, AMOUNT, COUNTRY, IP_COUNTRY = map(event, ("event_time", "amount", "country", "ip_country"))
MEAN, STD, SAME_MERCHANT = map(history, ("mean", "std", "same_merchants"))
CREATED, HOME, TYPICAL = map(profile, ("account_created_at", "home_country", "typical_amount"))


def _window_rows(window: str) -> tuple[Feature, ...]:
    last = f"in the last {window}"
    return (
        Feature(f"count_{window}", f"payments of the user {last}", "payments", 1, history(f"count_{window}")),
        Feature(f"amount_sum_{window}", f"sum of amounts {last}", "minor units", 1, history(f"sum_{window}")),
        Feature(f"amount_mean_{window}", f"mean amount {last}", "minor units", 1, history(f"mean_{window}")),
        Feature(f"amount_max_{window}", f"largest amount {last}", "minor units", 1, history(f"max_{window}")),
    )


def _distinct_rows(word: str) -> tuple[Feature, ...]:
    return tuple(
        Feature(name, f"different {word} in the last {window}", word, 1, history(name))
        for window in HISTORY.distinct_windows
        for name in [f"distinct_{word}_{window}"]
    )


FEATURES = FeatureSet(
    spec=HISTORY,
    rows=(
        # The payment itself.
        Feature("amount_log", "natural logarithm of one plus the amount", "log minor units", 1, log1p(AMOUNT)),
        Feature("hour", "hour of the day, UTC", "0-23", 1, TIME // HOUR % 24),
        Feature("weekday", "day of the week, UTC, Monday is 0", "0-6", 1, (TIME // DAY + 3) % 7),
        Feature("channel", "position in CHANNELS, 0 is unknown", "code", 1, event("channel")),
        Feature("entry_mode", "position in ENTRY_MODES, 0 is unknown or missing", "code", 1, event("entry_mode")),
        Feature("card_present", "the card was there", "0/1", 1, event("card_present")),
        Feature("mcc", "merchant category code", "code", 1, event("mcc")),
        Feature(
            "ip_country_differs", "the address is not in the merchant's country", "0/1", 1, differs(IP_COUNTRY, COUNTRY)
        ),
        Feature("has_device", "the payment names a device", "0/1", 1, present(event("device"))),
        # The user's history.
        *_window_rows("1h"),
        *_window_rows("24h"),
        *_window_rows("7d"),
        *_window_rows("30d"),
        *_distinct_rows("merchants"),
        *_distinct_rows("countries"),
        *_distinct_rows("devices"),
        Feature("since_last", "time since the user's newest payment", "seconds", 1, history("since_last_s")),
        Feature("amount_over_mean", "amount over the mean of 30d", "ratio", 1, ratio(AMOUNT, MEAN)),
        Feature(
            "amount_z_score",
            "amount's distance from the mean of 30d in standard deviations",
            "std",
            1,
            ratio(AMOUNT - MEAN, STD),
        ),
        Feature("same_merchant_30d", "payments to this merchant in the last 30d", "payments", 1, SAME_MERCHANT),
        Feature("new_merchant", "no payment to this merchant in 30d", "0/1", 1, none(SAME_MERCHANT)),
        Feature("new_device", "no payment from this device in 30d", "0/1", 1, none(history("same_devices"))),
        Feature("new_country", "no payment in this country in 30d", "0/1", 1, none(history("same_countries"))),
        # The user's profile.
        Feature("account_age", "age of the account at the payment", "days", 1, (TIME - CREATED) / DAY),
        Feature("abroad", "the merchant is outside the user's home country", "0/1", 1, differs(HOME, COUNTRY)),
        Feature("kyc_level", "how well the user's identity was checked", "0-9", 1, profile("kyc_level")),
        Feature("amount_over_typical", "amount over the user's typical amount", "ratio", 1, ratio(AMOUNT, TYPICAL)),
        Feature("chargebacks_365d", "chargebacks of the user in a year", "chargebacks", 1, profile("chargebacks_365d")),
    ),
)

DOMAIN = Domain(
    name="payment",
    event=Payment,
    profile=PaymentProfile,
    layout=PAYMENT_FACT,
    features=FEATURES,
    columns=COLUMNS,
    facts=FactRows(PAYMENT_FACT),
    profiles=profiles,
    profile_max_age_ms=2 * DAY,
)
