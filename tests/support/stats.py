"""Reads the stats that workers committed, and sums them without any of the sidecar's code."""

import time
from collections.abc import Sequence
from typing import Any, cast

from confluent_kafka import Consumer, TopicPartition

from riskstream.models.drift.sketch import Sketch, SketchLayout, total
from riskstream.schemas.stats import StatsRecord, decode_stats
from tests.support.pipeline import Pipeline


def committed(pipeline: Pipeline, until: int, timeout_s: float = 20) -> list[StatsRecord]:
    """The committed records, read until they tell of `until` input records or nothing came for the timeout."""
    consumer = Consumer(
        {
            "bootstrap.servers": pipeline.bootstrap,
            "group.id": "stats-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
        }
    )
    consumer.assign([TopicPartition(pipeline.stats_topic, number, 0) for number in range(pipeline.partitions)])
    records: list[StatsRecord] = []
    deadline = time.monotonic() + timeout_s
    while told(records) < until and time.monotonic() < deadline:
        for message in consumer.consume(500, 0.2):
            assert message.error() is None, message.error()
            record = decode_stats(message.value() or b"")
            assert record.partition == message.partition()
            records.append(record)
    consumer.close()
    return records


def told(records: Sequence[StatsRecord]) -> int:
    """Input records that they count: scored events and dead letters."""
    dead = sum(refused.count for record in records for refused in record.dead_letters)
    return dead + sum(first_number(sketch.counts) for record in records for sketch in record.sketches)


def first_number(counts: bytes) -> int:
    """The first number of packed counts, which is the number of events: a zigzag varint."""
    value = shift = 0
    for byte in counts:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return value >> 1


def summed(layout: SketchLayout, records: Sequence[StatsRecord], **where: Any) -> Sketch:
    """All of them, or those of a slot or segment."""
    chosen = [
        sketch.counts
        for record in records
        for sketch in record.sketches
        if all(cast(Any, getattr(sketch, name)) == value for name, value in where.items())
    ]
    return total(layout, [Sketch.decode(layout, counts) for counts in chosen])


def gaps(records: Sequence[StatsRecord], start: int, ends: dict[int, int]) -> dict[int, int]:
    """By partition, the offsets from `start` to its end that no record covers. Fails if two records overlap."""
    missing = {}
    for number, end in ends.items():
        position, lost = start, 0
        for first, after in sorted((r.first_offset, r.next_offset) for r in records if r.partition == number):
            assert first >= position, f"offsets of partition {number} are counted twice from {first} on"
            lost += first - position
            position = after
        missing[number] = lost + end - position
    return missing
