"""What is counted of answered batches, as columns: several in a row are counted as one."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.counting import Events
from riskstream.workers.fast_path import Computed
from riskstream.workers.outcome import Answers

Floats = NDArray[np.float64]


class Counted(NamedTuple):
    """n records, of which `rows` int64[k] were scored; `event_times` and `events` are of these.

    `refused` has the row and the reason of each dead letter. Of the events that were accepted, `hits` had their user in
    memory and `misses` had not. `fast` batches took the fast path; `seconds` has for each stage how long it took the
    batches that went through it.
    """

    partitions: NDArray[np.int64]
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    rows: NDArray[np.int64]
    event_times: NDArray[np.int64]
    events: Events
    refused: list[tuple[int, str]]
    hits: int
    misses: int
    fast: int
    seconds: Mapping[str, Floats]

    def events_of(self, part: slice) -> Events:
        """Of a part of the scored ones."""
        vectors, scores, decisions, degraded, repeated = self.events
        return Events(vectors[part], scores[part], decisions[part], degraded[part], repeated[part])


def counted(answers: Sequence[Answers]) -> Counted:
    """Of batches in a row, at least one."""
    parts: list[Counted] = []
    for arena, group in groupby(answers, _arena):
        run = list(group)
        parts += map(_one, run) if arena is None else [_fast(run)]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _arena(answers: Answers) -> int | None:
    """Batches of one are told together."""
    return id(answers.work.arena) if isinstance(answers.work, Computed) else None


def _one(answers: Answers) -> Counted:
    outcome = answers.outcome()
    batch, scored, joined = outcome.batch, outcome.scored, outcome.joined
    degraded = joined.degraded[scored.rows]
    return Counted(
        batch.partition_array,
        batch.offset_array,
        batch.timestamp_array,
        outcome.decoded.rows[scored.rows],
        joined.columns["event_time"][scored.rows],
        Events(scored.vectors, scored.scores, scored.decisions, degraded, scored.repeated),
        [(row, rejection.reason) for row, rejection in outcome.refused.items()],
        len(joined.degraded) - joined.misses,
        joined.misses,
        0,
        _between({stage: np.array([at]) for stage, at in outcome.ended.items()}),
    )


def _fast(run: Sequence[Answers]) -> Counted:
    """Of batches in one arena: each record was scored."""
    works = cast("list[Computed]", [answers.work for answers in run])
    found = works[0].path.collected(works)
    partitions, offsets, timestamps = found.places
    count = len(offsets)
    ended = {
        "consume": np.array([answers.began for answers in run]),
        **found.ended,
        "publish": np.array([answers.ended for answers in run]),
    }
    if run[0].committed is not None:
        ended["commit"] = np.array([answers.committed for answers in run], np.float64)
    rows, seconds, misses = np.arange(count), _between(ended), sum(work.misses for work in works)
    return Counted(
        partitions, offsets, timestamps, rows, found.event_times, found.events, [], count - misses, misses, len(run),
        seconds,
    )  # fmt: skip


def _between(ended: Mapping[str, Floats]) -> dict[str, Floats]:
    """What lies between when one stage ended and the next did; the first is where it began."""
    return {stage: end - begin for (_, begin), (stage, end) in pairwise(ended.items())}


def _joined(parts: Sequence[Counted]) -> Counted:
    starts = [0, *accumulate(len(part.offsets) for part in parts[:-1])]

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    stages = dict.fromkeys(stage for part in parts for stage in part.seconds)
    return Counted(
        column("partitions"),
        column("offsets"),
        column("timestamps"),
        np.concatenate([part.rows + start for part, start in zip(parts, starts, strict=True)]),
        column("event_times"),
        Events(*map(np.concatenate, zip(*(part.events for part in parts), strict=True))),
        [(row + start, reason) for part, start in zip(parts, starts, strict=True) for row, reason in part.refused],
        sum(part.hits for part in parts),
        sum(part.misses for part in parts),
        sum(part.fast for part in parts),
        {s: np.concatenate([part.seconds[s] for part in parts if s in part.seconds]) for s in stages},
    )
