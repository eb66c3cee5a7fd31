"""Stats: what this worker counts of the batches it committed, and the records that tell the sidecar.

Counted is only what was committed, or, at least once, is on its way. A record travels in the transaction of a later
batch, or in one of its own when no batch comes, and is sent again, unchanged, until its transaction was confirmed.
Under load every transaction carries the stats of the batch before it. A worker that dies takes with it what it has
counted and not yet published: the events of `interval_s`, or EVENTS_MOST and one batch, whichever is less. The next
range of the partition then begins after a gap, which the sidecar sees.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.counting import Counting
from riskstream.models.drift.sketch import SketchLayout
from riskstream.models.drift.varint import packed
from riskstream.schemas.decode import field_of
from riskstream.schemas.stats import SlotRefusals, SlotSketch, StatsRecord, encode_stats
from riskstream.workers.counted import Counted, counted
from riskstream.workers.kafka.output import Outgoing
from riskstream.workers.outcome import Answers
from riskstream.workers.settings_sources import PREFIX, SettingsError
from riskstream.workers.working_set import Partition

EVENTS_MOST = 4_096
"""So many counted events are published with the next transaction, whatever the time."""
RECORD_BYTES = 800_000
AT_ONCE, BATCHES_AT_ONCE = 1_024, 32
"""So many records or batches that wait are counted at once: what is done for each count then costs a small batch
little, and the batch that comes next does not wait for many."""
BYTES_A_NUMBER = 4
"""Of a dense sketch, generously, as base64. The sketches that wait may all be of one partition, that is one record."""
SEGMENTS_MOST, OTHER, MISSING = 32, "(other)", "(missing)"


class Segment(NamedTuple):
    """The event field that is counted by, and what reads it from the value of an accepted record."""

    name: str
    of: Callable[[bytes], Any]


@dataclass(frozen=True)
class Target:
    """Where records go, with their largest size, and what they count by: the model's label, slots, a field."""

    topic: str
    model: str
    slot_ms: int
    segment: Segment | None = None
    record_bytes: int = RECORD_BYTES


@dataclass
class _Range:
    """The offsets of one partition that were not sealed yet, and the dead letters among them.

    [first, counted) were counted; those before `next` were absorbed.
    """

    first: int
    counted: int
    next: int
    refused: Counter[tuple[int, str]] = field(default_factory=Counter)


