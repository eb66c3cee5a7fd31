"""What a user's past says of an event: measured over facts, exactly, and the same however a log was batched.

Every value is a pure function of the event and of the facts before it. The rules, in full:

- **Repeat.** An event whose hash is among its visible facts is an upstream repeat of that fact. A repeat is no fact:
  later events do not see it, and it takes no place in the capacity.
- **Visible** are the last `capacity` facts before the event in offset order. A repeat sees only those of them that lie
  before its original: it is measured as what it was.
- **Counted** are the visible facts whose event time lies in `(t - horizon, t]`, where t is the event's own time. Late
  and early event times need no special case. A window of width w counts those in `(t - w, t]`.

Hence a caller that keeps each user's last `capacity` facts, or more of them, and drops repeats, loses nothing.
"""

from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.history_pass import COMMON, measure

# Part of every feature set's identity: raise it when a rule above, or a column's formula, changes.
REVISION = 1

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HistorySpec:
    """What to measure, as data: the compiled pass is the same for every domain.

    `value` and the second items of `distinct` are positions of words in the fact. The value words must be small enough
    that a sum of `capacity` of them fits 64 bits; sums leave exact as float64 below 2**53. Zero in a distinct word
    means missing: it is never counted.
    """

    windows: tuple[tuple[str, int], ...]
    horizon_ms: int
    capacity: int
    value: int
    distinct: tuple[tuple[str, int], ...]
    distinct_windows: tuple[str, ...]

    def __post_init__(self) -> None:
        widths = [width for _, width in self.windows]
        if widths != sorted(set(widths)) or not widths or not 0 < widths[0] <= widths[-1] <= self.horizon_ms:
            raise ValueError(f"history windows must be positive, ascending and within the horizon, not {self.windows}")
        if self.capacity < 1:
            raise ValueError(f"history capacity must be at least 1, not {self.capacity}")
        unknown = set(self.distinct_windows) - {name for name, _ in self.windows}
        if unknown:
            raise ValueError(f"distinct counts over unknown windows {sorted(unknown)}")

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of `Aggregates.values`, in order."""
        windows = [f"{kind}_{name}" for name, _ in self.windows for kind in ("count", "sum", "mean", "max")]
        distinct = [f"distinct_{word}_{window}" for word, _ in self.distinct for window in self.distinct_windows]
        same = [f"same_{word}" for word, _ in self.distinct]
        return (*windows, *distinct, "since_last_s", "mean", "std", *same)

    @cached_property
    def program(self) -> tuple[NDArray[np.uint64], Ints, Ints, int]:
        """The specification as the compiled pass takes it."""
        names = [name for name, _ in self.windows]
        shown = sorted((names.index(name), place) for place, name in enumerate(self.distinct_windows))
        return (
            np.array([*(width for _, width in self.windows), self.horizon_ms], np.uint64),
            np.array(shown, np.int64).reshape(-1, 2),
            np.array([*COMMON, self.value, *(word for _, word in self.distinct)], np.int64),
            self.capacity,
        )


_ALONE = np.zeros(1, np.int64)
"""The order of one event. A batch often is, and sorting would be the first of that code that it runs."""


class Aggregates(msgspec.Struct, frozen=True):
    """Per event: the history columns, the row of the fact that it repeats, -1 if it is new, and whether it does."""

    values: Floats
    original: Ints
    repeated: NDArray[np.bool_]


def aggregate(spec: HistorySpec, facts: Ints, first: Ints, position: Ints) -> Aggregates:
    """Measure the history of n events over the flat rows `facts`.

    The rows of one user follow each other: the stored facts in offset order, none of them a repeat, then the facts of
    the batch's events in offset order. Event k is the row `position[k]`, its own; its past are the rows from
    `first[k]`, which all events of the user share, up to it. The events may come in any order, and the answer is in
    theirs. Raises ValueError for places outside the facts.
    """
    if len(first) != len(position):
        raise ValueError(f"{len(first)} firsts for {len(position)} positions")
    count = len(position)
    values = np.empty((count, len(spec.columns)))
    original, repeated = np.empty(count, np.int64), np.empty(count, np.bool_)
    order = position.argsort() if count > 1 else _ALONE[:count]
    measure(facts, first, position, order, *spec.program, values, original, repeated)
    return Aggregates(values, original, repeated)
