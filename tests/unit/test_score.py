"""Risk scores on the wire."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from riskstream.schemas.score import (
    CLOCK_FIELDS,
    DECISIONS,
    DEGRADED,
    RiskScore,
    Scores,
    Stamp,
    decode_score,
    encode_scores,
)

BYTES = (Path(__file__).parent / "data" / "risk_score.json").read_bytes()
decode = msgspec.json.Decoder().decode  # ids are not held against their rules
STAMP = Stamp(model="payment-risk@1.0.0", feature_set="3f0c9a5e1b2d4c67", topic="transactions", scored_at=1788220800007)


def encoded(**columns: Any) -> list[bytes]:
    """Scores as a worker writes them, usual ones but for `columns`."""
    length = len(next(iter(columns.values())))
    usual: dict[str, list[Any]] = {
        "event_ids": ["e-81"],
        "user_ids": ["u-17"],
        "scores": [0.0312],
        "decisions": [0],
        "vectors": ["9d1f6b0a2c3e4d58"],
        "partitions": [3],
        "offsets": [1207],
        "event_times": [1788220800000],
        "duplicates": [False],
        "degraded": [0],
    }
    given = {name: value * length for name, value in usual.items()} | columns
    dtypes = {"scores": np.float64, "decisions": np.uint8, "duplicates": np.bool_, "degraded": np.uint8}
    return encode_scores(
        STAMP, Scores(**given | {name: np.array(given[name], dtype) for name, dtype in dtypes.items()})
    )


def test_bytes_of_the_first_version_stay_readable_and_are_written_again_the_same() -> None:
    score = decode_score(BYTES)
    assert (score.score, score.decision, score.degraded) == (0.03125, "review", ("history_partial", "profile_stale"))
    assert msgspec.json.encode(score) == BYTES


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), -0.001, 1.001])
def test_a_score_that_is_no_probability_is_never_written(number: float) -> None:
    with pytest.raises(ValueError, match="finite number"):
        encoded(scores=[0.5, number])


@given(st.lists(st.floats(0, 1), min_size=1))
@example([0.0, 1.0, 0.1 + 0.2, 5e-324, 1e-5, 1e-7])
def test_scores_keep_every_bit_and_look_as_the_struct_is_written(numbers: list[float]) -> None:
    lines = encoded(scores=numbers)
    assert [decode_score(line).score for line in lines] == numbers
    assert [msgspec.json.encode(decode_score(line)) for line in lines] == lines


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1))
def test_whatever_an_id_is_made_of_it_comes_out_as_the_struct_is_written(ids: list[str]) -> None:
    lines = encoded(event_ids=ids, user_ids=ids[::-1])
    assert [(decode(line)["event_id"], decode(line)["user_id"]) for line in lines] == list(
        zip(ids, ids[::-1], strict=True)
    )
    assert [msgspec.json.encode(decode(line)) for line in lines] == lines


def test_every_decision_and_every_way_to_be_degraded_is_named() -> None:
    masks = list(range(1 << len(DEGRADED)))
    lines = encoded(
        degraded=masks, duplicates=[bool(mask % 3) for mask in masks], decisions=[mask % 3 for mask in masks]
    )
    assert [msgspec.json.encode(decode_score(line)) for line in lines] == lines
    assert decode_score(lines[5]).degraded == (DEGRADED[0], DEGRADED[2])
    assert [decode_score(line).decision for line in lines[:3]] == list(DECISIONS)
    assert [decode_score(line).duplicate for line in lines[:3]] == [False, True, True]


def test_a_batch_of_nothing_but_dead_letters_has_no_scores() -> None:
    assert encoded(scores=[]) == []


def test_probabilities_are_written_only_by_a_model_that_knows_several_classes() -> None:
    (plain,) = encoded(scores=[0.1])
    (line,) = encoded(scores=[0.1], probabilities=[{"honest": 0.9, 'sto"len': 0.1}])
    assert line == plain[:-1] + b',"probabilities":{"honest":0.9,"sto\\"len":0.1}}'
    assert msgspec.json.encode(decode_score(line)) == line
    assert decode_score(plain).probabilities is UNSET


def test_consumers_may_meet_fields_that_they_do_not_know() -> None:
    assert decode_score(BYTES[:-1] + b',"reasons":["new_device"]}') == decode_score(BYTES)


def test_clock_fields_and_closed_sets() -> None:
    assert set(CLOCK_FIELDS) <= set(RiskScore.__struct_fields__)
    assert DECISIONS == ("approve", "review", "decline")
    assert len(set(DEGRADED)) == 5
