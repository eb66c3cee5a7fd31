"""Which rows are events, by the rules of the decoder and in its words.

Whole columns are compared with the bounds of the contract. That accepts what is surely good; every other row is written
as the JSON that it would be on the wire and judged by `schemas.decode.Rules`, as in a worker. So there is one truth:
the comparison may doubt a good row, which then costs more, and must never accept one that the rules refuse.

A file has neither a record's key nor its time, so the key is taken to be right and no event is too far in the future.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from msgspec import inspect
from numpy.typing import NDArray

from riskstream.models.dataset.fields import Fields
from riskstream.schemas.dead_letter import Rejection
from riskstream.schemas.decode import Rules

PLENTY = 1_000  # characters of a text without a bound, or bytes in all: what is longer is left to the rules


class Verdict(NamedTuple):
    """The good events, a sequence per field; the places they had; and for every other place why not."""

    fields: dict[str, list[Any]]
    place: NDArray[np.int64]
    rejections: dict[int, Rejection]


class Judge:
    """The contract of one event type, for columns."""

    def __init__(self, event: type[msgspec.Struct], rules: Rules) -> None:
        self._rules = rules
        allowed = {rule.attribute: rule.allowed for rule in rules.texts}
        kinds = {f.name: inspect.type_info(f.type) for f in msgspec.structs.fields(event)}
        self._tests = [_test(name, kind, allowed.get(name)) for name, kind in kinds.items()]
        self._names = {f.name: f.encode_name for f in msgspec.structs.fields(event)}

    def __call__(self, fields: Fields, lines: Sequence[bytes] | None = None) -> Verdict:
        """Every row ends up in exactly one of `place` and `rejections`. `lines`: the rows as they were on the wire."""
        frame = pl.DataFrame(fields.columns)
        good = frame.select(pl.all_horizontal(self._tests).alias("good"))["good"].to_numpy().copy()
        good[list(fields.odd)] = False
        rejections: dict[int, Rejection] = {}
        rescued: dict[int, Any] = {}
        for place in np.flatnonzero(~good).tolist():
            value = lines[place] if lines is not None else self._on_the_wire(frame, place, fields.odd.get(place, {}))
            event = self.judge(value)
            if isinstance(event, Rejection):
                rejections[place] = event
            else:
                rescued[place], good[place] = event, True
        places = np.flatnonzero(good)
        return Verdict(_with(frame[places], places, rescued), places, rejections)

    def judge(self, value: bytes) -> Any:
        """The event in a value, or the Rejection."""
        try:
            key = msgspec.json.decode(value, type=_Keyed).user_id.encode()
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            key = None
        return self._rules.judge(key, value)

    def _on_the_wire(self, frame: pl.DataFrame, place: int, odd: dict[str, Any]) -> bytes:
        values = {name: value for name, value in frame.row(place, named=True).items() if value is not None} | odd
        return json.dumps({self._names[name]: value for name, value in values.items()}, ensure_ascii=False).encode()


class _Keyed(msgspec.Struct):
    user_id: str = ""


def _with(frame: pl.DataFrame, places: NDArray[np.int64], rescued: dict[int, Any]) -> dict[str, list[Any]]:
    """The columns as lists, with the values of the events that the rules found good after all."""
    columns = {name: frame[name].to_list() for name in frame.columns}
    for place, event in rescued.items():
        at = int(np.searchsorted(places, place))
        for name, values in columns.items():
            values[at] = getattr(event, name)
    return columns


def _test(name: str, kind: inspect.Type, allowed: str | None) -> pl.Expr:
    """True where a value of the column is surely good."""
    column, choices = pl.col(name), _choices(kind)
    bare = next(each for each in choices if not isinstance(each, inspect.NoneType))
    if isinstance(bare, inspect.IntType | inspect.FloatType):
        test = _within(column, bare)
    elif isinstance(bare, inspect.StrType):
        test = _short(column, bare)
        test = test & column.str.contains(f"^{allowed}*$") if allowed else test
    else:
        test = column.is_not_null()
    if bare == inspect.FloatType():
        test = test & column.is_finite()
    optional = any(isinstance(each, inspect.NoneType) for each in choices)
    return test.fill_null(optional).alias(name)


def _choices(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    """The alternatives of a type without what annotates them."""
    if isinstance(kind, inspect.Metadata):
        return _choices(kind.type)
    return (
        tuple(bare for each in kind.types for bare in _choices(each))
        if isinstance(kind, inspect.UnionType)
        else (kind,)
    )


def _within(column: pl.Expr, kind: inspect.IntType | inspect.FloatType) -> pl.Expr:
    test = column.is_not_null()
    for bound, compare in ((kind.ge, column.ge), (kind.le, column.le), (kind.gt, column.gt), (kind.lt, column.lt)):
        test = test & compare(bound) if bound is not None else test
    return test & (kind.multiple_of is None)


def _short(column: pl.Expr, kind: inspect.StrType) -> pl.Expr:
    length = column.str.len_chars()
    test = (length >= (kind.min_length or 0)) & (length <= (PLENTY if kind.max_length is None else kind.max_length))
    return test & column.str.contains(kind.pattern) if kind.pattern else test
