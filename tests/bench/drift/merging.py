"""How fast the sidecar's side adds up what workers counted."""

import time

import numpy as np

from riskstream.models.drift.sketch import Sketch
from riskstream.schemas.stats import SlotSketch, StatsRecord, decode_stats, encode_stats
from tests.bench.drift.calm import START
from tests.bench.drift.traffic import Scored, Traffic

EVENTS, ALL = 2_000, 10_000_000
"""Of one record, as a worker publishes it every second or so under load; and in all."""


def merge_rate(traffic: Traffic, rng: np.random.Generator) -> float:
    """Events a second whose records are read and added up by segment, on one core."""
    drawn = traffic.calm(rng, EVENTS, START)
    records = [_record(traffic, *next(drawn)) for _ in range(50)]
    totals: dict[str, Sketch] = {}
    began = time.process_time()
    rounds = ALL // EVENTS // len(records) // 10
    for _ in range(rounds):
        for data in records:
            for part in decode_stats(data).sketches:
                sketch = Sketch.decode(traffic.shape.layout, part.counts)
                totals[part.segment] = totals[part.segment] + sketch if part.segment in totals else sketch
    spent = time.process_time() - began
    assert sum(each.events for each in totals.values()) == rounds * len(records) * EVENTS
    return rounds * len(records) * EVENTS / spent


def _record(traffic: Traffic, start: int, scored: Scored) -> bytes:
    window = traffic.window(start, scored)
    sketches = tuple(
        SlotSketch(slot=start, segment=name, counts=sketch.encode()) for name, sketch in window.segments.items()
    )
    return encode_stats(
        StatsRecord(
            model=window.model,
            layout=traffic.shape.layout.id,
            partition=0,
            first_offset=0,
            next_offset=EVENTS,
            slot_ms=60_000,
            sketches=sketches,
        )
    )
