"""Columns: what is computed with, an array for each thing that is known of events. A domain has a table of them.

A row of the table names an event field and says what becomes of it. The rows are converted here, from values, and in
`column_fill`, from bytes; both give the same bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

Array = NDArray[Any]


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

    def of(self, fields: Mapping[str, Sequence[Any]]) -> dict[str, Array]:
        """The same from a sequence for each event field, None where an event lacks it."""
        return {name: row.of(fields[row.field]) for name, row in self.rows.items()}
