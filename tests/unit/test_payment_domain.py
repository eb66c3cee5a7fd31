"""Payments as columns, facts and features: one example of each, by hand."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import xxhash
from msgspec import defstruct
from msgspec.structs import replace

from riskstream.models.domain import Domain, DomainError, FactRows, load_domain
from riskstream.models.offline import replay
from riskstream.models.payment import DOMAIN
from riskstream.schemas.columns import ColumnTable, Number, PackedColumns, Selection
from riskstream.schemas.facts import FactLayout
from riskstream.schemas.fields import EpochMs
from riskstream.schemas.payment import Payment, PaymentProfile

THEN = int(datetime(2025, 6, 15, 13, 59, 59, tzinfo=UTC).timestamp() * 1000)  # a Sunday
PAYMENT = Payment(
    event_id="e-1",
    user_id="u-1",
    event_time=THEN,
    amount=1_999,
    currency="EUR",
    merchant_id="m-1",
    mcc="0742",
    country="DE",
    channel="app",
)
PROFILE = PaymentProfile(
    computed_at=THEN,
    account_created_at=THEN - 36 * 3_600_000,
    home_country="FR",
    kyc_level=0,
    typical_amount=1_000,
    chargebacks_365d=2,
)


def features(*log: Payment, profile: PaymentProfile | None = None) -> dict[str, float]:
    """The features of the last payment of a log."""
    place = np.zeros(len(log), np.int32), np.arange(len(log))
    vectors = replay(DOMAIN, log, *place, [profile] * len(log)).features
    return dict(zip(DOMAIN.features.names, vectors[-1].tolist(), strict=True))


def earlier(ms: int, **changes: Any) -> Payment:
    return replace(PAYMENT, event_id=f"e-{ms}-{changes}", event_time=THEN - ms, **changes)


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({}, "amount_log", np.float32(np.log(2_000))),
        ({"amount": 0}, "amount_log", 0),
        ({}, "hour", 13),
        ({}, "weekday", 6),
        ({"event_time": THEN + 3_600_000 * 10}, "hour", 23),
        ({"event_time": THEN + 3_600_000 * 11}, "weekday", 0),
        ({}, "channel", 2),
        ({"channel": "fax"}, "channel", 0),
        ({}, "entry_mode", 0),
        ({"entry_mode": "recurring"}, "entry_mode", 6),
        ({}, "card_present", np.nan),
        ({"card_present": True}, "card_present", 1),
        ({"card_present": False}, "card_present", 0),
        ({}, "mcc", 742),
        ({}, "ip_country_differs", np.nan),
        ({"ip_country": "DE"}, "ip_country_differs", 0),
        ({"ip_country": "AT"}, "ip_country_differs", 1),
        ({}, "has_device", 0),
        ({"device_id": "d"}, "has_device", 1),
    ],
)
def test_direct_features(changes: dict[str, Any], name: str, expected: float) -> None:
    np.testing.assert_equal(features(replace(PAYMENT, **changes))[name], expected)


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({}, "account_age", 1.5),
        ({}, "abroad", 1),
        ({"home_country": "DE"}, "abroad", 0),
        ({"home_country": None}, "abroad", np.nan),
        ({}, "kyc_level", 0),
        ({"kyc_level": None}, "kyc_level", np.nan),
        ({}, "amount_over_typical", np.float32(1.999)),
        ({"typical_amount": 0}, "amount_over_typical", np.nan),
        ({}, "chargebacks_365d", 2),
    ],
)
def test_profile_features(changes: dict[str, Any], name: str, expected: float) -> None:
    np.testing.assert_equal(features(PAYMENT, profile=replace(PROFILE, **changes))[name], expected)


def test_history_features() -> None:
    log = [
        earlier(40 * 86_400_000, country="ZZ"),  # beyond the horizon
        earlier(2 * 86_400_000, amount=100, merchant_id="m-2", country="FR", device_id="d-1"),
        earlier(7_200_000, amount=200, device_id="d-2"),
        earlier(60_000, amount=600, merchant_id="m-2", device_id="d-2"),
    ]
    found = features(*log, replace(PAYMENT, amount=900, device_id="d-3"))
    expected = {
        "count_1h": 1,
        "count_24h": 2,
        "count_30d": 3,
        "amount_sum_24h": 800,
        "amount_mean_24h": 400,
        "amount_max_30d": 600,
        "distinct_merchants_24h": 2,
        "distinct_countries_30d": 2,
        "distinct_devices_24h": 1,
        "distinct_devices_30d": 2,
        "since_last": 60,
        "amount_over_mean": 3,
        "amount_z_score": np.float32(600 / np.sqrt(140_000 / 3)),
        "same_merchant_30d": 1,
        "new_merchant": 0,
        "new_device": 1,
        "new_country": 0,
    }
    assert {name: found[name] for name in expected} == expected


def test_a_first_payment_is_new_everywhere_and_has_nothing_to_compare_with() -> None:
    found = features(PAYMENT)
    assert (found["new_merchant"], found["new_country"], found["count_30d"]) == (1, 1, 0)
    assert all(np.isnan(found[name]) for name in ("new_device", "since_last", "amount_over_mean", "amount_z_score"))


def test_a_fact_is_the_payment_in_eight_words() -> None:
    columns = DOMAIN.columns([PAYMENT, replace(PAYMENT, device_id="d-1")])
    facts = DOMAIN.facts(columns, np.array([7, 8]))
    word = np.uint64(xxhash.xxh3_64_intdigest(b"m-1")).astype(np.int64)
    event = np.uint64(xxhash.xxh3_64_intdigest(b"e-1")).astype(np.int64)
    assert facts[0].tolist() == [7, THEN, event, 1_999, word, 0, 1 + 26 * 3 + 4, 742]
    assert facts[1, 5] != 0
    assert facts.flags.c_contiguous
    assert facts.dtype == np.dtype("<i8")


def test_a_fact_has_the_whole_part_of_a_fraction_however_the_columns_are_kept() -> None:
    table = ColumnTable({**DOMAIN.columns.rows, "present": Number("card_present")})
    columns = {**DOMAIN.columns([PAYMENT]), "present": np.array([2.75])}
    packed = PackedColumns(table.layout, Selection(columns).of(columns)[0])
    rows = FactRows(FactLayout("tried", 1, ("offset", "event_time", "event_hash", "present")))
    assert rows(columns, np.array([7])).tolist() == rows(packed, np.array([7])).tolist()
    assert rows(packed, np.array([7]))[0, 3] == 2


def test_facts_of_other_events_than_the_offsets_are_a_bug() -> None:
    with pytest.raises(ValueError, match="offsets of 2"):
        DOMAIN.facts(DOMAIN.columns([PAYMENT]), np.array([7, 8]))


def test_no_payments_are_no_rows() -> None:
    columns = DOMAIN.columns([])
    assert DOMAIN.facts(columns, np.empty(0, np.int64)).shape == (0, 8)
    assert replay(DOMAIN, [], np.empty(0, np.int32), np.empty(0, np.int64)).features.shape == (0, 43)


def test_a_domain_is_found_by_its_module() -> None:
    assert load_domain("riskstream.models.payment") is DOMAIN


@pytest.mark.parametrize("path", ["riskstream.models.nowhere", "riskstream.models.history", ""])
def test_a_module_that_is_no_domain_is_refused_by_name(path: str) -> None:
    with pytest.raises(DomainError, match=path or "''"):
        load_domain(path)


def test_a_domain_whose_history_reads_words_it_has_not_is_refused() -> None:
    layout = type(DOMAIN.layout)("short", 1, ("offset", "event_time", "event_hash"))
    with pytest.raises(DomainError, match="word"):
        Domain(**{**vars(DOMAIN), "layout": layout})


def test_a_domain_without_the_columns_of_all_or_with_those_of_no_field_is_refused() -> None:
    rows = {name: row for name, row in DOMAIN.columns.rows.items() if name != "event_hash"}
    with pytest.raises(DomainError, match="event_hash"):
        Domain(**{**vars(DOMAIN), "columns": ColumnTable(rows)})
    with pytest.raises(DomainError, match="colour"):
        Domain(**{**vars(DOMAIN), "columns": ColumnTable({**DOMAIN.columns.rows, "colour": Number("colour")})})


def test_a_domain_whose_ids_have_no_bound_is_refused() -> None:
    event = defstruct("Loose", [("event_id", str), ("user_id", str), ("event_time", EpochMs)])
    with pytest.raises(DomainError, match="event_id and user_id must be texts of at most 64"):
        Domain(**{**vars(DOMAIN), "event": event})
