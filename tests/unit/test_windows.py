"""Windows are sums of what workers counted: each offset once, whatever the order, before and after a restart."""

from typing import Any

import numpy as np
import pytest

from riskstream.models.drift.varint import packed
from riskstream.models.drift.window import Window
from riskstream.schemas.stats import SlotRefusals, SlotSketch, StatsRecord
from riskstream.workers.drift.progress import Progress, Source
from riskstream.workers.drift.windows import Checkpoint, Rules, Windows
from riskstream.workers.settings_drift import WindowKind
from tests.unit.test_sketch import LAYOUT

MINUTE = 60_000
T0 = 1_760_000_000_000 // (10 * MINUTE) * 10 * MINUTE
KINDS = [WindowKind(5 * MINUTE, 5 * MINUTE), WindowKind(10 * MINUTE, 5 * MINUTE)]
RULES = Rules(KINDS, lateness_ms=MINUTE, idle_s=30, behind_s=600)


def record(partition: int, first: int, after: int, minute: int, events: int = 0, **more: object) -> StatsRecord:
    """The offsets [first, after) of a partition, as many events as offsets unless told, all in one minute."""
    counts = np.zeros(LAYOUT.size, np.int64)
    counts[0] = events or after - first
    fields: dict[str, object] = {
        "model": "m@1.0.0",
        "layout": LAYOUT.id,
        "partition": partition,
        "first_offset": first,
        "next_offset": after,
        "slot_ms": MINUTE,
        "latest": T0 + minute * MINUTE,
        "sketches": (SlotSketch(slot=T0 + minute * MINUTE, segment=f"channel={first % 2}", counts=packed(counts)),),
    }
    return StatsRecord(**{**fields, **more})  # type: ignore[arg-type]


def windows(partitions: int = 1, checkpoint: Checkpoint = Checkpoint()) -> Windows:  # noqa: B008 - frozen
    made = Windows(
        RULES, lambda model, identity: LAYOUT if (model, identity) == ("m@1.0.0", LAYOUT.id) else None, checkpoint
    )
    made.own(range(partitions))
    return made


def closed(some: Windows, records: list[StatsRecord], start: int = 0) -> list[Window]:
    found = []
    for at, each in enumerate(records, start):
        some.merge(each, at)
        found += some.close(T0 + 10**9)
    return found


def stands_still(some: Windows, number: int, seconds: int, waiting: int) -> None:
    """The first look only shows where the log ends."""
    source = Source(100, waiting)
    for first in (0, seconds):
        some.partitions[number].stand_still(first, source)


