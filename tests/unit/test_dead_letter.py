"""Dead letters: the reasons and the headers are a contract."""

import re

from riskstream.schemas.dead_letter import REASONS, STAGES, Rejection, dead_letter_headers


def test_headers_say_where_from_where_and_why() -> None:
    why = Rejection("wrong_type", "amount", "expected int, got str")
    assert dead_letter_headers(why, "decode", "transactions", 3, 42, 1_760_000_000_000) == [
        ("__connect.errors.topic", b"transactions"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"42"),
        ("__connect.errors.timestamp", b"1760000000000"),
        ("__connect.errors.stage", b"decode"),
        ("__connect.errors.reason", b"wrong_type"),
        ("__connect.errors.field", b"amount"),
        ("__connect.errors.exception.message", b"expected int, got str"),
    ]


def test_reasons_are_few_stable_codes_with_a_sentence_each() -> None:
    assert len(REASONS) <= 20
    assert all(re.fullmatch(r"[a-z_]+", reason) for reason in REASONS)
    assert all(re.fullmatch(r"[A-Z].*\.", meaning) for meaning in REASONS.values())


def test_stages_are_the_words_of_the_flow() -> None:
    assert STAGES == ("decode", "join", "assemble", "score", "decide", "publish", "commit")
