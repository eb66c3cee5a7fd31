"""A pipeline of its own for one test: topics, worker processes, what was fed and what came out.

Shares no code with the workers where it judges: records are read back with plain clients and plain JSON.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from riskstream.deploy.stack.processes import die_with_parent

CLOCK_FIELDS = ("scored_at",)

Comparable = dict[tuple[int, int], tuple[bytes | None, bytes | None]]
"""By input record, the key and the value of its output, without the clock."""


class Fed(NamedTuple):
    """An input record: where it lies and what it is."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Out(NamedTuple):
    """An output record, with the input record that it says it is of."""

    topic: str
    partition: int
    offset: int
    of: tuple[int, int]
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


@dataclass
class Pipeline:
    """Topics `in-NAME`, `out-NAME`, `dead-NAME` with `partitions` each, and the workers started on them."""

    name: str
    bootstrap: str
    redis_url: str
    bundle: Path
    logs: Path
    partitions: int = 3
    environment: dict[str, str] = field(default_factory=dict)
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    fed: list[Fed] = field(default_factory=list)
    program: tuple[str, ...] = ("riskstream.workers",)

    @property
    def topics(self) -> tuple[str, str, str]:
        return f"in-{self.name}", f"out-{self.name}", f"dead-{self.name}"

    @property
    def stats_topic(self) -> str:
        return f"stats-{self.name}"

    def create_topics(self) -> None:
        self.create_topic(*self.topics)
        self.create_topic(self.stats_topic, compression="gzip")  # as `riskstream topics create` does

    def create_topic(self, *names: str, compression: str = "producer") -> None:
        config = {
            "max.message.bytes": "16777216",
            "message.timestamp.type": "CreateTime",
            "compression.type": compression,
        }
        new = [NewTopic(name, self.partitions, 1, config=config) for name in names]
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 4})
        for future in client.create_topics(new).values():
            future.result(20)

    def feed(self, records: Sequence[Any], headers: Any = None, **config: Any) -> None:
        """Send (partition, key, value) records and wait until the broker has them. `config`: of the producer."""
        usual = {"bootstrap.servers": self.bootstrap, "enable.idempotence": True, "message.max.bytes": 17_000_000}
        producer = Producer({**usual, **{key.replace("_", "."): value for key, value in config.items()}})

        def delivered(error: Any, message: Message) -> None:
            assert error is None, error
            place = message.partition(), message.offset()
            self.fed.append(Fed(*place, message.key(), message.value()))  # type: ignore[arg-type]

        for partition, key, value in records:
            producer.produce(self.topics[0], value, key, partition, on_delivery=delivered, headers=headers)
            producer.poll(0)
        assert producer.flush(30) == 0

    def variables(self, slot: str = "a", **more: str) -> dict[str, str]:
        """The environment of this pipeline's commands."""
        source, scores, dead = self.topics
        settings = {
            "BOOTSTRAP_SERVERS": self.bootstrap,
            "REDIS_URL": self.redis_url,
            "BUNDLE": str(self.bundle),
            "GROUP": self.name,
            "SLOT": f"{self.name}-{slot}",
            "INPUT_TOPIC": source,
            "OUTPUT_TOPIC": scores,
            "DEAD_LETTER_TOPIC": dead,
            "STATS_TOPIC": self.stats_topic,
            "HEALTH_PORT": "0",
            "LOG_IS_COMPLETE": "true",
            **self.environment,
        }
        return {**os.environ, **{f"RISKSTREAM_{key}": value for key, value in settings.items()}, **more}

    def start(self, slot: str = "a", **environment: str) -> subprocess.Popen[bytes]:
        given = {f"RISKSTREAM_{key}": value for key, value in environment.items()}
        with (self.logs / f"{self.name}-{slot}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", *self.program, "worker"],
                env=self.variables(slot, **given),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one call into the kernel
            )
        self.workers[slot] = worker
        return worker

    def log(self, slot: str = "a") -> str:
        return (self.logs / f"{self.name}-{slot}.log").read_text()

    def stop(self, slot: str = "a", timeout_s: float = 30) -> int:
        worker = self.workers.pop(slot)
        worker.send_signal(signal.SIGTERM)
        return worker.wait(timeout_s)

    def kill(self, slot: str = "a") -> None:
        worker = self.workers.pop(slot)
        worker.kill()
        worker.wait()

    def close(self) -> None:
        for slot in list(self.workers):
            self.kill(slot)

    def outputs(self, timeout_s: float = 60, most: int | None = None) -> list[Out]:
        """What is committed on the output topics: waits for one output per fed record (or `most`), and then a moment
        longer for records that should not be there."""
        expected = len(self.fed) if most is None else min(most, len(self.fed))
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
            }
        )
        consumer.assign([TopicPartition(name, p, 0) for name in self.topics[1:] for p in range(self.partitions)])
        outs: list[Out] = []
        deadline, quiet_until = time.monotonic() + timeout_s, None
        while time.monotonic() < (quiet_until or deadline):
            for message in consumer.consume(1_000, 0.2):
                assert message.error() is None, message.error()
                outs.append(_out(message))
            if len(outs) >= expected and quiet_until is None:
                if most is not None:
                    break
                quiet_until = time.monotonic() + 0.5
        consumer.close()
        return outs

    def assert_conserved(self, outs: Sequence[Out]) -> None:
        """Each fed record has exactly one output, on its own partition, in its partition's order."""
        places = [out.of for out in outs]
        fed = {(record.partition, record.offset) for record in self.fed}
        missing, extra = sorted(fed - set(places)), sorted(set(places) - fed)
        doubled = sorted({place for place in places if places.count(place) > 1}) if len(places) > len(fed) else []
        found = {"missing": missing, "doubled": doubled, "extra": extra}
        assert not any(found.values()), {what: (len(places), places[:5]) for what, places in found.items()}
        assert all(out.partition == out.of[0] for out in outs), "an output is on another partition than its input"
        for topic in self.topics[1:]:
            for partition in range(self.partitions):
                offsets = [out.of[1] for out in outs if (out.topic, out.partition) == (topic, partition)]
                assert offsets == sorted(offsets), f"{topic}[{partition}] is out of order"


def _out(message: Message) -> Out:
    pairs = cast(list[tuple[str, bytes]], message.headers() or [])
    headers = dict(pairs)
    value = message.value()
    if "__connect.errors.offset" in headers:
        of = int(headers["__connect.errors.partition"]), int(headers["__connect.errors.offset"])
    else:
        score = json.loads(value or b"")
        of = score["partition"], score["offset"]
    return Out(message.topic(), message.partition(), message.offset(), of, message.key(), value, headers)  # type: ignore[arg-type]


def limit_records(admin: AdminClient, topic: str, size: int) -> None:
    """From now on the topic takes no larger batch of records, in bytes."""
    limit = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    config = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[limit])
    admin.incremental_alter_configs([config])[config].result(20)


def without_clock(outs: Sequence[Out]) -> Comparable:
    """By input record: key and value, the clock's fields cut out of the bytes of scores, all else as it came."""
    return {out.of: (out.key, out.value if "__connect.errors.offset" in out.headers else _cut(out)) for out in outs}


def _cut(out: Out) -> bytes:
    value = out.value or b""
    for name in CLOCK_FIELDS:
        start = value.index(b'"%s":' % name.encode())
        value = value[:start] + value[value.index(b",", start) + 1 :]
    # Topics of two pipelines have two names; what they say of the same record is compared.
    return value.replace(b'"topic":"%s"' % json.loads(value)["topic"].encode(), b'"topic":""')
