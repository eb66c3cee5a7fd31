"""Risk scores on the wire."""

from pathlib import Path

import msgspec

from riskstream.schemas.score import CLOCK_FIELDS, DECISIONS, DEGRADED, RiskScore, decode_score

BYTES = (Path(__file__).parent / "data" / "risk_score.json").read_bytes()


def test_bytes_of_the_first_version_stay_readable_and_are_written_again_the_same() -> None:
    score = decode_score(BYTES)
    assert (score.score, score.decision, score.degraded) == (0.03125, "review", ("history_partial", "profile_stale"))
    assert msgspec.json.encode(score) == BYTES


def test_consumers_may_meet_fields_that_they_do_not_know() -> None:
    assert decode_score(BYTES[:-1] + b',"reasons":["new_device"]}') == decode_score(BYTES)


def test_clock_fields_and_closed_sets() -> None:
    assert set(CLOCK_FIELDS) <= set(RiskScore.__struct_fields__)
    assert DECISIONS == ("approve", "review", "decline")
    assert len(set(DEGRADED)) == 5
