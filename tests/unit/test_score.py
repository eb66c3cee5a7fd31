"""Risk scores on the wire."""

from pathlib import Path

import msgspec
import pytest

from riskstream.schemas.score import CLOCK_FIELDS, DECISIONS, DEGRADED, RiskScore, decode_score, encode_score

BYTES = (Path(__file__).parent / "data" / "risk_score.json").read_bytes()


def test_bytes_of_the_first_version_stay_readable_and_are_written_again_the_same() -> None:
    score = decode_score(BYTES)
    assert (score.score, score.decision, score.degraded) == (0.03125, "review", ("history_partial", "profile_stale"))
    assert encode_score(score) == BYTES


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), -0.001, 1.001])
def test_a_score_that_is_no_probability_is_never_written(number: float) -> None:
    score = msgspec.structs.replace(decode_score(BYTES), score=number)
    with pytest.raises(ValueError, match="finite number"):
        encode_score(score)


@pytest.mark.parametrize("number", [0.0, 1.0, 0.1 + 0.2, 5e-324])
def test_scores_keep_every_bit(number: float) -> None:
    score = msgspec.structs.replace(decode_score(BYTES), score=number)
    assert decode_score(encode_score(score)).score == number


def test_probabilities_are_written_only_by_a_model_that_knows_several_classes() -> None:
    score = msgspec.structs.replace(decode_score(BYTES), probabilities={"honest": 0.9, "stolen": 0.1})
    assert encode_score(score) == BYTES[:-1] + b',"probabilities":{"honest":0.9,"stolen":0.1}}'
    assert decode_score(encode_score(score)) == score
    assert b"probabilities" not in BYTES


def test_consumers_may_meet_fields_that_they_do_not_know() -> None:
    assert decode_score(BYTES[:-1] + b',"reasons":["new_device"]}') == decode_score(BYTES)


def test_clock_fields_and_closed_sets() -> None:
    assert set(CLOCK_FIELDS) <= set(RiskScore.__struct_fields__)
    assert DECISIONS == ("approve", "review", "decline")
    assert len(set(DEGRADED)) == 5
