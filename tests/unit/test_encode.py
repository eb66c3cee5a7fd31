"""What a worker writes is what encoding the struct gives, byte for byte."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace
from xxhash import xxh3_64_hexdigest

from riskstream.schemas.encode import Scores, Stamp, encode_scores, json_texts
from riskstream.schemas.score import DECISIONS, DEGRADED, RiskScore, decode_score
from riskstream.schemas.texts import Texts

STAMP = Stamp(model="payment-risk@1.0.0", feature_set="3f0c9a5e1b2d4c67", topic="transactions", scored_at=1788220800007)
VECTORS = {xxh3_64_hexdigest(row.tobytes()): row.tobytes() for row in np.arange(27, dtype=np.float32).reshape(9, 3)}
USUAL = RiskScore(
    event_id="e-81",
    user_id="u-17",
    score=0.0312,
    decision="approve",
    model=STAMP.model,
    feature_set=STAMP.feature_set,
    vector=next(iter(VECTORS)),
    topic=STAMP.topic,
    partition=3,
    offset=1207,
    event_time=1788220800000,
    scored_at=STAMP.scored_at,
)
whole = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8"))
scores = st.builds(
    RiskScore,
    event_id=texts,
    user_id=texts,
    score=st.floats(0, 1),
    decision=st.sampled_from(DECISIONS),
    model=st.just(STAMP.model),
    feature_set=st.just(STAMP.feature_set),
    vector=st.sampled_from(sorted(VECTORS)),
    topic=st.just(STAMP.topic),
    partition=whole,
    offset=whole,
    event_time=whole,
    scored_at=st.just(STAMP.scored_at),
    duplicate=st.booleans(),
    degraded=st.sets(st.sampled_from(DEGRADED)).map(lambda names: tuple(n for n in DEGRADED if n in names)),
)


def usual(**given: Any) -> RiskScore:
    return msgspec.structs.replace(USUAL, **given)


def columns(rows: Sequence[RiskScore]) -> Scores:
    def column(name: str, kind: type[np.generic]) -> Any:
        return np.array([getattr(row, name) for row in rows], kind)

    return Scores(
        json_texts(Texts.of([row.event_id.encode() for row in rows])),
        Texts.of([row.user_id.encode() for row in rows]),
        column("score", np.float64),
        np.array([DECISIONS.index(row.decision) for row in rows], np.uint8),
        np.frombuffer(b"".join(VECTORS[row.vector] for row in rows), np.float32).reshape(-1, 3),
        column("partition", np.int64),
        column("offset", np.int64),
        column("event_time", np.int64),
        column("duplicate", np.bool_),
        np.array([sum(1 << DEGRADED.index(name) for name in row.degraded) for row in rows], np.uint8),
    )


@given(st.lists(scores))
@example([usual(score=number) for number in (0.0, 1.0, 0.1 + 0.2, 5e-324, 1e-5, 1e-7)])
@example([usual(offset=number, event_time=-number) for number in (0, 9, 10, 10**18, 2**63 - 1)])
@example([usual(event_time=-(2**63))])
def test_rows_are_written_as_the_struct_is(rows: list[RiskScore]) -> None:
    assert encode_scores(STAMP, columns(rows)) == [msgspec.json.encode(row) for row in rows]


def test_every_decision_and_every_way_to_be_degraded_is_named() -> None:
    masks = range(1 << len(DEGRADED))
    degraded = [tuple(name for bit, name in enumerate(DEGRADED) if mask >> bit & 1) for mask in masks]
    rows = [
        usual(degraded=names, decision=decision, duplicate=duplicate)
        for names in degraded
        for decision in DECISIONS
        for duplicate in (False, True)
    ]
    assert encode_scores(STAMP, columns(rows)) == [msgspec.json.encode(row) for row in rows]


def test_only_the_rows_that_were_taken_are_written() -> None:
    rows = [usual(event_id=f"e-{number}") for number in range(3)]
    taken = replace(columns(rows), event_ids=columns(rows).event_ids.take(np.array([2, 0, 1])))
    assert [decode_score(line).event_id for line in encode_scores(STAMP, taken)] == ["e-2", "e-0", "e-1"]


def test_vectors_of_any_width_are_named() -> None:
    for width in (1, 59, 60, 61, 200):
        vectors = np.arange(2 * width, dtype=np.float32).reshape(2, width)
        lines = encode_scores(STAMP, replace(columns([USUAL, USUAL]), vectors=vectors))
        assert [decode_score(line).vector for line in lines] == [xxh3_64_hexdigest(row.tobytes()) for row in vectors]


def test_rows_may_be_far_longer_than_usual() -> None:
    rows = [usual(event_id=chr(1) * 64, user_id=chr(1) * 64, topic="t" * 249) for _ in range(3)]
    encoded = encode_scores(replace(STAMP, topic="t" * 249), columns(rows))
    assert encoded == [msgspec.json.encode(row) for row in rows]
    assert len(encoded[0]) > 1_024


def test_names_are_escaped_and_may_change_from_one_batch_to_the_next() -> None:
    for name in ('a"b@1', "c\\d@2"):
        (line,) = encode_scores(replace(STAMP, model=name, topic=name), columns([USUAL]))
        assert line == msgspec.json.encode(usual(model=name, topic=name))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), -0.001, 1.001])
def test_a_score_that_is_no_probability_is_never_written(number: float) -> None:
    with pytest.raises(ValueError, match="finite number"):
        encode_scores(STAMP, columns([usual(score=0.5), usual(score=number)]))


def test_probabilities_are_written_only_by_a_model_that_knows_several_classes() -> None:
    found = [{"honest": 0.9, 'sto"len': 0.1}, {"honest": 1.0}]
    rows = [usual(probabilities=each) for each in found]
    lines = encode_scores(STAMP, replace(columns(rows), probabilities=found))
    assert lines == [msgspec.json.encode(row) for row in rows]
    assert decode_score(encode_scores(STAMP, columns(rows))[0]).probabilities is UNSET
