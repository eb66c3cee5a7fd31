"""A worker seen from outside: what it logged, what its group committed, what Redis holds of it."""

import json
import time
from typing import Any

import redis
from confluent_kafka import Consumer, TopicPartition

from riskstream.schemas.history import Applied, Keys
from tests.support.pipeline import Pipeline


def logged(pipeline: Pipeline, event: str, slot: str = "a") -> list[dict[str, Any]]:
    """The lines that say `event`, in order, of every worker that ran under this slot."""
    lines = (json.loads(line) for line in pipeline.log(slot).splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


def until_logged(pipeline: Pipeline, event: str, times: int = 1, slot: str = "a") -> list[dict[str, Any]]:
    deadline = time.monotonic() + 30
    while len(found := logged(pipeline, event, slot)) < times:
        assert time.monotonic() < deadline, f"{event!r} was not logged: {pipeline.log(slot)[-2_000:]}"
        time.sleep(0.05)
    return found


def committed(pipeline: Pipeline) -> dict[int, int]:
    """The group's next offset of each partition; negative where it has none."""
    consumer = Consumer({"bootstrap.servers": pipeline.bootstrap, "group.id": pipeline.name})
    parts = consumer.committed([TopicPartition(pipeline.topics[0], n) for n in range(pipeline.partitions)], 20)
    consumer.close()
    return {part.partition: part.offset for part in parts}


def applied(pipeline: Pipeline) -> dict[int, int]:
    """The offset below which Redis holds everything, of each partition that has a mark."""
    client = redis.Redis.from_url(pipeline.redis_url)
    keys = [Keys.of(pipeline.name, pipeline.topics[0], number).applied for number in range(pipeline.partitions)]
    marks = client.mget(keys)
    client.close()
    return {number: Applied.decode(mark).offset for number, mark in enumerate(marks) if mark}  # type: ignore[arg-type]
