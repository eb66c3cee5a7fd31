"""Profiles: kept by seat, aged by the event that they are joined to."""

import msgspec
import numpy as np
import pytest

from riskstream.models.domain import load_domain
from riskstream.schemas.payment import PaymentProfile
from riskstream.schemas.score import PROFILE_INVALID, PROFILE_STALE, PROFILE_UNAVAILABLE
from riskstream.workers.profiles import Profiles

NOW, MAX_AGE = 1_750_000_000_000, 1_000
STORED = [
    msgspec.json.encode(PaymentProfile(computed_at=NOW, kyc_level=3, home_country="DE", account_created_at=NOW - 5)),
    None,
    b'{"computed_at": "\xff"',
]


@pytest.fixture
def profiles() -> Profiles:
    """Somebody at seats 2 and 5, nobody at 3, nonsense at 0."""
    profiles = Profiles(load_domain("riskstream.models.payment"), MAX_AGE)
    profiles.keep(np.array([2, 3, 0, 5]), STORED, [0, 1, 2, 0])
    return profiles


def seen(profiles: Profiles, *seats: int, at: int = NOW) -> tuple[list[float], list[int]]:
    columns, degraded = profiles.joined(np.array(seats), np.full(len(seats), at))
    return columns["kyc_level"].tolist(), degraded.tolist()


def test_each_seat_has_its_own(profiles: Profiles) -> None:
    levels, degraded = seen(profiles, 5, 3, 2, 0)
    np.testing.assert_equal(levels, [3, np.nan, 3, np.nan])
    assert degraded == [0, 0, 0, PROFILE_INVALID]


def test_more_seats_leave_the_others_as_they_are(profiles: Profiles) -> None:
    profiles.keep(np.array([5_000]), STORED, [0])
    np.testing.assert_equal(seen(profiles, 2, 3, 5_000)[0], [3, np.nan, 3])


def test_too_old_is_missing_at_the_events_own_time(profiles: Profiles) -> None:
    assert seen(profiles, 2, at=NOW + MAX_AGE) == ([3], [0])
    levels, degraded = seen(profiles, 2, 3, at=NOW + MAX_AGE + 1)
    np.testing.assert_equal((levels, degraded), ([np.nan, np.nan], [PROFILE_STALE, 0]))
    assert seen(profiles, 2) == ([3], [0]), "another event is not too late for it"


def test_what_cannot_be_known_is_missing_and_said(profiles: Profiles) -> None:
    columns, degraded = profiles.unavailable(2)
    np.testing.assert_equal(columns["kyc_level"].tolist(), [np.nan] * 2)
    assert columns["home_country"].tolist() == [0, 0]
    assert degraded.tolist() == [PROFILE_UNAVAILABLE] * 2


def test_of_no_events_there_are_no_profiles() -> None:
    columns, degraded = Profiles(load_domain("riskstream.models.payment"), 1).joined(np.empty(0, int), np.empty(0, int))
    assert {len(column) for column in columns.values()} == {0}
    assert len(degraded) == 0
