"""The reader: what it proves is what the rules accept, with the same values, and it proves what traffic is made of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskstream.models.payment import COLUMNS
from riskstream.models.simulation import SimulationConfig, simulate
from riskstream.schemas.decode import Decoder, Records, Rules
from riskstream.schemas.json_walk import MAX_KEYS
from riskstream.schemas.payment import Payment
from riskstream.schemas.reader import Limits, Reader, plainly_objects
from tests.unit.payment_log import payments

GOOD = (Path(__file__).parent / "data" / "payment_full.json").read_bytes()
EVENT: dict[str, Any] = json.loads(GOOD)
KEY, NOW = b"user-004211", 1_760_000_000_000
LIMITS = Limits(max_bytes=100_000, max_age_ms=2**62, max_future_ms=86_400_000)
READ = Reader(Payment, COLUMNS, LIMITS)
DECODE, RULES = Decoder(Payment, COLUMNS, LIMITS.max_bytes), Rules(Payment, LIMITS.max_bytes)
COMPACT = (",", ":")


def proven(*values: bytes, key: bytes = KEY, read: Reader = READ) -> list[bool]:
    doubtful = read([key] * len(values), values, [NOW] * len(values)).doubtful
    return [row not in doubtful for row in range(len(values))]


def encoded(changes: dict[str, Any], **layout: Any) -> bytes:
    return json.dumps(EVENT | changes, **layout).encode()


def with_extra(text: str) -> bytes:
    return GOOD[:-1] + b"," + text.encode() + b"}"


def assert_judged(values: list[bytes], key: bytes = KEY) -> None:
    """The decoder refuses what the rules refuse, and has the very columns of what they accept."""
    decoded = DECODE(Records([key] * len(values), values, [NOW] * len(values)))
    outcomes = [RULES.judge(key, value, NOW) for value in values]
    events = [outcomes[row] for row in decoded.rows.tolist()]
    assert all(isinstance(event, Payment) for event in events)
    assert decoded.rejections == {row: why for row, why in enumerate(outcomes) if not isinstance(why, Payment)}
    assert [text.decode() for text in decoded.event_ids.tolist()] == [event.event_id for event in events]
    for name, column in COLUMNS(events).items():
        np.testing.assert_array_equal(decoded.columns[name].view(np.int64), column.view(np.int64), err_msg=name)


@pytest.mark.parametrize("layout", [{"separators": COMPACT}, {}, {"indent": 2}, {"sort_keys": True}])
def test_simulated_traffic_is_proven_however_it_is_laid_out(layout: dict[str, Any]) -> None:
    events = simulate(SimulationConfig(users=50, events=2_000)).events
    values = [json.dumps(msgspec.to_builtins(event), **layout).encode() for event in events]
    doubtful = READ([event.user_id.encode() for event in events], values, [-1] * len(values)).doubtful
    assert len(doubtful) < 0.01 * len(values)


def test_all_columns_have_the_bits_of_the_tables() -> None:
    events = payments()
    omitted = [{name: value for name, value in msgspec.to_builtins(e).items() if value is not None} for e in events]
    values = [*map(msgspec.json.encode, events), *map(msgspec.json.encode, omitted)]
    reading = READ([event.user_id.encode() for event in events] * 2, values, [-1] * len(values))
    assert not reading.doubtful
    for bits, column in zip(reading.words, COLUMNS(events * 2).values(), strict=False):
        assert bits.tobytes() == column.tobytes()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" \t\r\n" + GOOD.replace(b",", b" ,\n\t").replace(b":", b" : ") + b"\n ", True),
        (b"", False),
        (b" ", False),
        (b"{}", False),
        (GOOD + b"x", False),
        (GOOD + b"\0", False),
        (GOOD[:-1], False),
        (GOOD[:-1] + b",}", False),
        (GOOD.replace(b"user-004211", b"user-00\\u00342"), False),
        (GOOD.replace(b'"user', b'"\\u0075ser'), False),
        (GOOD.replace(b"web", "caf\u00e9".encode()), False),
        (GOOD.replace(b"1250", b"0"), True),
        (GOOD.replace(b"1250", b"-0"), False),
        (GOOD.replace(b"1250", b"01"), False),
        (GOOD.replace(b"1250", b"12.0"), False),
        (GOOD.replace(b"1250", b"1e3"), False),
        (GOOD.replace(b"1250", b"1000000000000"), True),
        (GOOD.replace(b"1250", b"1000000000001"), False),
        (GOOD.replace(b"1250", b"18446744073709551617"), False),
        (GOOD.replace(b"1250", b"null"), False),
        (GOOD.replace(b'"AT"', b"null"), True),
        (GOOD.replace(b'"AT"', b"nul"), False),
        (GOOD.replace(b'"AT"', b'"at"'), False),
        (GOOD.replace(b'"AT"', b'"ATT"'), False),
        (GOOD.replace(b"false", b"0"), False),
        (GOOD.replace(b"false", b"falsy"), False),
        (GOOD.replace(b'"web"', b'"' + b"w" * 33 + b'"'), False),
        (GOOD.replace(b"EUR", b"EU\n"), False),
    ],
)
def test_what_is_proven_of_known_fields(value: bytes, expected: bool) -> None:
    assert proven(GOOD, value, GOOD) == [True, expected, True]
    assert_judged([GOOD, value, GOOD])


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ('"note":"ok {[,:]} a b"', True),
        ('"note":"say \\"user_id\\":\\\\ \\/\\b\\f\\n\\r\\t \\u00e9 \\ud83d\\ude00"', True),
        ('"note":"\u00e9 \u20ac \U0001f600"', True),
        ('"note":"\\ud83d"', False),
        ('"note":"\\ude00"', False),
        ('"note":"\\ud83d\\u0041"', False),
        ('"note":"\\x41"', False),
        ('"note":"\\u00g0"', False),
        ('"note":"\x7f"', True),
        ('"note":"\x1f"', False),
        ('"\u00e9":1', False),
        ('"\\u0061":1', False),
        ('"n":-0.5e+10,"m":0,"o":1E400,"p":-12', True),
        *((f'"n":{wrong}', False) for wrong in ("01", "-", "1.", ".5", "1e", "+1", "NaN", "-Infinity", "0x1", "tru")),
        ('"t":true,"f":false,"n":null', True),
        ('"a":{"a":1,"a":[ ] , "b" : [ {} , [[ ]], "x"]},"b":[{"a":1}]', True),
        *(
            (f'"a":{wrong}', False)
            for wrong in ("[1,]", "[,1]", '{"a"}', '{"a":}', '{"a":1,}', "[1}", '{"a":1]', "{1:1}")
        ),
        ('"a":' + "[" * 31 + "]" * 31, True),
        ('"a":' + "[" * 32 + "]" * 32, False),
        ('"a":1,"a":2', False),
        ('"amount":1250', False),
        (",".join(f'"k{n}":{n}' for n in range(MAX_KEYS - len(EVENT))), True),
        (",".join(f'"k{n}":{n}' for n in range(MAX_KEYS - len(EVENT) + 1)), False),
    ],
)
def test_what_is_proven_of_unknown_fields(extra: str, expected: bool) -> None:
    assert proven(GOOD, with_extra(extra), GOOD) == [True, expected, True]
    assert_judged([GOOD, with_extra(extra), GOOD])


@pytest.mark.parametrize(
    ("key", "time", "expected"),
    [
        (KEY, NOW, True),
        (KEY, -1, True),
        (KEY, NOW - LIMITS.max_future_ms, True),
        (KEY, NOW - LIMITS.max_future_ms - 1, False),
        (KEY, NOW + 1_000, True),
        (KEY, NOW + 1_001, False),
        (KEY + b"0", NOW, False),
        (KEY[:-1], NOW, False),
        (KEY[:-1] + b"2", NOW, False),
        (b"", NOW, False),
        (None, NOW, False),
    ],
)
def test_what_is_proven_of_key_and_time(key: bytes | None, time: int, expected: bool) -> None:
    read = Reader(Payment, COLUMNS, LIMITS._replace(max_age_ms=1_000))
    assert (not read([key], [GOOD], [time]).doubtful) == expected


def test_a_value_that_is_missing_or_too_large_is_not_proven() -> None:
    assert proven(GOOD, read=Reader(Payment, COLUMNS, LIMITS._replace(max_bytes=len(GOOD)))) == [True]
    assert proven(GOOD, read=Reader(Payment, COLUMNS, LIMITS._replace(max_bytes=len(GOOD) - 1))) == [False]
    assert list(READ([KEY], [None], [NOW]).doubtful) == [0]


def test_records_do_not_leak_into_each_other() -> None:
    head, tail = GOOD[:60], GOOD[60:]
    assert proven(GOOD, head, tail, GOOD, b'{"event_id":"', b'"', GOOD) == [
        True,
        False,
        False,
        True,
        False,
        False,
        True,
    ]


def test_producers_of_all_kinds_share_a_batch() -> None:
    """Each guesses wrong for the next one: it costs a look-up, and proves the same."""
    kinds = [GOOD, encoded({}), encoded({}, indent=1), encoded({"x": 1}), encoded({}, separators=(",", ": "))]
    assert all(proven(*kinds * 9))
    assert_judged(kinds * 9)


def test_new_keys_without_end_cost_only_the_records_that_bring_too_many() -> None:
    many = [with_extra(f'"k{n}":1') for n in range(200)]
    assert sum(proven(*many)) > 190
    assert_judged(many)


VALUES = {
    "event_id": st.sampled_from(["e-1", "", "e\u00e9", "x" * 64, "x" * 65, 7]),
    "amount": st.sampled_from([0, -1, 12.0, 12.5, 10**12, 10**12 + 1, 10**30, "1", None, True]),
    "mcc": st.sampled_from(["0000", "9999", "54a1", "541", None]),
    "channel": st.sampled_from(["web", "pos", "metaverse", "", "caf\u00e9", 'a"b', "unknown"]),
    "device_id": st.sampled_from([None, "d-1", "d 1", "d" * 40]),
    "ip_country": st.sampled_from([None, "DE", "ZZ", "de"]),
    "card_present": st.sampled_from([None, True, False, 1, "true"]),
    "note": st.text(max_size=9) | st.floats() | st.lists(st.none() | st.booleans(), max_size=2),
    "more": st.recursive(
        st.integers() | st.text(max_size=3), lambda inner: st.dictionaries(st.text(max_size=2), inner)
    ),
}
LAYOUTS = [{"separators": COMPACT}, {}, {"indent": 1}, {"ensure_ascii": False}]
CHANGED = st.fixed_dictionaries({}, optional=VALUES)
DROPPED = st.sets(st.sampled_from(sorted(EVENT)), max_size=1)


@st.composite
def written(draw: Callable[[Any], Any]) -> bytes:
    event = EVENT | draw(CHANGED)
    names = draw(st.permutations(list(event))) if draw(st.booleans()) else list(event)
    dropped = draw(DROPPED) if draw(st.booleans()) else ()
    text = json.dumps({name: event[name] for name in names if name not in dropped}, **draw(st.sampled_from(LAYOUTS)))
    return text.encode()


@given(st.lists(written(), max_size=6))
@settings(max_examples=300)
def test_any_event_however_it_is_written_comes_out_as_the_rules_and_the_table_have_it(values: list[bytes]) -> None:
    assert_judged(values)


def test_no_flipped_lost_or_added_byte_is_accepted_that_the_rules_refuse() -> None:
    rng = np.random.default_rng(7)
    base = [GOOD, encoded({}), with_extra('"note":"\\u00e9 \u20ac","list":[1.5e3,{"a":null}]')]
    assert_judged([_mutated(base[n % 3], rng) for n in range(6_000)])


def _mutated(value: bytes, rng: np.random.Generator) -> bytes:
    place, byte = (
        int(rng.integers(len(value))),
        bytes([rng.choice(np.frombuffer(b'"\\{}[],:019-e.nt \xff\0A', np.uint8))]),
    )
    return [
        value[:place] + byte + value[place + 1 :],
        value[:place] + byte + value[place:],
        value[:place] + value[place + 1 :],
    ][rng.integers(3)]


def test_utf8_is_what_python_takes_for_it() -> None:
    edges = [0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF]
    starts = [bytes([first, second]) for first in range(0x80, 0x100) for second in edges]
    ends = [b"", b"\x80", b"\xbf", b"\x80\x80", b"\xbf\xbf", b"\x80A", b"\xc0", b"\x7f\x80"]
    texts = [start + end for start in starts for end in ends]
    expected = [text.decode(errors="replace").encode() == text for text in texts]
    assert plainly_objects([b'{"a":"' + text + b'"}' for text in texts]) == expected
    assert 100 < sum(expected) < len(texts) - 100


def test_plain_objects_are_told_from_others() -> None:
    values = [GOOD, b'{"a":1,"b":{"c":[]}}', b"[]", b"{}", b'{"a":1,"a":2}', b'{"a":', b"", b'{"a":01}']
    assert plainly_objects(values) == [True, True, *[False] * 6]
    assert plainly_objects([]) == []