def told(found: list[Window]) -> list[tuple[int, int, int]]:
    """End in minutes, length in minutes, events."""
    return [((w.end - T0) // MINUTE, w.length_ms // MINUTE, w.whole.events) for w in found]


def test_a_window_closes_when_its_partition_has_passed_it_by_the_lateness() -> None:
    some = windows()
    assert closed(some, [record(0, 0, 10, 2), record(0, 10, 30, 5)]) == []
    found = closed(some, [record(0, 30, 31, 6)])
    assert told(found) == [(5, 5, 10), (5, 10, 10)]
    assert found[0].coverage == 1.0
    assert {name: sketch.events for name, sketch in found[0].segments.items()} == {"channel=0": 10}


def test_a_sliding_window_holds_what_its_parts_hold() -> None:
    found = closed(windows(), [record(0, 0, 10, 1), record(0, 10, 30, 7), record(0, 30, 60, 12), record(0, 60, 61, 21)])
    assert told(found) == [(5, 5, 10), (5, 10, 10), (10, 5, 20), (10, 10, 30), (15, 5, 30), (15, 10, 50), (20, 10, 30)]


def test_windows_wait_for_the_slowest_partition_unless_it_is_silent() -> None:
    some = windows(partitions=2)
    assert closed(some, [record(0, 0, 10, 1), record(0, 10, 20, 30)]) == []
    stands_still(some, 1, 29, waiting=0)
    assert some.close(T0) == []
    stands_still(some, 1, 2, waiting=0)
    found = some.close(T0)
    assert told(found)[0] == (5, 5, 10)
    assert found[0].coverage == 0.5
    assert found[0].unseen == {}


def test_windows_wait_longer_for_events_that_are_not_scored_and_then_tell_them_as_unseen() -> None:
    some = windows(partitions=2)
    assert closed(some, [record(0, 0, 10, 1), record(0, 10, 20, 30)]) == []
    stands_still(some, 1, 599, waiting=7)
    assert some.close(T0) == []
    stands_still(some, 1, 2, waiting=8)
    assert some.close(T0)[0].unseen == {1: 8}


def test_a_log_that_grew_is_not_silent_though_all_of_it_is_scored() -> None:
    progress = Progress()
    for end in range(100):
        progress.stand_still(1, Source(end, waiting=0))
    assert progress.silent_s == 0


def test_only_partitions_whose_event_time_stands_still_may_be_silent() -> None:
    some = windows(partitions=2)
    assert some.still([0, 1]) == {0: None, 1: None}
    closed(some, [record(0, 0, 10, 1)])
    assert some.still([0, 1]) == {1: None}
    assert some.still([0]) == {0: 10}


def test_when_all_are_silent_what_is_open_closes_with_the_clock() -> None:
    some = windows()
    assert closed(some, [record(0, 0, 10, 1)]) == []
    stands_still(some, 0, 31, waiting=0)
    assert some.close(T0 + 5 * MINUTE) == []
    assert told(some.close(T0 + 6 * MINUTE)) == [(5, 5, 10), (5, 10, 10)]
    assert some.closed_until == T0 + 5 * MINUTE


def test_a_repeat_counts_once() -> None:
    some = windows()
    again = record(0, 0, 10, 1)
    found = closed(some, [again, again, record(0, 10, 20, 2), again, record(0, 20, 21, 30)])
    assert told(found)[0] == (5, 5, 20)
    assert some.tally["repeat"] == 2


def test_an_overlap_is_not_counted_and_is_told() -> None:
    some = windows()
    closed(some, [record(0, 0, 10, 1), record(0, 5, 15, 1)])
    assert (some.tally["overlap"], some.tally["events"]) == (1, 10)


def test_what_no_record_covers_is_unseen_until_it_is_told_after_all() -> None:
    some = windows()
    closed(some, [record(0, 0, 10, 1), record(0, 25, 30, 3)])
    assert some.partitions[0].unseen(T0, T0 + 5 * MINUTE) == 15
    assert some.partitions[0].unseen(T0 + 5 * MINUTE, T0 + 10 * MINUTE) == 0
    found = closed(some, [record(0, 12, 20, 2), record(0, 30, 31, 30)])
    assert (found[0].unseen, found[0].whole.events) == ({0: 7}, 23)


def test_what_comes_after_its_time_is_late_and_in_no_window() -> None:
    some = windows()
    found = closed(some, [record(0, 0, 10, 1), record(0, 10, 20, 6), record(0, 20, 27, 4), record(0, 27, 28, 30)])
    assert told(found)[0] == (5, 5, 10)
    assert some.tally["late"] == 7


def test_dead_letters_stand_in_the_window_of_their_time() -> None:
    letters = (SlotRefusals(slot=T0 + MINUTE, reason="not_json", count=3),)
    found = closed(windows(), [record(0, 0, 10, 1, 7, dead_letters=letters), record(0, 10, 11, 30)])
    assert found[0].dead_letters == {"not_json": 3}


@pytest.mark.parametrize("strange", [{"model": "other@1.0.0"}, {"layout": "0" * 16}, {"slot_ms": 7 * MINUTE}])
def test_what_cannot_be_summed_is_passed_over_and_told(strange: dict[str, Any]) -> None:
    some = windows()
    found = closed(some, [record(0, 0, 10, 1, **strange), record(0, 10, 20, 2), record(0, 20, 21, 30)])
    assert told(found)[0] == (5, 5, 10)
    assert some.tally["unreadable"] == 1


def _log(rng: np.random.Generator, partition: int) -> list[StatsRecord]:
    """Some of it late, some of it never told."""
    first, minute, latest, found = 0, 10, 0, []
    for _ in range(int(rng.integers(1, 30))):
        minute, offsets = max(0, minute + int(rng.integers(-3, 7))), int(rng.integers(1, 10))
        if rng.random() < 0.8:
            latest = max(latest, T0 + minute * MINUTE)
            found.append(record(partition, first, first + offsets, minute, latest=latest))
        first += offsets
    return [*found, record(partition, first, first + 1, 500)]


def _bytes(found: list[Window]) -> list[object]:
    return [
        (w.start, w.end, w.whole.encode(), {k: s.encode() for k, s in w.segments.items()}, dict(w.unseen))
        for w in found
    ]


@pytest.mark.parametrize("seed", range(60))
def test_neither_order_nor_restarts_nor_rewinds_change_a_window(seed: int) -> None:
    """Partitions come in between each other at will; the process dies at any time and reads on from where it may."""
    rng = np.random.default_rng(seed)
    logs = [_log(rng, 0), _log(rng, 1)]
    calm = windows(2)
    expected = [*closed(calm, logs[0]), *closed(calm, logs[1])]
    some, found, at, published = windows(2), [], [0, 0], Checkpoint()
    while any(at[n] < len(logs[n]) for n in (0, 1)):
        if rng.random() < 0.08:
            some, rewound = windows(2, published), int(rng.integers(0, 4))
            at = [max(0, (published.marks[n].at if n in published.marks else 0) - rewound) for n in (0, 1)]
        number = int(rng.choice([n for n in (0, 1) if at[n] < len(logs[n])]))
        some.merge(logs[number][at[number]], at[number])
        at[number] += 1
        if now := some.close(T0):
            found += now
            published = some.checkpoint()
    assert expected
    assert _bytes(found) == _bytes(expected)
