"""Decode: every bad record is refused for its reason, and none of its neighbours is."""

import json
import random
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from riskstream.models.payment import COLUMNS
from riskstream.schemas.columns import ColumnTable, Hash, Integer
from riskstream.schemas.dead_letter import REASONS
from riskstream.schemas.decode import Decoded, Decoder, Records, Rules, field_of, validate_event
from riskstream.schemas.payment import Payment

DATA = Path(__file__).parent / "data"
CASES: list[dict[str, Any]] = json.loads((DATA / "bad_records.json").read_text())
GOOD = (DATA / "payment_full.json").read_bytes()
MINIMAL = (DATA / "payment_minimal.json").read_bytes()
KEY, NOW = b"user-004211", 1_760_000_000_000
ROOMY = Decoder(Payment, COLUMNS, max_bytes=1_000_000)  # so that deep nesting is refused for its depth


def build(case: dict[str, Any]) -> tuple[bytes | None, bytes | None]:
    """Key and value of a case. Its texts stand for bytes: one character, one byte."""
    text = case["whole"] if "whole" in case else edited(GOOD.decode("latin-1"), case)
    value = None if text is None else case.get("before", "") + text * case.get("times", 1) + case.get("after", "")
    return as_bytes(case.get("key", KEY.decode())), as_bytes(value, case.get("encoding", "latin-1"))


def edited(text: str, case: dict[str, Any]) -> str:
    if "replace" in case:
        return text.replace(case["replace"][0], case["replace"][1] * case.get("repeat", 1))
    if "insert" in case:
        return f"{text[:-1]},{case['insert']}}}"
    if "nest" in case:
        opening, closing, levels = case["nest"]
        return f'{text[:-1]},"note":{opening * levels}1{closing * levels}}}'
    if "drop" in case:
        return json.dumps({name: value for name, value in json.loads(text).items() if name != case["drop"]})
    return text[: len(text) - case.get("cut", 0)]


def as_bytes(text: str | None, encoding: str = "latin-1") -> bytes | None:
    return None if text is None else text.encode(encoding)


def records(*pairs: tuple[bytes | None, bytes | None]) -> Records:
    return Records([key for key, _ in pairs], [value for _, value in pairs], [NOW] * len(pairs))


def assert_equal(decoded: Decoded, *values: bytes) -> None:
    """What was decoded is what msgspec reads from these values, converted by the table."""
    events = [msgspec.json.decode(value, type=Payment) for value in values]
    assert decoded.users.tolist() == [each.user_id.encode() for each in events]
    assert [json.loads(b'"%b"' % text) for text in decoded.event_ids.tolist()] == [each.event_id for each in events]
    for name, column in COLUMNS(events).items():
        np.testing.assert_array_equal(decoded.columns[name], column)
        assert decoded.columns[name].dtype == column.dtype


def test_the_table_has_many_kinds_and_every_reason_of_decode_but_those_of_settings_and_other_domains() -> None:
    assert len({case["kind"] for case in CASES}) == len(CASES) >= 44
    assert {case["reason"] for case in CASES} == REASONS.keys() - {"too_old", "invalid_value", "skipped"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["kind"])
def test_a_bad_record_is_refused_for_its_reason_and_its_neighbours_are_not(case: dict[str, Any]) -> None:
    good, bad = (KEY, GOOD), build(case)
    decoded = ROOMY(records(good, bad, bad, good, (KEY, MINIMAL), bad))
    assert {row: why[:2] for row, why in decoded.rejections.items()} == dict.fromkeys(
        (1, 2, 5), (case["reason"], case["field"])
    )
    assert decoded.rows.tolist() == [0, 3, 4]
    assert_equal(decoded, GOOD, GOOD, MINIMAL)


def test_all_kinds_together_shuffled_among_good_ones_cost_exactly_themselves() -> None:
    batch = [(build(case), case["reason"]) for case in CASES] + [((KEY, GOOD), None)] * 200
    random.Random(7).shuffle(batch)
    decoded = ROOMY(records(*(pair for pair, _ in batch)))
    assert {row: why.reason for row, why in decoded.rejections.items()} == {
        row: reason for row, (_, reason) in enumerate(batch) if reason
    }
    assert decoded.rows.tolist() == [row for row, (_, reason) in enumerate(batch) if reason is None]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["kind"])
def test_a_rejection_tells_nothing_of_the_payload(case: dict[str, Any]) -> None:
    decoded = ROOMY(records(build(case)))
    message = decoded.rejections[0].message
    assert not any(
        text in message for text in ("user-0042", "004419", "0190a6b2", "1250", "17600000", "DEU", "eur", "5411")
    )


@pytest.mark.parametrize(
    "extra",
    [
        '"note":"Café \\ud83d\\ude00 \\"quoted\\" {[,:]}"',
        '"note":{"amount":1,"amount":2,"deep":[[[{}]]]}',
        '"ratio":1e400',
        '"emoji":"😀"',
        '"Amount":1',
        ",".join(f'"k{n}":{n}' for n in range(200)),
        '"note":' + "[" * 31 + "]" * 31,
    ],
)
def test_unknown_fields_pass(extra: str) -> None:
    value = f"{GOOD.decode()[:-1]},{extra}}}".encode()
    assert_equal(ROOMY(records((KEY, value))), GOOD)


