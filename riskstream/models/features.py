"""The feature table: what a model sees of an event, one row and one small function each.

A row's function takes all events of a batch at once and must be pure: no clock, no state, no event looks at another.
Rows that are a history column as it is name the column instead of a function; they are copied.
A changed function gets a raised revision, and with it the set gets a new id: a model is only ever served
the features it was trained on.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import msgspec
import numpy as np
import xxhash
from numba import njit, types
from numpy.typing import NDArray

from riskstream.models import history
from riskstream.models.history import HistorySpec

Column = NDArray[Any]
Columns = Mapping[str, Column]


@dataclass(frozen=True)
class Inputs:
    """What a feature function may read: the events' own columns, their history's columns, their profiles' columns."""

    event: Columns
    history: Columns
    profile: Columns


@dataclass(frozen=True)
class Feature:
    """One row of the table. `compute` is a function, or the name of a history column to be copied."""

    name: str
    description: str
    unit: str
    revision: int
    compute: str | Callable[[Inputs], Column]


@dataclass(frozen=True)
class FeatureSet:
    """The features of one domain, in the order the model takes them, over one kind of history."""

    rows: tuple[Feature, ...]
    spec: HistorySpec

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.rows):
            raise ValueError("two features of one name")
        unknown = {row.compute for row in self.rows if isinstance(row.compute, str)} - set(self.spec.columns)
        if unknown:
            raise ValueError(f"features over unknown history columns {sorted(unknown)}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.rows)

    @cached_property
    def id(self) -> str:
        """Sixteen hex digits that change whenever a vector's meaning does."""
        meaning = {
            # A function is known by its revision; a copied column by its name.
            "features": [(r.name, r.revision, r.compute if isinstance(r.compute, str) else None) for r in self.rows],
            "history": history.REVISION,
            "windows": self.spec.windows,
            "horizon_ms": self.spec.horizon_ms,
            "capacity": self.spec.capacity,
            "value": self.spec.value,
            "distinct": self.spec.distinct,
            "distinct_windows": self.spec.distinct_windows,
        }
        return hashlib.sha256(msgspec.json.encode(meaning, order="sorted")).hexdigest()[:16]

    def assemble(self, columns: Columns, aggregates: NDArray[np.float64], profile: Columns) -> NDArray[np.float32]:
        """The feature vectors of a batch, a row per event, C-contiguous; what is missing is NaN, always the same NaN.

        `aggregates` are `history.aggregate(spec, ...).values`; each number is rounded to float32 once, here.
        """
        if aggregates.shape[1] != len(self._places):  # compiled code does not check indexes
            raise ValueError(f"{aggregates.shape[1]} history columns, not {len(self._places)}")
        inputs = Inputs(columns, _ByName(aggregates, self._places), profile)
        computed = np.empty((len(self._computed), len(aggregates)), np.float32)
        for index, compute in enumerate(self._computed):
            computed[index] = compute(inputs)
        vectors = np.empty((len(aggregates), len(self.rows)), np.float32)
        _fill(vectors, aggregates, computed, self._sources)
        return vectors

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.spec.columns)}

    @cached_property
    def _computed(self) -> Sequence[Callable[[Inputs], Column]]:
        return [row.compute for row in self.rows if not isinstance(row.compute, str)]

    @cached_property
    def _sources(self) -> NDArray[np.int64]:
        """Where each feature comes from, as `_fill` takes it."""
        number = count(1)
        return np.array([self._places[r.compute] if isinstance(r.compute, str) else -next(number) for r in self.rows])


class _ByName(Mapping[str, Column]):
    """The columns of an array by name, none of which is made before it is asked for."""

    def __init__(self, values: NDArray[np.float64], places: Mapping[str, int]) -> None:
        self._values, self._places = values, places

    def __getitem__(self, name: str) -> Column:
        return self._values[:, self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@njit(
    types.void(
        types.float32[:, ::1],
        types.Array(types.float64, 2, "A", readonly=True),
        types.Array(types.float32, 2, "C", readonly=True),
        types.Array(types.int64, 1, "C", readonly=True),
    ),
    cache=True,
    nogil=True,
)
def _fill(vectors, aggregates, computed, sources):  # type: ignore[no-untyped-def]
    """A source is a column of `aggregates`; one below zero is a row of `computed`, -1 the first."""
    for row in range(len(vectors)):
        vector = vectors[row]
        for column in range(len(sources)):
            source = sources[column]
            value = np.float32(aggregates[row, source]) if source >= 0 else computed[-1 - source, row]
            # One bit pattern for "missing", so that equal vectors have equal bytes.
            vector[column] = np.float32(np.nan) if np.isnan(value) else value


def vector_digest(vectors: NDArray[np.float32]) -> list[str]:
    """A short name for each vector's exact bytes: equal names mean bit-equal vectors."""
    data, width = vectors.astype("<f4", copy=False).tobytes(), vectors.shape[1] * 4
    return [xxhash.xxh3_64_hexdigest(data[at : at + width]) for at in range(0, len(data), width)]
