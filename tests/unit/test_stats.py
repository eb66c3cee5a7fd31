"""What a worker counts and tells: contiguous ranges of what was committed, however it was batched or handed over."""

import weakref
from collections import Counter
from types import SimpleNamespace as Stub
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskstream.schemas.dead_letter import Rejection
from riskstream.schemas.decode import Records
from riskstream.schemas.payment import Payment
from riskstream.schemas.stats import StatsRecord, decode_stats
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.settings_sources import SettingsError
from riskstream.workers.stats import AT_ONCE, BATCHES_AT_ONCE, EVENTS_MOST, SEGMENTS_MOST, Stats, Target, segment_of
from tests.support.stats import gaps, summed, told
from tests.unit.test_sketch import LAYOUT

MINUTE = 60_000
T0 = 1_760_000_000_000 // MINUTE * MINUTE


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def owned() -> dict[int, Any]:
    """Partitions as the working set has them."""
    return {number: Stub(live_from=0, position=0) for number in (0, 1)}


@pytest.fixture
def stats(clock: Clock) -> Stats:
    return Stats(Target("stats", "m@1.0.0", MINUTE, segment_of(Payment, "channel")), LAYOUT, 1.0, clock)


def outcome(first: int, after: int, partition: int = 0, **more: Any) -> Any:
    """The offsets [first, after) of a partition: a payment a second, every tenth of which is a dead letter. Before them
    come the `recovered` records of other partitions, by their place: they are read again and not scored."""
    places = [*more.get("recovered", ()), *((partition, offset) for offset in range(first, after))]
    live = np.arange(len(places) - (after - first), len(places))
    offsets = first + live - live[0]
    refused = {int(row): Rejection("not_json", "", "") for row in live[offsets % 10 == 9]}
    good, events = live[offsets % 10 != 9], offsets[offsets % 10 != 9]
    stamps = [more.get("stamp", T0 + MINUTE) + offset * more.get("stamp_pace_ms", 0) for _, offset in places]
    taken = Records(
        [b"u"] * len(places), [b'{"user_id":"u","channel":"%b"}' % more.get("channel", b"web")] * len(places), stamps
    )
    told = Stub(
        batch=Batch.of_columns(
            "in", [], [number for number, _ in places], [offset for _, offset in places], taken, None
        ),
        decoded=Stub(rows=good),
        joined=Stub(
            columns={"event_time": T0 + events * more.get("pace_ms", 1_000)},
            degraded=(events % 4).astype(np.uint8),
            misses=0,
        ),
        scored=Stub(
            rows=np.arange(len(good)),
            vectors=np.stack([events % 3, events % 5], axis=1).astype(np.float32),
            scores=events % 11 / 11,
            decisions=(events % 3).astype(np.uint8),
            repeated=events % 7 == 0,
        ),
        refused=refused,
        offsets={partition: after},
        ended={},
    )
    return Stub(batch=told.batch, offsets=told.offsets, work=None, outcome=lambda: told)


def records(stats: Stats, *, now: bool = True) -> list[StatsRecord]:
    outgoing = stats.due(now=now)
    stats.confirmed(outgoing)
    return [decode_stats(value or b"") for _, _, _, value, _ in outgoing]


def ranges(found: list[StatsRecord]) -> list[tuple[int, int, int]]:
    return [(record.partition, record.first_offset, record.next_offset) for record in found]


def refusals(found: list[StatsRecord]) -> Counter[tuple[int, int, str]]:
    total: Counter[tuple[int, int, str]] = Counter()
    for record in found:
        for letters in record.dead_letters:
            total[record.partition, letters.slot, letters.reason] += letters.count
    return total


def test_a_record_tells_of_all_that_was_absorbed(stats: Stats, owned: dict[int, Any]) -> None:
    stats.absorb(outcome(0, 100), owned)
    (found,) = records(stats)
    assert (found.model, found.first_offset, found.next_offset) == ("m@1.0.0", 0, 100)
    assert [letters.count for letters in found.dead_letters] == [10]
    assert summed(LAYOUT, [found], segment="channel=web").events == 90
    assert [sketch.slot for sketch in found.sketches] == [T0, T0 + MINUTE]


