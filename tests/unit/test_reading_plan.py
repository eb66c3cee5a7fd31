"""The plan: event types other than payments are read by their own rules, or left to the exact ones as a whole."""

from typing import Annotated, Any, Literal

import numpy as np
import pytest
from msgspec import Meta, defstruct, field
from numpy.typing import NDArray

from riskstream.schemas.columns import Code, Column, ColumnTable, Digits, Hash, Integer, Number
from riskstream.schemas.fields import EpochMs, Id, chars
from riskstream.schemas.payment import Payment
from riskstream.schemas.reader import Limits, Reader
from riskstream.schemas.xxh3 import LONGEST

LIMITS = Limits(max_bytes=100_000, max_age_ms=2**62, max_future_ms=86_400_000)
IDS = [("event_id", Id), ("user_id", Id), ("event_time", EpochMs)]
START = b'{"event_id":"e","user_id":"u","event_time":1760000000000'
KINDS: dict[str, Column] = {"event_time": Integer("event_time"), "event_hash": Hash("event_id")}


def read_of(fields: list[Any], columns: dict[str, Column], *rest: bytes) -> tuple[list[bool], list[list[float]]]:
    """Which records are proven that end so, and the further columns of all."""
    read = Reader(defstruct("Event", [*IDS, *fields], kw_only=True), ColumnTable(KINDS | columns), LIMITS)
    reading = read([b"u"] * len(rest), [START + end for end in rest], [-1] * len(rest))
    found: list[NDArray[Any]] = [
        bits.view(row.dtype) for bits, row in zip(reading.words[2:], columns.values(), strict=False)
    ]
    return [row not in reading.doubtful for row in range(len(rest))], [column.tolist() for column in found]


def test_a_missing_field_has_its_default_and_null_is_none() -> None:
    fields = [
        ("wallet", str | None, "b"),
        ("tries", int, field(default_factory=lambda: 3)),
        ("risk", float | None, 0.5),
    ]
    columns: dict[str, Column] = {"w": Code("wallet", ("", "a", "b")), "t": Integer("tries"), "r": Number("risk")}
    good, found = read_of(fields, columns, b"}", b',"wallet":null,"risk":null}', b',"wallet":"a","tries":1,"risk":2}')
    assert good == [True] * 3
    np.testing.assert_array_equal(found, [[2, 0, 1], [3, 3, 1], [0.5, np.nan, 2.0]])


@pytest.mark.parametrize("text", ["0", "-1", "0.1", "-2.5e-3", "123456789012345", "1e22", "9.87654321e-7", "3E+2"])
def test_a_float_is_the_nearest_one(text: str) -> None:
    assert read_of([("risk", float)], {"r": Number("risk")}, b',"risk":%b}' % text.encode()) == (
        [True],
        [[float(text)]],
    )


@pytest.mark.parametrize("text", ["1234567890123456", "1e23", "1e-23", "-0", "1e400", "1.", "1e", '"1"', "1e1e1"])
def test_a_float_that_is_not_surely_exact_is_not_proven(text: str) -> None:
    assert read_of([("risk", float)], {"r": Number("risk")}, b',"risk":%b}' % text.encode())[0] == [False]


def test_bounds_are_those_of_the_type() -> None:
    low, high = Annotated[int, Meta(gt=2, lt=5)], Annotated[float, Meta(ge=0, le=1)]
    good, _ = read_of([("a", low, 3)], {}, *(b',"a":%d}' % n for n in range(1, 7)))
    assert good == [False, False, True, True, False, False]
    good, _ = read_of([("a", high, 0.0)], {}, *(b',"a":%b}' % n for n in (b"-0.1", b"0", b"1.0", b"1.1")))
    assert good == [False, True, True, False]


def test_texts_that_no_column_can_take_are_not_proven() -> None:
    fields = [("address", str, ""), ("code", Annotated[str, chars("A-Z0-9", 1, 30, "")], "0")]
    columns: dict[str, Column] = {"a": Hash("address"), "d": Digits("code")}
    good, found = read_of(
        fields, columns, b',"address":"%b"}' % (b"x" * (LONGEST + 1)), b',"code":"A1"}', b',"code":"0042"}'
    )
    assert good == [False, False, True]
    assert found[1][2] == 42


@pytest.mark.parametrize(
    "kind",
    [
        Literal["on", "off"],
        Annotated[str, Meta(pattern="^a")],
        int | str,
        list[int],
        Annotated[int, Meta(multiple_of=2)],
    ],
)
def test_an_event_with_a_field_of_another_kind_is_left_to_the_rules(kind: Any) -> None:
    assert read_of([("odd", kind)], {}, b',"odd":"on"}')[0] == [False]


def _refuse(event: Any) -> None:
    raise ValueError("not on a Monday")


@pytest.mark.parametrize(
    "options",
    [
        *({"forbid_unknown_fields": True}, {"tag": "x"}, {"array_like": True}),
        {"namespace": {"__post_init__": _refuse}},
    ],
)
def test_an_event_that_more_than_its_fields_decides_on_is_left_to_the_rules(options: dict[str, Any]) -> None:
    read = Reader(defstruct("Strict", IDS, **options), ColumnTable(KINDS), LIMITS)
    assert list(read([b"u"], [START + b"}"], [-1]).doubtful) == [0]


def test_ids_and_times_without_bounds_are_proven_only_where_the_rules_would_have_them() -> None:
    loose = defstruct("Loose", [("event_id", str), ("user_id", str), ("event_time", int)])
    read = Reader(loose, ColumnTable(KINDS), LIMITS)
    values = [
        b'{"event_id":"","user_id":"%b","event_time":%d}' % pair for pair in ((b"u", 1), (b"", 1), (b"u", -(10**17)))
    ]
    assert list(read([b"u", b"", b"u"], values, [1, 1, 2**63 - 1]).doubtful) == [1, 2]


def test_a_column_that_does_not_fit_its_field_is_refused() -> None:
    for column in (Hash("amount"), Integer("mcc"), Number("colour")):
        with pytest.raises(TypeError, match="column odd"):
            Reader(Payment, ColumnTable({"odd": column}), LIMITS)
