"""The feature table: what a model sees of an event, one row and one formula each.

Where a formula will not do, a row has a function. It takes all events of a batch at once and must be pure: no clock, no
state, no event looks at another.
What is computed otherwise gets a raised revision, and with it the set gets a new id: a model is only ever served the
features it was trained on.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models import history
from riskstream.models.formula_pass import HISTORY, fill
from riskstream.models.formulas import Formula, Program, program, result
from riskstream.models.history import HistorySpec

Column = NDArray[Any]
Columns = Mapping[str, Column]

_NOTHING = np.empty((0, 1 << 40))
"""No rows, of a batch of any size: what functions make where there are none."""


class Inputs(NamedTuple):
    """What a feature function may read: the events' own columns, their history's columns, their profiles' columns."""

    event: Columns
    history: Columns
    profile: Columns


@dataclass(frozen=True)
class Feature:
    """One row of the table, computed by a formula or by a function."""

    name: str
    description: str
    unit: str
    revision: int
    compute: Formula | Callable[[Inputs], Column]

    @property
    def formula(self) -> Formula:
        """A function's result is a formula too."""
        return self.compute if isinstance(self.compute, Formula) else result(self.compute)

    @property
    def copied(self) -> str | None:
        """The history column that the feature is, unchanged; None if it is anything else."""
        return self.formula.operands[0] if self.formula.operation == HISTORY else None


@dataclass(frozen=True)
class FeatureSet:
    """The features of one domain, in the order the model takes them, over one kind of history."""

    rows: tuple[Feature, ...]
    spec: HistorySpec

    program: Program = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.rows):
            raise ValueError("two features of one name")
        object.__setattr__(self, "program", program([row.formula for row in self.rows], self.spec.columns))

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.rows)

    @cached_property
    def id(self) -> str:
        """Sixteen hex digits that change whenever a vector's meaning does."""
        meaning = {
            # A copied history column is known by its name, everything else by its revision.
            "features": [(row.name, row.revision, row.copied) for row in self.rows],
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
        program = self.program
        event, known = program.event.of(columns), program.profile.of(profile)
        for words, rows, _ in (event, known):
            if len(rows) and words.shape[1] != len(aggregates):
                raise ValueError(f"columns of other lengths than {len(aggregates)}")
        computed = self._computed(columns, aggregates, profile)
        vectors = np.empty((len(aggregates), len(self.rows)), np.float32)
        fill(event, known, computed, aggregates, program.constants, program.steps, program.results, vectors)
        return vectors

    def _computed(self, columns: Columns, aggregates: NDArray[np.float64], profile: Columns) -> NDArray[np.float64]:
        """What functions make of the batch, float64[k, n]."""
        functions = self.program.functions
        if not functions:
            return _NOTHING
        computed = np.empty((len(functions), len(aggregates)))
        inputs = Inputs(columns, _ByName(aggregates, self._places), profile)
        for row, function in enumerate(functions):
            computed[row] = function(inputs)
        return computed

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.spec.columns)}


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
