"""What is counted of committed batches, as columns: several small batches in a row are counted as one."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.counting import Events


class Columns(NamedTuple):
    """n records, of which `rows` int64[k] were scored; `event_times`, the codes in `segments` and `events` are of
    these. `refused` has the row and the reason of each dead letter."""

    partitions: NDArray[np.int64]
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    rows: NDArray[np.int64]
    event_times: NDArray[np.int64]
    segments: NDArray[np.int64]
    events: Events
    refused: list[tuple[int, str]]

    def events_of(self, part: slice) -> Events:
        """Of a part of the scored ones."""
        vectors, scores, decisions, degraded, repeated = self.events
        return Events(vectors[part], scores[part], decisions[part], degraded[part], repeated[part])


def joined(parts: Sequence[Columns]) -> Columns:
    """Batches in a row, at least one, as one."""
    if len(parts) == 1:
        return parts[0]
    starts = [0, *accumulate(len(part.offsets) for part in parts[:-1])]

    def column(of: Callable[[Columns], NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([of(part) for part in parts])

    return Columns(
        column(lambda part: part.partitions),
        column(lambda part: part.offsets),
        column(lambda part: part.timestamps),
        np.concatenate([part.rows + start for part, start in zip(parts, starts, strict=True)]),
        column(lambda part: part.event_times),
        column(lambda part: part.segments),
        Events(
            column(lambda part: part.events.vectors),
            column(lambda part: part.events.scores),
            column(lambda part: part.events.decisions),
            column(lambda part: part.events.degraded),
            column(lambda part: part.events.repeated),
        ),
        [(row + start, reason) for part, start in zip(parts, starts, strict=True) for row, reason in part.refused],
    )
