"""The scan: what it clears is harmless, and it clears what traffic is made of."""

import re
import string
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskstream.schemas.exact import CLEAR, NOT_ASCII, SUSPECT, TextRule, text_rules
from riskstream.schemas.payment import Payment
from riskstream.schemas.scan import Scan

GOOD = (Path(__file__).parent / "data" / "payment_full.json").read_bytes()
SCAN = Scan(text_rules(Payment))
FIELDS = ["event_id", "user_id", "currency", "merchant_id", "mcc", "country", "device_id", "ip_country"]


def scan(value: str) -> int:
    (flag,) = SCAN([value.encode()])
    return flag


def test_the_rules_are_read_from_the_types_optional_fields_included() -> None:
    assert [rule.name for rule in text_rules(Payment)] == FIELDS
    assert {rule.allowed for rule in text_rules(Payment)} == {"[A-Za-z0-9._:@-]", "[A-Z]", "[0-9]"}


def test_ordinary_events_are_clear_pretty_or_not() -> None:
    assert SCAN([GOOD, b"", msgspec.json.format(GOOD, indent=4), GOOD]) == [CLEAR] * 4


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        ('{"note":"ok {[,:]} a b","n":1}', CLEAR),
        ('{"note":"say \\"user_id\\":\\\\","n":1}', CLEAR),
        ('{"note":"é"}', NOT_ASCII),
        ('{"é":1}', SUSPECT),
        ('{"a":1,"a":2}', SUSPECT),
        ('{"a" : "x" ,\n\t"b": 1, "a" : 2}', SUSPECT),
        ('{"a": "a", "b" : ":", ":" :"b", ",":","}', CLEAR),
        ('{"country" : "de"}', SUSPECT),
        ('{"country":1,"note":"de"}', CLEAR),
        ('{"country":"DE","note":"' + "x" * 5_000 + '"}', CLEAR),
        ('{"country":"de","note":"' + "x" * 5_000 + '"}', SUSPECT),
        ('{"a":{"a":1,"a":2},"b":[{"a":1}]}', CLEAR),
        ('{"\\u0061":1}', SUSPECT),
        ('{"country":"de"}', SUSPECT),
        ('{"country":"D\\u0045"}', SUSPECT),
        ('{"country":null,"note":"de"}', CLEAR),
        ('{"note":{"country":"de"}}', CLEAR),
        ('{"a":' + "[" * 31 + "]" * 31 + "}", CLEAR),
        ('{"a":' + "[" * 32 + "]" * 32 + "}", SUSPECT),
        ("{" + ",".join(f'"{n}":{n}' for n in range(64)) + "}", CLEAR),
        ("{" + ",".join(f'"{n}":{n}' for n in range(65)) + "}", SUSPECT),
    ],
)
def test_what_the_scan_says(value: str, flag: int) -> None:
    assert scan(value) == flag


def test_records_do_not_leak_into_each_other() -> None:
    assert SCAN([b'{"a":"', b'{"a":1}', b'{"country":', b'{"x":"de"}', b"{[{[", GOOD]) == [CLEAR] * 6


@given(st.lists(st.text(string.ascii_lowercase[:3], min_size=1, max_size=3), max_size=8))
def test_a_key_named_twice_is_always_suspect(keys: list[str]) -> None:
    value = "{" + ",".join(f'"{key}":0' for key in keys) + "}"
    assert (scan(value) == SUSPECT) == (len(set(keys)) < len(keys))


@given(
    st.sampled_from(text_rules(Payment)),
    st.text(st.characters(codec="utf-8", exclude_characters='"\\', min_codepoint=32)),
)
def test_text_outside_its_characters_is_never_clear(rule: TextRule, text: str) -> None:
    assert (scan(f'{{"{rule.name}":"{text}"}}') == CLEAR) == bool(rule.accepts(text))


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_can_be_scanned(values: list[bytes]) -> None:
    assert len(SCAN(values)) == len(values)


def test_a_type_without_texts_and_one_with_too_many_classes() -> None:
    assert Scan(())([b'{"a":"b"}']) == [CLEAR]
    rules = [TextRule(name, name, f"[{name}]", re.compile(f"[{name}]*").fullmatch) for name in "abcdefghi"]
    with pytest.raises(TypeError, match="at most 8"):
        Scan(rules)