def test_the_event_time_of_a_clock_that_runs_ahead_is_not_believed(stats: Stats, owned: dict[int, Any]) -> None:
    stats.absorb(outcome(0, 100), owned)
    assert records(stats)[0].latest == T0 + MINUTE


def test_nothing_is_due_before_the_interval_or_enough_events(stats: Stats, clock: Clock, owned: dict[int, Any]) -> None:
    stats.absorb(outcome(0, 100), owned)
    assert records(stats, now=False) == []
    clock.now = 1.0
    assert ranges(records(stats, now=False)) == [(0, 0, 100)]
    owned[0].position = 100
    stats.absorb(outcome(100, 100 + EVENTS_MOST, pace_ms=1), owned)
    assert ranges(records(stats, now=False)) == [(0, 100, 100 + EVENTS_MOST)]


def test_small_batches_are_due_once_they_are_enough_together(stats: Stats, owned: dict[int, Any]) -> None:
    for first in range(0, EVENTS_MOST, 200):
        assert records(stats, now=False) == []
        owned[0].position = first
        stats.absorb(outcome(first, first + 200, pace_ms=1), owned)
    assert told(records(stats, now=False)) >= EVENTS_MOST


@pytest.mark.parametrize(("batches", "events"), [(BATCHES_AT_ONCE, 1), (2, AT_ONCE // 2)])
def test_what_waits_to_be_counted_is_bounded(stats: Stats, owned: dict[int, Any], batches: int, events: int) -> None:
    first = outcome(0, events)
    kept = weakref.ref(first.outcome().scored.vectors)
    stats.absorb(first, owned)
    del first
    for number in range(1, batches):
        assert kept() is not None
        owned[0].position = number * events
        stats.absorb(outcome(number * events, (number + 1) * events), owned)
    assert kept() is None


def test_what_is_not_confirmed_comes_again_unchanged(stats: Stats, owned: dict[int, Any]) -> None:
    stats.absorb(outcome(0, 50), owned)
    first = stats.due(now=True)
    owned[0].position = 50
    stats.absorb(outcome(50, 70), owned)
    again = stats.due(now=True)
    assert again[: len(first)] == first
    stats.confirmed(again)
    assert stats.due(now=True) == []


def test_a_partition_that_comes_back_later_begins_a_new_range(stats: Stats, owned: dict[int, Any]) -> None:
    stats.absorb(outcome(0, 50), owned)
    owned[0].live_from = 80
    stats.absorb(outcome(80, 90), owned)
    assert ranges(records(stats)) == [(0, 0, 50), (0, 80, 90)]


def test_events_of_more_slots_than_fit_are_told_in_several_records(owned: dict[int, Any]) -> None:
    """A log that is read long after it was written: every event has a minute of its own."""
    tight = Stats(Target("stats", "m@1.0.0", MINUTE, record_bytes=20 * LAYOUT.size * 4), LAYOUT, 1.0, Clock())
    tight.absorb(outcome(0, 300, pace_ms=MINUTE), owned)
    found = records(tight)
    assert all(len(record.sketches) <= 20 for record in found)
    ends = [record.next_offset for record in found]
    assert [record.first_offset for record in found] == [0, *ends[:-1]]
    assert (ends[-1], told(found)) == (300, 300)


def test_no_record_says_that_time_has_come_further_than_its_own_events(owned: dict[int, Any]) -> None:
    """Else the events of the next record would be late, though nothing was late in the log."""
    tight = Stats(Target("stats", "m@1.0.0", MINUTE, record_bytes=20 * LAYOUT.size * 4), LAYOUT, 1.0, Clock())
    tight.absorb(outcome(0, 300, pace_ms=MINUTE, stamp=T0 + 400 * MINUTE), owned)
    found = records(tight)
    assert len(found) > 10
    assert [record.latest for record in found] == [record.sketches[-1].slot for record in found]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 300), st.booleans()), min_size=1, max_size=12))
