"""Dead letters: the reasons and the headers are a contract."""

import re
from hashlib import sha256

import pytest

from riskstream.schemas.dead_letter import (
    HEADER_PREFIX,
    LOSSES,
    REASONS,
    STAGES,
    Letter,
    Rejection,
    dead_letter_headers,
    fitted,
)


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
    assert len(REASONS) <= 21
    assert all(re.fullmatch(r"[a-z_]+", reason) for reason in REASONS)
    assert all(re.fullmatch(r"[A-Z].*\.", meaning) for meaning in REASONS.values())


def test_stages_are_the_words_of_the_flow() -> None:
    assert STAGES == ("decode", "join", "assemble", "score", "decide", "publish", "commit")


WHY = [("why", b"x" * 50)]


def losses(letter: Letter) -> dict[str, bytes | None]:
    return {name.removeprefix(HEADER_PREFIX): value for name, value in letter.added[len(WHY) :]}


def test_a_letter_that_fits_is_whole() -> None:
    whole = Letter(b"key", b"value", [("a", b"1"), ("a", None)], WHY)
    assert fitted(whole, whole.size) is whole


def test_the_value_is_left_out_first() -> None:
    letter = fitted(Letter(b"key", b"v" * 500, [("trace", b"t")], WHY), 400)
    assert letter[:3] == (b"key", None, [("trace", b"t")])
    assert losses(letter) == {"value.sha256": sha256(b"v" * 500).hexdigest().encode()}


def test_then_the_original_headers() -> None:
    letter = fitted(Letter(b"key", b"v", [("a", b"h" * 1_000), ("b", None)], WHY), 800)
    spelled = b"\0\0\0\1a" + (1_000).to_bytes(4, "big") + b"h" * 1_000 + b"\0\0\0\1b" + bytes(4)
    assert letter[:3] == (b"key", None, ())
    assert losses(letter)["headers.count"] == b"2"
    assert losses(letter)["headers.sha256"] == sha256(spelled).hexdigest().encode()


def test_at_last_the_key() -> None:
    letter = fitted(Letter(b"k" * 5_000, b"v", [("a", b"1")], WHY), 800)
    assert letter[:3] == (None, None, ())
    assert list(losses(letter)) == list(LOSSES)
    assert losses(letter)["key.sha256"] == sha256(b"k" * 5_000).hexdigest().encode()


def test_many_small_headers_count_with_their_lengths() -> None:
    assert fitted(Letter(b"k", None, [("", b"")] * 200, WHY), 1_000).original == ()


@pytest.mark.parametrize("sizes", [(0, 0, 0), (10**6, 0, 0), (0, 10**6, 0), (0, 0, 10**6), (10**6, 10**6, 10**6)])
def test_whatever_comes_fits(sizes: tuple[int, int, int]) -> None:
    key, value, header = map(bytes, sizes)
    origin = "t" * 249, 2**31 - 1, 2**63 - 1, 2**63 - 1
    why = dead_letter_headers(Rejection("wrong_time_unit", "event_time", "m" * 1_000), "decode", *origin)
    assert fitted(Letter(key, value, [("h", header)], why), 4_096).size <= 4_096
