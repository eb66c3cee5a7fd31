"""The rules of an event type and the table of its columns, as the arrays that the compiled passes read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import NODEFAULT, inspect
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from riskstream.schemas import column_fill as fill
from riskstream.schemas import exact
from riskstream.schemas.columns import Code, Column, ColumnTable, Digits, Hash, Integer, Number
from riskstream.schemas.json_values import MAX_DIGITS, PLAIN
from riskstream.schemas.json_walk import BOOLEAN, FLOAT, INTEGER, MAX_KEYS, TEXT
from riskstream.schemas.xxh3 import LONGEST

Ints = NDArray[np.int64]

_FIRST = {"event_id": 0, "user_id": 1, "event_time": 2}  # the places that `column_fill` knows
_IDENTITY = [(TEXT, False), (TEXT, False), (INTEGER, False)]
_FAR = 10**MAX_DIGITS
_KINDS = {
    Integer: (fill.AS_IS, {INTEGER}),
    Number: (fill.FLOAT, {INTEGER, BOOLEAN, FLOAT}),
    Hash: (fill.HASH, {TEXT}),
    Code: (fill.CODE, {TEXT}),
    Digits: (fill.DIGITS, {TEXT}),
}
"""How a column is filled, and from which fields."""


@dataclass(frozen=True)
class Plan:
    """`fields`, `allowed`, `columns` and `slots` are as the passes say; `texts` is what a batch's bytes begin with.

    Behind the table's columns are two more: where each event_id begins, and its size.
    """

    texts: bytes
    fields: Ints
    allowed: NDArray[np.uint8]
    columns: Ints
    slots: Ints


class _Rule(NamedTuple):
    """What a field may hold."""

    kind: int
    nullable: bool
    low: int = 0
    high: int = 0


def plan_of(event: type[msgspec.Struct], table: ColumnTable) -> Plan | None:
    """None for an event type that the passes cannot read. Raises TypeError for columns that do not fit the event."""
    struct = exact.struct_type(event)
    fields = sorted(struct.fields, key=lambda field: _FIRST.get(field.name, len(_FIRST)))
    rules = [rule for field in fields if (rule := _rule(field.type))]
    identity = [(rule.kind, rule.nullable) for rule in rules[: len(_FIRST)]]
    if len(rules) < len(fields) or len(fields) >= MAX_KEYS or identity != _IDENTITY or not _is_plain(struct):
        return None
    return _Layout(event, fields, rules).plan(table)


def _is_plain(struct: inspect.StructType) -> bool:
    """Whether nothing but its fields says what is an event."""
    return struct.tag is None and not (
        struct.array_like or struct.forbid_unknown_fields or hasattr(struct.cls, "__post_init__")
    )


def _rule(kind: inspect.Type) -> _Rule | None:
    choices = [exact.bare(choice) for choice in (kind.types if isinstance(kind, inspect.UnionType) else [kind])]
    known = [choice for choice in choices if not isinstance(choice, inspect.NoneType)]
    nullable = len(known) < len(choices)
    match known:
        case [inspect.StrType(pattern=None) as text]:
            return _Rule(TEXT, nullable, text.min_length or 0, _FAR if text.max_length is None else text.max_length)
        case [inspect.IntType(multiple_of=None) as whole]:
            low = max(-_FAR if whole.ge is None else whole.ge, -_FAR if whole.gt is None else whole.gt + 1)
            high = min(_FAR if whole.le is None else whole.le, _FAR if whole.lt is None else whole.lt - 1)
            return _Rule(INTEGER, nullable, max(low, -_FAR), min(high, _FAR))
        case [inspect.FloatType(gt=None, lt=None, multiple_of=None) as number]:
            bounds = (-np.inf if number.ge is None else number.ge, np.inf if number.le is None else number.le)
            return _Rule(FLOAT, nullable, *np.array(bounds, np.float64).view(np.int64).tolist())
        case [inspect.BoolType()]:
            return _Rule(BOOLEAN, nullable)
        case _:
            return None


class _Layout:
    """Lays names and codes into arrays, each text and slot once."""

    def __init__(self, event: type[msgspec.Struct], fields: Sequence[inspect.Field], rules: Sequence[_Rule]) -> None:
        self._event, self._fields, self._rules = event, fields, rules
        self._texts = b""
        self._slots: list[tuple[int, int, int]] = []

    def plan(self, table: ColumnTable) -> Plan:
        accepts = {rule.attribute: rule.accepts for rule in exact.text_rules(self._event)}
        columns = [self._column(name, column) for name, column in table.rows.items()]
        readers = [[row for row in table.rows.values() if row.field == field.name] for field in self._fields]
        fields = [
            self._field(field, rule, some) for field, rule, some in zip(self._fields, self._rules, readers, strict=True)
        ]
        return Plan(
            self._texts,
            np.array(fields, np.int64),
            np.array([_allowed(accepts.get(f.name), some) for f, some in zip(self._fields, readers, strict=True)]),
            np.array([*columns, *_places(fill.EVENT_ID), *_places(fill.USER_ID)], np.int64),
            np.array(self._slots, np.int64).reshape(-1, 3),
        )

    def _field(self, field: inspect.Field, rule: _Rule, readers: Sequence[Column]) -> tuple[int, ...]:
        high = min([rule.high, *map(_longest, readers)]) if rule.kind == TEXT else rule.high
        required = field.required or field.name in _FIRST
        return (rule.kind, rule.nullable, required, rule.low, high, *self._lay(field.encode_name))

    def _column(self, name: str, column: Column) -> tuple[int, ...]:
        filling, fitting = _KINDS[type(column)]
        number = next((n for n, field in enumerate(self._fields) if field.name == column.field), None)
        if number is None or self._rules[number].kind not in fitting:
            raise TypeError(f"column {name}: {self._event.__name__} has no field {column.field!r} that fits {column}")
        field, rule = self._fields[number], self._rules[number]
        if filling == fill.FLOAT and rule.kind == FLOAT:
            filling = fill.AS_IS
        absent = 0 if field.required else _bits(column, _default(field))
        null = _bits(column, None) if rule.nullable else 0
        return (filling, number, absent, null, *(self._codes(column.names) if isinstance(column, Code) else (0, 0)))

    def _codes(self, names: Sequence[str]) -> tuple[int, int]:
        """Where the slots of these names begin, and the mask that a hash becomes a slot with."""
        first, mask = len(self._slots), (1 << (2 * len(names)).bit_length()) - 1
        self._slots += [(0, fill.EMPTY, 0)] * (mask + 1)
        for code, name in enumerate(names):
            slot = xxh3_64_intdigest(name.encode()) & mask
            while self._slots[first + slot][1] != fill.EMPTY:
                slot = (slot + 1) & mask
            self._slots[first + slot] = (*self._lay(name), code)
        return first, mask

    def _lay(self, text: str) -> tuple[int, int]:
        """Its place and size."""
        place, size = len(self._texts), len(text.encode())
        self._texts += text.encode()
        return place, size


def _places(field: int) -> tuple[tuple[int, ...], ...]:
    """Two columns: where a text that is always there begins, and its size."""
    return tuple((filling, field, 0, 0, 0, 0) for filling in (fill.AS_IS, fill.LENGTH))


def _longest(column: Column) -> int:
    """Bytes of a text that the passes can convert; longer ones are doubted."""
    return MAX_DIGITS if isinstance(column, Digits) else LONGEST


def _allowed(accepts: Callable[[str], object] | None, readers: Sequence[Column]) -> NDArray[np.uint8]:
    """The bytes that a text may have and stay on the fast path."""
    digits = any(isinstance(reader, Digits) for reader in readers)
    return np.array(
        [
            plain and (accepts is None or bool(accepts(chr(code)))) and (not digits or chr(code).isdecimal())
            for code, plain in enumerate(PLAIN.tolist())
        ],
        np.uint8,
    )


def _default(field: inspect.Field) -> Any:
    return field.default_factory() if field.default is NODEFAULT else field.default


def _bits(column: Column, value: Any) -> int:
    return int(column.of([value]).view(np.int64)[0])
