"""How quickly the sidecar sums up what workers counted: `python -m tests.bench.merging`.

Ten million events are counted by the worker's own code into records of stats, one for each partition and second at
20,000 events a second; then the sidecar's own code merges the records and closes the windows, on one core.
"""

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.sketch import SketchLayout
from riskstream.models.drift.varint import packed
from riskstream.schemas.stats import SlotSketch, StatsRecord, decode_stats, encode_stats
from riskstream.workers.drift.windows import Checkpoint, Rules, Windows
from riskstream.workers.settings_drift import WindowKind

RATE, PARTITIONS, SEGMENTS, SLOT_MS = 20_000, 12, 5, 60_000
T0 = 1_760_000_000_000
RULES = Rules(
    [WindowKind(300_000, 300_000), WindowKind(3_600_000, 300_000)], lateness_ms=60_000, idle_s=30, behind_s=600
)


class Merged(NamedTuple):
    """Seconds are of CPU. `held` is the most vectors of counts that were in memory at once."""

    events: int
    records: int
    megabytes: float
    windows: int
    seconds: float
    held: int


def merge(layout: SketchLayout, events: int = 10_000_000) -> Merged:
    """Merges so many events' worth of stats. The counts are drawn, as many numbers being zero as with real ones."""
    rng, seconds = np.random.default_rng(5), events // RATE
    each = RATE // PARTITIONS // SEGMENTS
    pool = [_counts(rng, layout, each) for _ in range(64)]
    values = [
        encode_stats(_record(layout, partition, second, rng.choice(len(pool), SEGMENTS).tolist(), pool, each))
        for second in range(seconds)
        for partition in range(PARTITIONS)
    ]
    windows = Windows(RULES, lambda _, __: layout, Checkpoint())
    windows.own(range(PARTITIONS))
    closed, held, began = 0, 0, time.process_time()
    for at, value in enumerate(values):
        windows.merge(decode_stats(value), at)
        closed += len(windows.close(T0))
        held = max(held, windows.cells * (PARTITIONS + SEGMENTS))
    spent = time.process_time() - began
    total = windows.tally["events"]
    return Merged(total, len(values), sum(map(len, values)) / 1e6, closed, spent, held)


def _counts(rng: np.random.Generator, layout: SketchLayout, events: int) -> bytes:
    counts: NDArray[np.int64] = rng.poisson(events / 20, layout.size) * (rng.random(layout.size) < 0.6)
    counts[layout.parts["squares"]] = rng.integers(0, events << 20, layout.columns)
    counts[0] = events
    return packed(counts)


def _record(
    layout: SketchLayout, partition: int, second: int, chosen: list[int], pool: list[bytes], each: int
) -> StatsRecord:
    events, slot = each * SEGMENTS, (T0 + second * 1_000) // SLOT_MS * SLOT_MS
    return StatsRecord(
        model="payment-risk@1.0.0",
        layout=layout.id,
        partition=partition,
        first_offset=second * events,
        next_offset=(second + 1) * events,
        slot_ms=SLOT_MS,
        latest=T0 + second * 1_000,
        sketches=tuple(SlotSketch(slot=slot, segment=f"channel={n}", counts=pool[k]) for n, k in enumerate(chosen)),
    )


def payment_layout() -> SketchLayout:
    """As large as that of a trained payment model: 43 features, of 20 bins each."""
    from riskstream.models.bundle import Histogram, Reference
    from riskstream.models.domain import load_domain

    edges = tuple(float(edge) for edge in range(1, 20))
    histogram = Histogram(edges=edges, counts=(1,) * 20)
    names = load_domain("riskstream.models.payment").features.names
    return SketchLayout.of_reference(
        Reference(rows=20, features=dict.fromkeys(names, histogram), score=histogram, decisions={})
    )


if __name__ == "__main__":
    found = merge(payment_layout())
    print(  # noqa: T201 - a command
        f"merge: events={found.events} records={found.records} megabytes={found.megabytes:.0f} "
        f"windows={found.windows} seconds={found.seconds:.1f} held={found.held}"
    )
