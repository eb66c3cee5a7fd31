"""What an operator sees of a user."""

import numpy as np
import pytest
from rich.console import Console

from riskstream.models.payment import DOMAIN
from riskstream.schemas.history import Applied
from riskstream.schemas.payment import Payment
from riskstream.workers.inspect import Holding, facts_table, features_table, measure, profile_table

START = 1_788_220_800_000  # 2026-09-01 00:00 UTC
HOUR = 3_600_000


def payment(number: int, hours: int, amount: int) -> Payment:
    return Payment(
        event_id=f"e{number}",
        user_id="u",
        event_time=START + hours * HOUR,
        amount=amount,
        currency="EUR",
        merchant_id=f"m{number}",
        mcc="5411",
        country="DE",
        channel="web",
    )


@pytest.fixture
def holding() -> Holding:
    events = [payment(1, 0, 100), payment(2, 30, 200), payment(3, 31, 500)]
    facts = DOMAIN.facts(DOMAIN.columns(events), np.array([5, 9, 12], np.int64))
    return Holding(3, Applied(epoch=1, offset=13, since=0), facts)


def text(table: object) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_the_history_is_measured_as_the_next_event_would_find_it(holding: Holding) -> None:
    values = measure(DOMAIN, holding.facts, START + 31 * HOUR)
    assert (values["count_24h"], values["sum_24h"], values["count_30d"]) == (2, 700, 3)


def test_facts_are_shown_newest_first_with_readable_time_and_country(holding: Holding) -> None:
    shown = text(facts_table(DOMAIN, holding))
    assert "Partition 3: 3 facts, complete below offset 13" in shown
    assert shown.index("2026-09-02 07:00:00") < shown.index("2026-09-01 00:00:00")
    assert " DE " in shown


def test_features_are_shown_with_unit_and_meaning(holding: Holding) -> None:
    shown = text(features_table(DOMAIN, holding))
    assert "count_24h" in shown
    assert "payments of the user in the last 24h" in shown
    assert "same_merchant" not in shown


def test_a_profile_is_shown_by_field() -> None:
    shown = text(profile_table(DOMAIN, b'{"computed_at": 1788220800000, "home_country": "DE"}'))
    assert "2026-09-01 00:00:00" in shown


def test_a_profile_that_cannot_be_read_says_so() -> None:
    assert "cannot be read" in text(profile_table(DOMAIN, b"{"))
