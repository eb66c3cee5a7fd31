"""Stats: what this worker counts of the batches it committed, and the records that tell the sidecar.

Counted is only what was committed. A record travels in the transaction of a later batch, or in one of its own when no
batch comes, and is sent again, unchanged, until its transaction was confirmed. Under load every transaction carries
the stats of the batch before it. A worker that dies takes with it what it has counted and not yet published: the
events of `interval_s`, or EVENTS_MOST and one batch, whichever is less. The next range of the partition then begins
after a gap, which the sidecar sees.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.counting import Counting, Events
from riskstream.models.drift.sketch import SketchLayout
from riskstream.models.drift.varint import packed
from riskstream.schemas.decode import field_of
from riskstream.schemas.stats import SlotRefusals, SlotSketch, StatsRecord, encode_stats
from riskstream.workers.kafka.output import Outgoing
from riskstream.workers.scoring import Outcome
from riskstream.workers.settings_sources import PREFIX, SettingsError
from riskstream.workers.working_set import Partition

EVENTS_MOST = 4_096
"""So many counted events are published with the next transaction, whatever the time."""
RECORD_BYTES = 800_000
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
    """The offsets of one partition that were counted and not sealed yet, and the dead letters among them."""

    first: int
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
        self._ranges: dict[int, _Range] = {}
        self._latest: dict[int, int] = {}
        self._events = 0

    def absorb(self, outcome: Outcome, partitions: Mapping[int, Partition]) -> None:
        """Count a batch whose commit was confirmed, while the partitions' positions are still before it."""
        starts = {n: max(partitions[n].live_from, partitions[n].position) for n in outcome.offsets}
        if any(n in self._ranges and self._ranges[n].next != start for n, start in starts.items()):
            self._seal()  # another worker had the partition meanwhile
            self._ranges = {}
        for number, start in starts.items():
            self._ranges.setdefault(number, _Range(start, start))
        self._add(outcome, self._keys(outcome), 0, len(outcome.batch.messages))
        for number, offset in outcome.offsets.items():
            self._ranges[number].next = offset

    def due(self, *, now: bool = False) -> list[Outgoing]:
        """The records to publish with the next transaction; what is `now` counted among them, however little."""
        late = self._clock() - self._sealed_at >= self._interval_s
        if now or late or self._events >= EVENTS_MOST:
            self._seal()
        return list(self._sealed)

    def confirmed(self, records: Sequence[Outgoing]) -> None:
        """They were published; they need not be sent again."""
        del self._sealed[: len(records)]

    def _keys(self, outcome: Outcome) -> NDArray[np.int64]:
        """A number for each scored event that names its partition, slot and segment."""
        decoded, scored = outcome.decoded, outcome.scored
        slots = outcome.joined.columns["event_time"][scored.rows] // self._target.slot_ms
        numbers = np.array(outcome.batch.partitions, np.int64)[decoded.rows[scored.rows]]
        keys = (numbers << 40 | slots) * SEGMENTS_MOST
        if self._target.segment:
            values, codes, of = outcome.batch.records.values, self._segments, self._target.segment.of
            keys += [codes[of(values[index] or b"")] for index in decoded.rows[scored.rows].tolist()]
        return np.asarray(keys)

    def _add(self, outcome: Outcome, keys: NDArray[np.int64], begin: int, end: int) -> None:
        """Count the messages [begin, end) of the batch; in halves, if they are of more slots than fit at once."""
        indexes = outcome.decoded.rows[outcome.scored.rows]
        first, last = np.searchsorted(indexes, (begin, end)).tolist()
        distinct, which = np.unique(keys[first:last], return_inverse=True)
        wanted = set(distinct.tolist())
        if self._rows and len(self._rows.keys() | wanted) > len(self._counts):
            self._seal()
        if len(wanted) > len(self._counts):
            middle = int(indexes[(first + last) // 2])
            self._add(outcome, keys, begin, middle)
            for number, offset in zip(outcome.batch.partitions[:middle], outcome.batch.offsets[:middle], strict=True):
                if number in outcome.offsets:
                    self._ranges[number].next = max(self._ranges[number].next, offset + 1)
            self._add(outcome, keys, middle, end)
            return
        rows = self._rows
        for key in wanted - rows.keys():
            rows[key] = len(rows)
        events = _events(outcome, slice(first, last))
        self._counting.add(self._counts, np.array([rows[key] for key in distinct.tolist()], np.int64)[which], events)
        self._events += len(which)
        self._note_latest(outcome, slice(first, last), keys[first:last] // SEGMENTS_MOST >> 40)
        self._add_refused(outcome, begin, end)

    def _note_latest(self, outcome: Outcome, part: slice, numbers: NDArray[np.int64]) -> None:
        """Of the events that were counted, not of those that the next record is to hold: they would seem late.

        A clock that runs ahead must not end windows early: no event is later than its record.
        """
        batch, rows = outcome.batch, outcome.scored.rows[part]
        times = outcome.joined.columns["event_time"][rows]
        stamps = np.array(batch.records.timestamps, np.int64)[outcome.decoded.rows[rows]]
        times = np.where(stamps >= 0, np.minimum(times, stamps), times)
        latest = np.full(max(batch.partitions) + 1, -1, np.int64)
        np.maximum.at(latest, numbers, times)
        for number in outcome.offsets:
            if latest[number] > self._latest.get(number, -1):
                self._latest[number] = int(latest[number])

    def _add_refused(self, outcome: Outcome, begin: int, end: int) -> None:
        for index, rejection in outcome.refused.items():
            if begin <= index < end:
                slot = max(0, outcome.batch.records.timestamps[index]) // self._target.slot_ms
                self._ranges[outcome.batch.partitions[index]].refused[slot, rejection.reason] += 1
                self._events += 1

    def _seal(self) -> None:
        """Turn what was counted into records, and begin anew."""
        self._sealed_at = self._clock()
        sketches: dict[int, list[SlotSketch]] = {number: [] for number in self._ranges}
        field = self._target.segment.name if self._target.segment else ""
        names = {code: f"{field}={value}" for value, code in self._segments.names.items()}
        for key in sorted(self._rows):
            place, segment = divmod(key, SEGMENTS_MOST)
            slot = (place & (1 << 40) - 1) * self._target.slot_ms
            counts = packed(self._counts[self._rows[key]])
            sketches[place >> 40].append(SlotSketch(slot=slot, segment=names.get(segment, ""), counts=counts))
        for number, counted in self._ranges.items():
            if counted.next > counted.first:
                self._sealed.append(self._record(number, counted, sketches[number]))
        self._counts[: len(self._rows)] = 0
        self._rows, self._events = {}, 0
        self._ranges = {number: _Range(counted.next, counted.next) for number, counted in self._ranges.items()}

    def _record(self, number: int, counted: _Range, sketches: Sequence[SlotSketch]) -> Outgoing:
        slot_ms = self._target.slot_ms
        refused = sorted(counted.refused.items())
        record = StatsRecord(
            model=self._target.model,
            layout=self._layout.id,
            partition=number,
            first_offset=counted.first,
            next_offset=counted.next,
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


def _events(outcome: Outcome, part: slice) -> Events:
    """The scored events of a part of the batch."""
    scored = outcome.scored
    return Events(
        scored.vectors[part],
        scored.scores[part],
        scored.decisions[part],
        outcome.joined.degraded[scored.rows[part]],
        scored.repeated[part],
    )
