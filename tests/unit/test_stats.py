"""What a worker counts and tells: contiguous ranges of what was committed, however it was batched or handed over."""

from types import SimpleNamespace as Stub
from typing import Any

import numpy as np
import pytest

from riskstream.schemas.dead_letter import Rejection
from riskstream.schemas.payment import Payment
from riskstream.schemas.stats import StatsRecord, decode_stats
from riskstream.workers.settings_sources import SettingsError
from riskstream.workers.stats import EVENTS_MOST, SEGMENTS_MOST, Stats, Target, segment_of
from tests.support.stats import summed, told
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
    """The offsets [first, after) of a partition: a payment a second, every tenth of which is a dead letter."""
    number = after - first
    refused = {i: Rejection("not_json", "", "") for i in range(number) if (first + i) % 10 == 9}
    good = np.array([i for i in range(number) if i not in refused], np.int64)
    times = T0 + (first + good) * more.get("pace_ms", 1_000)
    return Stub(
        batch=Stub(
            messages=[None] * number,
            partitions=[partition] * number,
            offsets=list(range(first, after)),
            records=Stub(
                timestamps=[more.get("stamp", T0 + MINUTE)] * number,
                values=[b'{"user_id":"u","channel":"%b"}' % more.get("channel", b"web")] * number,
            ),
        ),
        decoded=Stub(rows=good),
        joined=Stub(columns={"event_time": times}, degraded=np.zeros(len(good), np.uint8)),
        scored=Stub(
            rows=np.arange(len(good)),
            vectors=np.zeros((len(good), 2), np.float32),
            scores=np.full(len(good), 0.1),
            decisions=np.zeros(len(good), np.uint8),
            repeated=np.zeros(len(good), np.bool_),
        ),
        refused=refused,
        offsets={partition: after},
    )


def records(stats: Stats, *, now: bool = True) -> list[StatsRecord]:
    outgoing = stats.due(now=now)
    stats.confirmed(outgoing)
    return [decode_stats(value or b"") for _, _, _, value, _ in outgoing]


def ranges(found: list[StatsRecord]) -> list[tuple[int, int, int]]:
    return [(record.partition, record.first_offset, record.next_offset) for record in found]


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