def test_however_a_log_is_cut_into_batches_and_records_the_same_is_told(cuts: list[tuple[int, int, bool]]) -> None:
    cut, whole = (Stats(Target("stats", "m@1.0.0", MINUTE), LAYOUT, 1e9, Clock()) for _ in range(2))
    owned: dict[int, Any] = {number: Stub(live_from=0, position=0) for number in (0, 1)}
    new: dict[int, Any] = {number: Stub(live_from=0, position=0) for number in (0, 1)}
    found: list[StatsRecord] = []
    for partition, size, seal in cuts:
        position = owned[partition].position
        cut.absorb(outcome(position, position + size, partition, stamp_pace_ms=1_000), owned)
        owned[partition].position += size
        found += records(cut) if seal else []
    found += records(cut)
    for partition, state in owned.items():
        if state.position:
            whole.absorb(outcome(0, state.position, partition, stamp_pace_ms=1_000), new)
    expected = records(whole)
    assert gaps(found, 0, {n: state.position for n, state in owned.items()}) == {0: 0, 1: 0}
    assert told(found) == told(expected) == sum(size for _, size, _ in cuts)
    assert refusals(found) == refusals(expected)
    for slot in {sketch.slot for record in expected for sketch in record.sketches}:
        assert (summed(LAYOUT, found, slot=slot).counts == summed(LAYOUT, expected, slot=slot).counts).all()


def test_small_batches_of_more_slots_than_fit_are_told_in_several_records(owned: dict[int, Any]) -> None:
    tight = Stats(Target("stats", "m@1.0.0", MINUTE, record_bytes=20 * LAYOUT.size * 4), LAYOUT, 1.0, Clock())
    for first in range(0, 300, 5):
        owned[0].position = first
        tight.absorb(outcome(first, first + 5, pace_ms=MINUTE), owned)
    found = records(tight)
    assert gaps(found, 0, {0: 300}) == {0: 0}
    assert told(found) == 300
    assert all(len(record.sketches) <= 20 for record in found)


def test_what_was_only_recovered_is_not_told(owned: dict[int, Any]) -> None:
    """Another worker told of it, while this one did not own the partition."""
    tight = Stats(Target("stats", "m@1.0.0", MINUTE, record_bytes=20 * LAYOUT.size * 4), LAYOUT, 1.0, Clock())
    tight.absorb(outcome(0, 50, pace_ms=1), owned)
    owned[0].live_from = 80
    tight.absorb(outcome(0, 100, 1, pace_ms=MINUTE, recovered=[(0, offset) for offset in range(50, 80)]), owned)
    tight.absorb(outcome(80, 90), owned)
    found = records(tight)
    assert gaps(found, 0, {0: 90, 1: 100}) == {0: 30, 1: 0}
    assert told(found) == 160


def test_values_of_an_open_set_are_bounded(stats: Stats, owned: dict[int, Any]) -> None:
    for number in range(SEGMENTS_MOST + 20):
        owned[0].position = number * 9
        stats.absorb(outcome(number * 9, number * 9 + 9, channel=b"c%d" % number), owned)
    owned[0].position = 0
    found = [sketch for record in records(stats) for sketch in record.sketches]
    assert len({sketch.segment for sketch in found}) == SEGMENTS_MOST
    assert "channel=(other)" in {sketch.segment for sketch in found}


@pytest.mark.parametrize("name", ["user_id", "amount", "colour"])
def test_a_field_that_names_people_or_does_not_exist_is_no_segment(name: str) -> None:
    with pytest.raises(SettingsError, match="STATS_SEGMENT"):
        segment_of(Payment, name)
    assert segment_of(Payment, "") is None
