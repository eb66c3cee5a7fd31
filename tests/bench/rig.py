"""A test rig: topics, stored pasts, a backlog, and worker processes on them, with their CPU time."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from riskstream.deploy.stack.processes import die_with_parent
from riskstream.schemas.history import COMPLETE, Applied, Keys, encode_history, profile_key
from riskstream.schemas.partitioner import partitions_of
from riskstream.workers.redis_line import connect
from tests.bench.workload import PARTITIONS, Record, Workload
from tests.bench.world import World, topics_of

EPOCH = 1
WITHIN_S = 120.0


class BenchError(Exception):
    """Something that was to be measured did not happen; the message has the end of the process's log."""


@dataclass
class Rig:
    """`with` makes its topics, and ends what it started. `environment`: the settings of its workers."""

    world: World
    name: str
    environment: Mapping[str, str]
    partitions: int = PARTITIONS
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    fed: Counter[int] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        new = [NewTopic(topic, self.partitions, 1) for topic in (*topics_of(self.name), f"{self.name}-stats")]
        client = AdminClient({"bootstrap.servers": self.world.stack.bootstrap_servers, "log_level": 4})
        for future in client.create_topics(new).values():
            future.result(20)
        self._offsets = Consumer(
            {"bootstrap.servers": self.world.stack.bootstrap_servers, "group.id": self.name, "log_level": 4}
            # Else each question for what is committed waits for the transactions that are open.
            | {"isolation.level": "read_uncommitted"}
        )
        self.wait(self._led, "electing leaders")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for slot in list(self.processes):
            self.kill(slot)
        self._offsets.close()

    def _led(self) -> bool:
        try:
            self.ends(topics_of(self.name)[1])
        except KafkaException:
            return False
        return True

    def ends(self, topic: str) -> list[int]:
        """The next offset of each partition."""
        parts = [TopicPartition(topic, partition) for partition in range(self.partitions)]
        return [self._offsets.get_watermark_offsets(part, timeout=10)[1] for part in parts]

    def keys(self, partition: int) -> Keys:
        return Keys.of(self.name, topics_of(self.name)[0], partition)

    def store(self, workload: Workload) -> None:
        """Put the users' pasts and profiles where a worker finds them."""
        self.store_pasts(workload)
        profiles = (
            (profile_key(user.encode()), msgspec.json.encode(profile)) for user, profile in workload.profiles.items()
        )
        client = connect(self.world.stack.redis_url, 10_000)
        for chunk in _chunks(profiles, 1_000):
            client.mset(dict(chunk))
        client.close()

    def store_pasts(self, workload: Workload) -> None:
        """As if from before the log began."""
        client = connect(self.world.stack.redis_url, 10_000)
        mark = Applied(EPOCH, 0, COMPLETE).encode()
        client.mset({self.keys(partition).applied: mark for partition in range(self.partitions)})
        places = partitions_of([user.encode() for user in workload.past], self.partitions).tolist()
        keys = [self.keys(partition) for partition in range(self.partitions)]
        stored = (
            (keys[place].history(user.encode()), encode_history(EPOCH, facts.tobytes()))
            for place, (user, facts) in zip(places, workload.past.items(), strict=True)
        )
        for chunk in _chunks(stored, 500):
            client.mset(dict(chunk))
        client.close()

    def feed(self, records: Sequence[Record]) -> None:
        """Send them and wait until the broker has them."""
        producer = Producer(
            {"bootstrap.servers": self.world.stack.bootstrap_servers, "enable.idempotence": True}
            | {"linger.ms": 20, "compression.type": "lz4", "queue.buffering.max.messages": 2_000_000}
        )
        topic = topics_of(self.name)[0]
        for partition, key, value in records:
            producer.produce(topic, value, key, partition)
        if producer.flush(WITHIN_S):
            raise BenchError("the broker did not take the backlog")
        self.fed.update(record.partition for record in records)

    def start(self, slot: str = "a", command: Sequence[str] = ("riskstream.workers", "worker"), **more: str) -> int:
        """A worker (or another module as a process) with the rig's settings; answers its process id."""
        settings = {**self.environment, "SLOT": f"{self.name}-{slot}", **more}
        with self.log_file(slot).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**os.environ, **{f"RISKSTREAM_{key}": value for key, value in settings.items()}},
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one call into the kernel
            )
        self.processes[slot] = process
        return process.pid

    def log_file(self, slot: str) -> Path:
        return self.world.folder / f"{self.name}-{slot}.log"

    def log(self, slot: str = "a") -> str:
        return self.log_file(slot).read_text(errors="replace")

    def stop(self, slot: str) -> None:
        """SIGTERM, and wait."""
        process = self.processes.pop(slot)
        process.terminate()
        process.wait(30)

    def kill(self, slot: str) -> None:
        """SIGKILL."""
        process = self.processes.pop(slot)
        process.kill()
        process.wait()

    def stand_still(self) -> None:
        """SIGSTOP to all processes."""
        for process in self.processes.values():
            process.send_signal(signal.SIGSTOP)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Those that stand still go on inside."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.stand_still()

    def wait(self, done: Callable[[], bool], what: str, pause_s: float = 0.02) -> float:
        """Until it is done; answers the time of that. Raises BenchError when a process ends or it takes too long."""
        deadline = time.perf_counter() + WITHIN_S
        while not done():
            ended = [slot for slot, process in self.processes.items() if process.poll() is not None]
            if ended or time.perf_counter() > deadline:
                raise BenchError(f"{self.name}: {what} did not happen\n" + "\n".join(map(self._last_words, ended)))
            time.sleep(pause_s)
        return time.perf_counter()

    def committed(self) -> bool:
        """Whether the group has committed all that was fed. Asks the broker, not the workers, whom it would cost."""
        wanted = [TopicPartition(topics_of(self.name)[0], partition) for partition in self.fed]
        found = self._offsets.committed(wanted, timeout=10)
        return all(part.offset == self.fed[part.partition] for part in found)

    def applied(self) -> bool:
        """Whether all that was fed has been written behind to Redis."""
        client = connect(self.world.stack.redis_url, 1_000)
        marks: list[bytes | None] = client.mget([self.keys(partition).applied for partition in self.fed])  # type: ignore[assignment]
        client.close()
        wanted = self.fed.values()
        return all(mark and Applied.decode(mark).offset == end for mark, end in zip(marks, wanted, strict=True))

    def shared(self, workers: int) -> bool:
        """Whether so many workers have all partitions between them, and all started ones serve."""
        if not all('"health_port"' in self.log(slot) for slot in self.processes):
            return False
        counts = [self.metrics_of(slot)["assigned_partitions"] for slot in self.processes]
        return sum(counts) == self.partitions and len([count for count in counts if count]) == workers

    def metrics(self) -> dict[str, float]:
        """The samples of all workers, added up by name and labels."""
        total: defaultdict[str, float] = defaultdict(float)
        for slot in self.processes:
            for name, value in self.metrics_of(slot).items():
                total[name] += value
        return total

    def metrics_of(self, slot: str) -> dict[str, float]:
        """A worker's samples, without their prefix."""
        found = re.search(r'"health_port": (\d+)', self.log(slot))
        if found is None:
            raise BenchError(f"{slot} does not serve\n{self._last_words(slot)}")
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/metrics", timeout=10) as page:
            text = page.read().decode()
        return {name: float(value) for name, value in re.findall(r"^riskstream_(\S+) (\S+)$", text, re.MULTILINE)}

    def events_logged(self, slot: str, event: str) -> list[dict[str, object]]:
        """What the process logged under this name."""
        lines = (json.loads(line) for line in self.log(slot).splitlines() if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]

    def _last_words(self, slot: str) -> str:
        return "\n".join([f"The end of the log of {slot}:", *self.log(slot).splitlines()[-15:]])


def _chunks(pairs: Iterator[tuple[bytes, bytes]], size: int) -> Iterator[list[tuple[bytes, bytes]]]:
    chunk: list[tuple[bytes, bytes]] = []
    for pair in pairs:
        chunk.append(pair)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