@pytest.mark.parametrize("value", [GOOD.replace(b"web", b"metaverse"), GOOD.replace(b'"ecommerce"', b'"caf\xc3\xa9"')])
def test_unknown_values_of_open_sets_pass(value: bytes) -> None:
    assert ROOMY(records((KEY, value))).rejections == {}


@pytest.mark.parametrize(
    "value", [b" \r\n\t" + GOOD + b"\n", GOOD.replace(b'"user', b'"\\u0075ser'), GOOD.replace(b"1250", b"-0")]
)
def test_the_same_event_written_otherwise_passes(value: bytes) -> None:
    assert ROOMY(records((KEY, value))).rejections == {}


def test_time_is_judged_against_the_record_and_not_at_all_when_that_is_unknown() -> None:
    decoder = Decoder(Payment, COLUMNS, max_future_ms=1_000, max_age_ms=5_000)
    moments = [NOW - 1_001, NOW - 1_000, NOW + 5_000, NOW + 5_001, -1]
    decoded = decoder(Records([KEY] * 5, [GOOD] * 5, moments))
    assert {row: why.reason for row, why in decoded.rejections.items()} == {0: "time_in_future", 3: "too_old"}


def test_bytes_of_the_first_version_stay_readable() -> None:
    found = ROOMY(records((KEY, GOOD), (KEY, MINIMAL))).columns
    assert found["amount"].tolist() == [1250, 1250]
    assert found["device"].tolist() == [np.uint64(xxh3_64_intdigest(b"d-88213")).astype(np.int64), 0]
    np.testing.assert_array_equal(found["card_present"], [0.0, np.nan])


def test_an_empty_batch_has_no_outcome() -> None:
    found = ROOMY(Records([], [], []))
    assert [len(part) for part in (found.rows, found.event_ids.start, found.users.start, found.rejections)] == [
        0,
        0,
        0,
        0,
    ]
    assert {name: len(column) for name, column in found.columns.items()} == dict.fromkeys(COLUMNS.rows, 0)


def test_producers_can_ask_before_they_send() -> None:
    assert validate_event(KEY, GOOD) is None
    refused = validate_event(KEY, GOOD.replace(b"1760000000000", b"1760000000"))
    assert refused == ("wrong_time_unit", "event_time", "event_time looks like seconds, send milliseconds")


def test_rules_of_other_domains_are_kept_and_their_refusals_quote_nothing() -> None:
    kind = Annotated[str, msgspec.Meta(pattern="^[a-z]+$")] | None
    fields = [("event_id", str), ("user_id", str), ("event_time", int), ("state", Literal["on", "off"]), ("kind", kind)]
    rules = Rules(msgspec.defstruct("Switch", fields))
    start = b'{"event_id":"e","user_id":"u","event_time":1'
    quoting = [b',"state":"secret","kind":"a"}', b',"state":"on","kind":"SECRET"}', b',"state":"on","kind":null}']
    first, second, good = (rules.judge(b"u", start + rest) for rest in quoting)
    assert first == ("invalid_value", "state", "the value breaks a rule of the schema")
    assert second == ("invalid_value", "kind", "the value breaks a rule of the schema")
    assert good.state == "on"


def test_an_event_type_needs_the_fields_that_the_flow_lives_on() -> None:
    with pytest.raises(TypeError, match="user_id"):
        Decoder(msgspec.defstruct("Anonymous", [("event_id", str), ("event_time", int)]), COLUMNS)


def test_one_field_is_read_as_it_is_in_the_whole_event() -> None:
    read = field_of(Payment, "entry_mode")
    assert [read(value) for value in (GOOD, MINIMAL)] == ["ecommerce", None]
    renamed = msgspec.defstruct("Renamed", [("kind", str), ("marks", list[int], msgspec.field(default_factory=list))])
    assert field_of(renamed, "marks")(b'{"kind":"a"}') == []


def test_an_event_id_that_json_escapes_stands_as_it_would_in_json() -> None:
    event = msgspec.defstruct("Loose", [("event_id", str), ("user_id", str), ("event_time", int)])
    table = ColumnTable({"event_time": Integer("event_time"), "event_hash": Hash("event_id")})
    texts = [b"plain", rb"caf\u00e9 \"x\""]
    values = [b'{"event_id":"%b","user_id":"u","event_time":7}' % text for text in texts]
    found = Decoder(event, table)(Records([b"u"] * 2, values, [-1] * 2))
    assert found.event_ids.tolist() == [b"plain", 'café \\"x\\"'.encode()]
    assert (
        found.columns["event_hash"].tolist()
        == table([msgspec.json.decode(v, type=event) for v in values])["event_hash"].tolist()
    )