class _Codes(dict[Any, int]):
    """A small number for each value of the segmenting field. Open sets may have many: those after the first share one.

    `names` has the number of each value as it is written; what was looked up after the first ones is not kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, int] = {}

    def __missing__(self, value: Any) -> int:
        name = MISSING if value is None else str(value)
        if name not in self.names and len(self.names) >= SEGMENTS_MOST - 1:
            return self.names.setdefault(OTHER, SEGMENTS_MOST - 1)
        code = self[value] = self.names.setdefault(name, len(self.names))
        return code


class Stats:
    """Used by the loop's thread: `absorb` after a commit, `due` before the next, `confirmed` after that."""

    def __init__(
        self, target: Target, layout: SketchLayout, interval_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._target = target
        self._layout = layout
        self._counting = Counting(layout)
        self._interval_s = interval_s
        self._clock = clock
        self._sealed: list[Outgoing] = []
        self._sealed_at = clock()
        most = max(1, min(target.record_bytes, RECORD_BYTES) // (layout.size * BYTES_A_NUMBER))
        self._counts = np.zeros((most, layout.size), np.int64)
        self._rows: dict[int, int] = {}
        self._segments = _Codes()
        self._waiting: list[Answers] = []
        self._records = 0  # that wait
        self._ranges: dict[int, _Range] = {}
        self._latest: dict[int, int] = {}
        self._events = 0

    def absorb(self, answers: Answers, partitions: Mapping[int, Partition]) -> None:
        """Count a batch whose commit was confirmed, while the partitions' positions are still before it."""
        starts = {n: max(partitions[n].live_from, partitions[n].position) for n in answers.offsets}
        if any(n in self._ranges and self._ranges[n].next != start for n, start in starts.items()):
            self._seal()  # another worker had the partition meanwhile
            self._ranges = {}
        for number, start in starts.items():
            if number not in self._ranges:
                self._ranges[number] = _Range(start, start, start)
            self._ranges[number].next = answers.offsets[number]
        self._waiting.append(answers)
        self._records += len(answers.batch.offsets)
        if self._records >= AT_ONCE or len(self._waiting) >= BATCHES_AT_ONCE:
            self._count()

    def due(self, *, now: bool = False) -> list[Outgoing]:
        """The records to publish with the next transaction; what is `now` counted among them, however little."""
        late = self._clock() - self._sealed_at >= self._interval_s
        if now or late or self._events + self._records >= EVENTS_MOST:
            self._seal()
        return list(self._sealed)

    def confirmed(self, records: Sequence[Outgoing]) -> None:
        """They were published; they need not be sent again."""
        del self._sealed[: len(records)]

    def _segments_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The code of each scored event's segment; `rows` are of all records that wait."""
        if not self._target.segment:
            return np.zeros(len(rows), np.int64)
        values = [*chain.from_iterable(answers.batch.records.values for answers in self._waiting)]
        codes, of = self._segments, self._target.segment.of
        return np.array([codes[of(values[row] or b"")] for row in rows.tolist()], np.int64)

    def _count(self) -> None:
        """Count what waits, as if it were one batch."""
        if not self._waiting:
            return
        whole = counted(self._waiting)
        segments = self._segments_of(whole.rows)
        self._waiting, self._records = [], 0
        slots = whole.event_times // self._target.slot_ms
        keys = (whole.partitions[whole.rows] << 40 | slots) * SEGMENTS_MOST + segments
        self._add(whole, keys, 0, len(whole.offsets))
        for span in self._ranges.values():
            span.counted = span.next

    def _add(self, whole: Counted, keys: NDArray[np.int64], begin: int, end: int) -> None:
        """Count the records [begin, end); in halves, if they are of more slots than fit at once. `keys` int64[k] name
        the partition, slot and segment of each scored one."""
        first, last = np.searchsorted(whole.rows, (begin, end)).tolist()
        distinct, which = np.unique(keys[first:last], return_inverse=True)
        wanted = set(distinct.tolist())
        if self._rows and len(self._rows.keys() | wanted) > len(self._counts):
            self._seal_counted()
        if len(wanted) > len(self._counts):
            middle = int(whole.rows[(first + last) // 2])
            self._add(whole, keys, begin, middle)
            self._note_counted(whole, middle)
            self._add(whole, keys, middle, end)
            return
        rows = self._rows
        for key in wanted - rows.keys():
            rows[key] = len(rows)
        self._counting.add(
            self._counts,
            np.array([rows[key] for key in distinct.tolist()], np.int64)[which],
            whole.events_of(slice(first, last)),
        )
        self._events += len(which)
        self._note_latest(whole, slice(first, last))
        self._add_refused(whole, begin, end)

    def _note_counted(self, whole: Counted, end: int) -> None:
        """What is sealed next goes as far as the records before `end`. Those that were only recovered are no part."""
        for number, offset in zip(whole.partitions[:end].tolist(), whole.offsets[:end].tolist(), strict=True):
            span = self._ranges.get(number)
            if span and span.counted <= offset < span.next:
                span.counted = offset + 1

    def _note_latest(self, whole: Counted, part: slice) -> None:
        """Of the events that were counted, not of those that the next record is to hold: they would seem late.

        A clock that runs ahead must not end windows early: no event is later than its record.
        """
        times, rows = whole.event_times[part], whole.rows[part]
        stamps, numbers = whole.timestamps[rows], whole.partitions[rows]
        times = np.where(stamps >= 0, np.minimum(times, stamps), times)
        latest = np.full(int(numbers.max(initial=-1)) + 1, -1, np.int64)
        np.maximum.at(latest, numbers, times)
        for number in np.flatnonzero(latest >= 0).tolist():
            self._latest[number] = max(int(latest[number]), self._latest.get(number, -1))

    def _add_refused(self, whole: Counted, begin: int, end: int) -> None:
        for row, reason in whole.refused:
            if begin <= row < end:
                slot = max(0, int(whole.timestamps[row])) // self._target.slot_ms
                self._ranges[int(whole.partitions[row])].refused[slot, reason] += 1
                self._events += 1

    def _seal(self) -> None:
        """Turn what was absorbed into records, and begin anew."""
        self._count()
        self._seal_counted()

    def _seal_counted(self) -> None:
        self._sealed_at = self._clock()
        sketches: dict[int, list[SlotSketch]] = {number: [] for number in self._ranges}
        field = self._target.segment.name if self._target.segment else ""
        names = {code: f"{field}={value}" for value, code in self._segments.names.items()}
        for key in sorted(self._rows):
            place, segment = divmod(key, SEGMENTS_MOST)
            slot = (place & (1 << 40) - 1) * self._target.slot_ms
            counts = packed(self._counts[self._rows[key]])
            sketches[place >> 40].append(SlotSketch(slot=slot, segment=names.get(segment, ""), counts=counts))
        for number, span in self._ranges.items():
            if span.counted > span.first:
                self._sealed.append(self._record(number, span, sketches[number]))
        self._counts[: len(self._rows)] = 0
        self._rows, self._events = {}, 0
        self._ranges = {n: _Range(each.counted, each.counted, each.next) for n, each in self._ranges.items()}

    def _record(self, number: int, span: _Range, sketches: Sequence[SlotSketch]) -> Outgoing:
        slot_ms = self._target.slot_ms
        refused = sorted(span.refused.items())
        record = StatsRecord(
            model=self._target.model,
            layout=self._layout.id,
            partition=number,
            first_offset=span.first,
            next_offset=span.counted,
            slot_ms=slot_ms,
            latest=self._latest.get(number),
            sketches=tuple(sketches),
            dead_letters=tuple(SlotRefusals(slot=s * slot_ms, reason=r, count=n) for (s, r), n in refused),
        )
        return self._target.topic, number, None, encode_stats(record), None


def segment_of(event: type[msgspec.Struct], name: str) -> Segment | None:
    """The field to count by; an empty name is none. Raises SettingsError if events cannot be counted by its values."""
    if not name:
        return None
    if name not in event.__struct_fields__:
        raise SettingsError([f"{PREFIX}STATS_SEGMENT: events have no field {name!r}, only {event.__struct_fields__}"])
    if name.endswith("_id") or name in ("event_time", "amount"):
        raise SettingsError(
            [f"{PREFIX}STATS_SEGMENT: {name!r} has too many values, or names a person; take one such as channel"]
        )
    return Segment(name, field_of(event, name))
