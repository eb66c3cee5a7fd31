"""Every malformed record is refused for its reason, and its neighbours are not."""

from collections import Counter

import msgspec
import pytest

from riskstream.models.payment import COLUMNS
from riskstream.models.simulation import SimulationConfig, simulate
from riskstream.models.simulation.malformed import KINDS, Kind, malformed_records
from riskstream.schemas.dead_letter import REASONS
from riskstream.schemas.decode import Decoder, Records
from riskstream.schemas.payment import Payment

EVENTS = simulate(SimulationConfig(users=20, events=200)).events
GOOD = [msgspec.json.encode(event) for event in EVENTS]
NOW = max(event.event_time for event in EVENTS)


def test_there_are_many_kinds_and_they_cover_the_reasons_a_record_alone_can_have() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 44
    assert {kind.reason for kind in KINDS} == REASONS.keys() - {"too_old", "invalid_value", "skipped"}


def test_kinds_come_in_equal_shares() -> None:
    shares = Counter(record.kind for record in malformed_records(1, 3 * len(KINDS), GOOD))
    assert set(shares.values()) == {3}


def test_the_same_seed_breaks_the_same_way() -> None:
    assert malformed_records(1, 100, GOOD) == malformed_records(1, 100, GOOD)
    assert malformed_records(1, 100, GOOD) != malformed_records(2, 100, GOOD)


def test_nothing_is_made_from_nothing() -> None:
    with pytest.raises(ValueError, match="at least one"):
        malformed_records(1, 5, [])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_decode_finds_the_reason(kind: Kind) -> None:
    records = [record for record in malformed_records(3, 2 * len(KINDS), GOOD) if record.kind == kind.name]
    decoded = Decoder(Payment, COLUMNS)(
        Records([r.key for r in records], [r.value for r in records], [NOW] * len(records))
    )
    assert [decoded.rejections[row].reason for row in range(len(records))] == [record.reason for record in records]


def test_good_neighbours_are_accepted() -> None:
    keys: list[bytes | None] = [event.user_id.encode() for event in EVENTS]
    values: list[bytes | None] = list(GOOD)
    for row, record in enumerate(malformed_records(4, 100, GOOD)):
        keys[2 * row], values[2 * row] = record.key, record.value
    decoded = Decoder(Payment, COLUMNS)(Records(keys, values, [NOW] * len(values)))
    assert decoded.rows.tolist() == list(range(1, 200, 2))
    assert [text.decode() for text in decoded.event_ids.tolist()] == [event.event_id for event in EVENTS[1::2]]
