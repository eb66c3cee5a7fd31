"""Windows of event time, summed from what workers counted. Pure: records go in, closed windows come out.

Time is cut into steps, the largest that all windows are made of; a cell sums what happened in one step to one model.
A step of a partition is over once the partition's event time has passed its end by the allowed lateness; what comes
for it later is late, counted as such, and in no window. That depends on nothing but the order of the partition's own
records, so a window holds the same however the records of several partitions came in between each other, and however
often the sidecar was killed. A window closes when it is over in all partitions but those that are silent, which have
nothing to say, and those that no worker has come forward in for long: what waits there it tells as unseen.

Memory: cells of models x steps of the longest window x (segments + partitions) vectors of counts, 6 kB each with the
payment features; MODELS_MOST and SEGMENTS_MOST bound what topics could make of it.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.sketch import Sketch, SketchError, SketchLayout
from riskstream.models.drift.window import Window
from riskstream.schemas.stats import StatsRecord
from riskstream.workers.drift.progress import Mark, Progress
from riskstream.workers.settings_drift import WindowKind

MODELS_MOST, SEGMENTS_MOST, OTHER = 8, 64, "(other)"

Counts = NDArray[np.int64]
LayoutOf = Callable[[str, str], SketchLayout | None]


@dataclass(frozen=True)
class Rules:
    """Which windows there are, how late an event may be, and for how long a partition is waited for that brings
    nothing: `idle_s` if nothing came to it, `behind_s` if it holds events that no worker has scored."""

    kinds: Sequence[WindowKind]
    lateness_ms: int
    idle_s: float
    behind_s: float

    @property
    def step_ms(self) -> int:
        return math.gcd(*(kind.step_ms for kind in self.kinds))

    @property
    def longest_ms(self) -> int:
        return max(kind.length_ms for kind in self.kinds)


class Checkpoint(msgspec.Struct, frozen=True):
    """All that must outlive the process, besides the stats themselves: windows that end by `closed_until` are closed.

    `marks` by partition: where to read again what the open windows are made of.
    """

    closed_until: int = 0
    marks: dict[int, Mark] = {}


@dataclass
class _Cell:
    layout: SketchLayout
    segments: dict[str, Counts] = field(default_factory=dict)
    partitions: dict[int, Counts] = field(default_factory=dict)
    dead_letters: Counter[str] = field(default_factory=Counter)

    def add(self, segment: str, partition: int, counts: Counts) -> None:
        if segment not in self.segments and len(self.segments) >= SEGMENTS_MOST:
            segment = OTHER
        _sum(self.segments, segment, counts)
        _sum(self.partitions, partition, counts)


def _sum(into: dict[str, Counts] | dict[int, Counts], key: str | int, counts: Counts) -> None:
    sums: dict[str | int, Counts] = into  # type: ignore[assignment]
    if key in sums:
        sums[key] += counts
    else:
        sums[key] = counts.copy()


class Windows:
    """What is open now. `tally` counts what became of records and events, for the metrics."""

    def __init__(self, rules: Rules, layout_of: LayoutOf, checkpoint: Checkpoint) -> None:
        """`layout_of(model, id)` is the layout of that id, None if the model is unknown or has another one."""
        self._rules = rules
        self._layout_of = layout_of
        self.closed_until = checkpoint.closed_until
        self.partitions = {number: Progress.of(mark) for number, mark in checkpoint.marks.items()}
        self._cells: dict[tuple[int, str], _Cell] = {}
        self._marks: dict[tuple[int, int], Mark] = {}
        self._models: set[str] = set()
        self._latest: dict[int, int | None] = {}
        self.tally: Counter[str] = Counter()

    def own(self, numbers: Sequence[int]) -> None:
        """These partitions there are; windows wait for all of them."""
        for number in numbers:
            self.partitions.setdefault(number, Progress())

    def merge(self, record: StatsRecord, at: int) -> None:
        """Add what a record counts, unless its offsets were counted before. `at` is its own offset in the topic."""
        progress = self.partitions.setdefault(record.partition, Progress())
        progress.at = at
        mark = progress.mark
        kind = progress.take(record.first_offset, record.next_offset, record.latest)
        self.tally[kind] += 1
        if kind == "new":
            self._add(record, mark)

    def _add(self, record: StatsRecord, mark: Mark) -> None:
        layout = self._known_layout(record)
        for sketch in record.sketches:
            counts = _counts(layout, sketch.counts) if layout else None
            if layout is None or counts is None:
                self.tally["unreadable"] += 1
            elif cell := self._cell((record.partition, sketch.slot, record.model), mark, layout, int(counts[0])):
                cell.add(sketch.segment, record.partition, counts)
                self.tally["events"] += int(counts[0])
        for refused in record.dead_letters:
            place = record.partition, refused.slot, record.model
            if layout and (cell := self._cell(place, mark, layout, refused.count)):
                cell.dead_letters[refused.reason] += refused.count
                self.tally["dead_letters"] += refused.count

    def _known_layout(self, record: StatsRecord) -> SketchLayout | None:
        if record.model not in self._models and len(self._models) >= MODELS_MOST:
            return None
        if self._rules.step_ms % record.slot_ms:  # its slots are in no single step
            return None
        layout = self._layout_of(record.model, record.layout)
        if layout:
            self._models.add(record.model)
        return layout

    def _cell(self, place: tuple[int, int, str], mark: Mark, layout: SketchLayout, events: int) -> _Cell | None:
        """Where to count what happened in a partition, a slot, to a model; None if that is over."""
        number, slot, model = place
        step = slot // self._rules.step_ms * self._rules.step_ms
        end = step + self._rules.step_ms
        if mark.latest is not None and mark.latest >= end + self._rules.lateness_ms:
            self.tally["late"] += events
            return None
        if step + self._rules.longest_ms <= self.closed_until:
            return None  # in no open window; mostly it was counted before a restart, and is read again
        self._marks.setdefault((number, step), mark)
        return self._cells.setdefault((step, model), _Cell(layout))

    def still(self, numbers: Iterable[int]) -> dict[int, int | None]:
        """Of these partitions those whose event time has not moved since this was asked last, each with the offset up
        to which it is counted."""
        before, self._latest = self._latest, {number: p.latest for number, p in self.partitions.items()}
        return {n: self.partitions[n].next for n in numbers if self._latest[n] == before.get(n)}

    @property
    def passed_over(self) -> set[int]:
        """The partitions that windows do not wait for."""
        idle_s, behind_s = self._rules.idle_s, self._rules.behind_s
        return {n for n, p in self.partitions.items() if p.silent_s >= idle_s or p.behind_s >= behind_s}

    def watermark(self, now_ms: int) -> int:
        """The event time that all partitions have passed but those that are passed over.

        When all are, it is that of the clock, yet no later than it takes to close what is open: of a log that is
        read long after it was written, more may come.
        """
        if awaited := self.partitions.keys() - self.passed_over:
            return min(-1 if (latest := self.partitions[number].latest) is None else latest for number in awaited)
        last = max((begin for begin, _ in self._cells), default=-1) + self._rules.step_ms
        return min(now_ms, last + self._rules.lateness_ms)

    def close(self, now_ms: int) -> list[Window]:
        """Windows that are over, in the order of their ends, shorter ones first. They are not open any more."""
        step = self._rules.step_ms
        until = (self.watermark(now_ms) - self._rules.lateness_ms) // step * step
        if until <= self.closed_until:
            return []
        closed = [
            window
            for end, kind in sorted(self._ends(until), key=lambda pair: (pair[0], pair[1].length_ms))
            for window in self._summed(end - kind.length_ms, end)
        ]
        self.closed_until = until
        self._forget()
        return closed

    def _ends(self, until: int) -> set[tuple[int, WindowKind]]:
        """The windows that end after what is closed, up to `until`, and hold a cell."""
        found = set()
        for begin in {begin for begin, _ in self._cells}:
            for kind in self._rules.kinds:
                first = max(begin + self._rules.step_ms, self.closed_until + 1)
                first = -(-first // kind.step_ms) * kind.step_ms
                last = min(begin + kind.length_ms, until)
                found |= {(end, kind) for end in range(first, last + 1, kind.step_ms)}
        return found

    def _summed(self, start: int, end: int) -> Iterator[Window]:
        by_model: dict[str, list[_Cell]] = defaultdict(list)
        for (begin, model), cell in sorted(self._cells.items(), key=lambda item: item[0]):
            if start <= begin < end:
                by_model[model].append(cell)
        reached = [p.latest is not None and p.latest >= end for p in self.partitions.values()]
        unseen = {number: lost for number, p in sorted(self.partitions.items()) if (lost := p.unseen(start, end))}
        for model, cells in sorted(by_model.items()):
            layout = cells[-1].layout
            alike = [cell for cell in cells if cell.layout.id == layout.id]
            partitions = _together(layout, [cell.partitions for cell in alike])
            segments = _together(layout, [cell.segments for cell in alike])
            yield Window(
                model,
                start,
                end,
                Sketch(layout, sum((sketch.counts for sketch in partitions.values()), np.zeros(layout.size, np.int64))),
                {name: sketch for name, sketch in segments.items() if name},
                partitions,
                dict(sorted(sum((cell.dead_letters for cell in alike), Counter()).items())),
                sum(reached) / len(reached),
                unseen,
            )

    def _forget(self) -> None:
        """What is in no window that is still to close."""
        oldest = self.closed_until - self._rules.longest_ms
        self._cells = {key: cell for key, cell in self._cells.items() if key[0] > oldest}
        self._marks = {key: mark for key, mark in self._marks.items() if key[1] > oldest}
        for progress in self.partitions.values():
            progress.forget_gaps(oldest)

    def checkpoint(self) -> Checkpoint:
        """As it is now: records before the marks are in closed windows only."""
        marks = {number: progress.mark for number, progress in self.partitions.items()}
        for (number, _), mark in self._marks.items():
            if mark.at < marks[number].at:
                marks[number] = mark
        return Checkpoint(self.closed_until, dict(sorted(marks.items())))

    @property
    def cells(self) -> int:
        return len(self._cells)


def _counts(layout: SketchLayout, data: bytes) -> Counts | None:
    try:
        return Sketch.decode(layout, data).counts
    except SketchError:
        return None


def _together(layout: SketchLayout, parts: Sequence[Mapping]) -> dict:  # type: ignore[type-arg]
    """The sums of each key's counts, in the order of the keys."""
    sums: dict[object, Counts] = {}
    for part in parts:
        for key, counts in part.items():
            sums[key] = sums[key] + counts if key in sums else counts
    return {key: Sketch(layout, sums[key]) for key in sorted(sums)}  # type: ignore[type-var]
