"""The feature table: what a model sees of an event, one row and one small function each.

A row's function takes all events of a batch at once and must be pure: no clock, no state, no event looks at another.
Rows that are a history column as it is name the column instead of a function; neighbours are copied as one block.
A changed function gets a raised revision, and with it the set gets a new id: a model is only ever served
the features it was trained on.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
import xxhash
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
        inputs = Inputs(columns, dict(zip(self.spec.columns, aggregates.T, strict=True)), profile)
        vectors = np.empty((len(aggregates), len(self.rows)), np.float32)
        for into, source in self._copied:
            vectors[:, into] = aggregates[:, source]
        for index, compute in self._computed:
            vectors[:, index] = compute(inputs)
        # One bit pattern for "missing", so that equal vectors have equal bytes.
        np.copyto(vectors, np.nan, where=np.isnan(vectors))
        return vectors

    @cached_property
    def _copied(self) -> Sequence[tuple[slice, slice]]:
        """Runs of features over runs of history columns; one may span computed features, which are written after."""
        pairs = [(i, self.spec.columns.index(r.compute)) for i, r in enumerate(self.rows) if isinstance(r.compute, str)]
        runs = [list(run) for _, run in groupby(pairs, key=lambda pair: pair[0] - pair[1])]
        return [(slice(run[0][0], run[-1][0] + 1), slice(run[0][1], run[-1][1] + 1)) for run in runs]

    @cached_property
    def _computed(self) -> Sequence[tuple[int, Callable[[Inputs], Column]]]:
        return [(i, row.compute) for i, row in enumerate(self.rows) if not isinstance(row.compute, str)]


def vector_digest(vectors: NDArray[np.float32]) -> list[str]:
    """A short name for each vector's exact bytes: equal names mean bit-equal vectors."""
    data, width = vectors.astype("<f4", copy=False).tobytes(), vectors.shape[1] * 4
    return [xxhash.xxh3_64_hexdigest(data[at : at + width]) for at in range(0, len(data), width)]
