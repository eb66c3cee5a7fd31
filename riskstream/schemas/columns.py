"""Columns: what is computed with, an array for each thing that is known of events. A domain has a table of them.

A row of the table names an event field and says what becomes of it. The rows are converted here, from values, and in
`column_fill`, from bytes; both give the same bits.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

Array = NDArray[Any]


def whole_numbers(values: Sequence[int]) -> NDArray[np.int64]:
    """An array of them. In a process that rests between batches the first run of code costs most, and numpy's own
    conversion of a list runs through several times as much."""
    return np.frombuffer(array("q", values), np.int64)


@dataclass(frozen=True)
class Integer:
    """A whole number that no event lacks, int64."""

    field: str
    dtype: ClassVar = np.int64

    def of(self, values: Sequence[int]) -> Array:
        return np.array(values, np.int64)


@dataclass(frozen=True)
class Number:
    """A number, or 0 or 1 for a boolean, float64; NaN where it is missing."""

    field: str
    dtype: ClassVar = np.float64

    def of(self, values: Sequence[float | None]) -> Array:
        return np.array(values, np.float64)


@dataclass(frozen=True)
class Hash:
    """The XXH3-64 of a text in UTF-8, its bits as int64; 0 where it is missing."""

    field: str
    dtype: ClassVar = np.int64

    def of(self, values: Sequence[str | None]) -> Array:
        found = [0 if value is None else xxh3_64_intdigest(value.encode()) for value in values]
        return np.array(found, np.uint64).view(np.int64)


@dataclass(frozen=True)
class Code:
    """The position of a text in `names`, int64; 0 where it is missing or not among them."""

    field: str
    names: tuple[str, ...]
    dtype: ClassVar = np.int64

    def of(self, values: Sequence[str | None]) -> Array:
        return np.fromiter((self._codes.get(value, 0) for value in values), np.int64, len(values))

    @cached_property
    def _codes(self) -> dict[str | None, int]:
        return {name: code for code, name in enumerate(self.names)}


@dataclass(frozen=True)
class Digits:
    """The number that a text of digits spells, int64; 0 where it is missing."""

    field: str
    dtype: ClassVar = np.int64

    def of(self, values: Sequence[str | None]) -> Array:
        return np.array([int(value or 0) for value in values], np.int64)


Column = Integer | Number | Hash | Code | Digits


@dataclass(frozen=True)
class ColumnTable:
    """The columns of a domain's events, by name."""

    rows: Mapping[str, Column]

    def __call__(self, events: Sequence[Any]) -> dict[str, Array]:
        """An array for each column, a value for each event."""
        return {name: row.of([*map(attrgetter(row.field), events)]) for name, row in self.rows.items()}

    @cached_property
    def layout(self) -> "Layout":
        """Of `PackedColumns` with a row for each, in this order."""
        return Layout({name: row.dtype is np.float64 for name, row in self.rows.items()})

    def of(self, fields: Mapping[str, Sequence[Any]]) -> dict[str, Array]:
        """The same from a sequence for each event field, None where an event lacks it."""
        return {name: row.of(fields[row.field]) for name, row in self.rows.items()}


Chosen = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]
"""Some columns, for compiled code: rows, the second, int64[k], of the first, int64[c, n]. A row is the bits of a
float64 where the third, bool[k], is true, and whole numbers where not."""


class Layout:
    """Which row of `PackedColumns.words` is whose."""

    def __init__(self, is_float: Mapping[str, bool]) -> None:
        """The columns in order, with whether they are bits of a float64."""
        self.is_float = is_float
        self.place = {name: place for place, name in enumerate(is_float)}


class PackedColumns(Mapping[str, Array]):
    """Columns by name as the first rows of one array, `words` int64[c, n]. Compiled code takes them all at once; an
    array by itself is made when somebody asks for it."""

    __slots__ = ("layout", "words")

    def __init__(self, layout: Layout, words: NDArray[np.int64]) -> None:
        self.layout, self.words = layout, words

    def __getitem__(self, name: str) -> Array:
        row: Array = self.words[self.layout.place[name]]
        return row.view(np.float64) if self.layout.is_float[name] else row

    def __iter__(self) -> Iterator[str]:
        return iter(self.layout.place)

    def __len__(self) -> int:
        return len(self.layout.place)


class Selection:
    """Some columns by name, for compiled code.

    Where they are is kept for the layout that came last, as a domain's columns all have one: looking many names up is
    slow in a process that rests between batches.
    """

    __slots__ = ("_is_float", "_layout", "_places", "names")

    _places: NDArray[np.int64]
    _is_float: NDArray[np.bool_]

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._layout: Layout | None = None

    def of(self, columns: Mapping[str, Array]) -> Chosen:
        """Of columns of numbers, or of codes and hashes; packed ones just as they are. Raises KeyError."""
        if not isinstance(columns, PackedColumns):
            return self._packed(columns)
        if self._layout is not columns.layout:
            self._places, self._is_float = self.places(columns.layout)
            self._layout = columns.layout
        return columns.words, self._places, self._is_float

    def places(self, layout: Layout) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The rows in packed columns of that layout, and whether they are bits of a float64. Raises KeyError."""
        rows = np.array([layout.place[name] for name in self.names], np.int64)
        return rows, np.array([layout.is_float[name] for name in self.names], np.bool_)

    def _packed(self, columns: Mapping[str, Array]) -> Chosen:
        some = [columns[name] for name in self.names]
        is_float = np.array([np.issubdtype(column.dtype, np.floating) for column in some], np.bool_)
        bits = [
            np.asarray(column, np.float64).view(np.int64) if fraction else np.asarray(column, np.int64)
            for column, fraction in zip(some, is_float.tolist(), strict=True)
        ]
        return np.array(bits, np.int64).reshape(len(bits), -1 if bits else 0), np.arange(len(bits)), is_float
