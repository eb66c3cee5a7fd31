"""A scene for one named fault: a small log, workers behind proxies, and the whole judgement at the end."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis
from confluent_kafka import Consumer, TopicPartition

from riskstream.deploy.stack.processes import free_port
from tests.faults import judge, state
from tests.faults.judge import Ends, Verdict
from tests.faults.proxy import KafkaProxy, RedisProxy
from tests.faults.quorum import ControlledStack
from tests.faults.reading import Place, Seen, read, seen
from tests.faults.segments import Transaction, commits, open_transactions, transactions
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Pipeline

PARTITIONS = 3
TRANSACTION_MS = 4_000
SETTINGS = {
    "MAX_BATCH": "100",
    "SESSION_TIMEOUT_MS": "3000",
    "TRANSACTION_TIMEOUT_MS": str(TRANSACTION_MS),
    "REDIS_TIMEOUT_MS": "500",
    "REDIS_GIVE_UP_MS": "2000",
    "WRITE_BEHIND_MS": "50",  # so that what is to meet a write does so within a second
}


@dataclass
class Rig:
    """A stack whose workers come in by proxies."""

    stack: ControlledStack
    kafka: KafkaProxy
    redis: RedisProxy

    @property
    def through_proxies(self) -> dict[str, str]:
        return {
            "BOOTSTRAP_SERVERS": f"127.0.0.1:{self.kafka.port}",
            "REDIS_URL": f"redis://127.0.0.1:{self.redis.port}/0",
        }

    @property
    def log(self) -> Path:
        return self.stack.broker.data_dir / "log"


@contextmanager
def rig(folder: Path) -> Iterator[Rig]:
    stack = ControlledStack(folder, session_s=40.0)  # one test pauses the broker for 30 s
    listening, told = free_port(), free_port()
    stack.broker.via = listening, told
    with stack, KafkaProxy(listening, told) as kafka, RedisProxy(stack.redis.port) as proxy:
        yield Rig(stack, kafka, proxy)


@dataclass
class Scene:
    """One test's pipeline: feed it, do something to it, `end` it."""

    rig: Rig
    pipeline: Pipeline
    calm: Sequence[Seen] = ()
    records: list[tuple[int, bytes | None, bytes | None]] = field(
        default_factory=lambda: list(records_of(log_of(), PARTITIONS))
    )

    def feed(self, until: int | None = None) -> None:
        """All of the log up to its record `until`."""
        self.pipeline.feed(self.records[len(self.pipeline.fed) : until])

    def start(self, slot: str = "a", **environment: str) -> int:
        return self.pipeline.start(slot, **environment).pid

    def await_outputs(self, count: int, timeout_s: float = 60) -> None:
        found = len(self.pipeline.outputs(timeout_s, most=count))
        assert found >= count, f"{found} outputs of {count} after {timeout_s} s: {self.last_words()}"

    def await_words(self, words: str, slot: str = "a", timeout_s: float = 60) -> None:
        """Until a worker has said this."""
        deadline = time.monotonic() + timeout_s
        while words not in self.pipeline.log(slot):
            assert time.monotonic() < deadline, f"{words!r} was not said: {self.last_words()}"
            time.sleep(0.05)

    def await_committed(self, timeout_s: float = 60) -> bool:
        """Whether the group has committed all that was fed, which shows before its outputs are visible."""
        reader = Consumer(
            {
                "bootstrap.servers": self.pipeline.bootstrap,
                "group.id": self.pipeline.name,
                "isolation.level": "read_uncommitted",  # do not wait for what a sleeper left open
                "log_level": 0,
            }
        )
        wanted = self._ends().end
        parts = [TopicPartition(self.pipeline.topics[0], number) for number in wanted]
        deadline, done = time.monotonic() + timeout_s, False
        while not done and time.monotonic() < deadline:
            time.sleep(0.1)
            done = all(part.offset == wanted[part.partition] for part in reader.committed(parts, timeout=20))
        reader.close()
        return done

    def end(self, *, whole_redis: bool = True, patience_s: float = 90) -> Verdict:
        """Feed the rest, wait until all is out, stop in order, judge. Fails unless the verdict holds."""
        self.feed()
        self._await_all(patience_s)
        time.sleep(0.5)
        exits = {slot: self.pipeline.stop(slot, 40) for slot in list(self.pipeline.workers)}
        verdict = self.verdict(whole_redis)
        assert verdict.holds, "\n".join([verdict.line, *verdict.explanation(), self.last_words()])
        assert not any(exits.values()), f"workers ended with {exits}: {self.last_words()}"
        return verdict

    def _await_all(self, timeout_s: float) -> None:
        """Until everything is out, nobody is left who could do it, or the time is over: the verdict will tell."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            alive = any(worker.poll() is None for worker in self.pipeline.workers.values())
            if len(self.pipeline.outputs(5, most=len(self.pipeline.fed))) >= len(self.pipeline.fed) or not alive:
                return

    def halted(self, *words: str) -> None:
        """Worker a ended by itself with the exit code for an operator, said these words, and left no gap."""
        assert self.pipeline.workers.pop("a").wait(90) == 1, self.last_words()
        said = self.pipeline.log()
        assert all(word in said for word in words), self.last_words()
        places = [out.of for out in self.outs()]
        assert len(places) == len(set(places)), "something came out twice"
        for number in range(PARTITIONS):
            offsets = sorted(offset for partition, offset in places if partition == number)
            assert offsets == list(range(len(offsets))), "there is a gap before the place where it halted"

    def outs(self) -> list[Seen]:
        topics = [(name, PARTITIONS) for name in self.pipeline.topics[1:]]
        return [seen(message) for message in read(self.pipeline.bootstrap, topics)]

    def verdict(self, whole_redis: bool = True) -> Verdict:
        verdict, ends = Verdict(), self._ends()
        topics = [(name, PARTITIONS) for name in self.pipeline.topics[1:]]
        outs = self.outs()
        exactly_once = self.pipeline.environment.get("DELIVERY") != "at_least_once"
        if not exactly_once:
            outs = judge.first_ones(verdict, outs)
        deadline = time.monotonic() + TRANSACTION_MS / 1000 + 5
        while (left := self._open()) and time.monotonic() < deadline:
            time.sleep(0.5)
        judge.conservation(verdict, ends, outs)
        judge.order(verdict, outs)
        judge.determinism(verdict, outs, self.calm or outs)
        judge.dangling(verdict, left)
        source = self.pipeline.topics[0]
        if exactly_once:
            found = commits(self.rig.log, self.pipeline.name, source)
            judge.atomicity(verdict, ends, found, written(self.rig.log, topics, outs))
        log = state.Log.of(self._fed(), {out.of for out in outs if out.scored}, 1)
        state.features(verdict, log, outs)
        if whole_redis:
            with redis.Redis.from_url(self.pipeline.redis_url) as client:
                state.applied_marks(verdict, log, client, f"{self.pipeline.name}/{source}", ends.end)
        return verdict

    def last_words(self) -> str:
        return "\n".join(file.read_text()[-1_500:] for file in self.pipeline.logs.glob(f"{self.pipeline.name}-*.log"))

    def _open(self) -> list[str]:
        mine = (f"{self.pipeline.topics[1]}-", f"{self.pipeline.topics[2]}-", "__consumer_offsets-")
        return [text for text in open_transactions(self.rig.log) if text.startswith(mine)]

    def _ends(self) -> Ends:
        counts = dict.fromkeys(range(PARTITIONS), 0)
        for record in self.pipeline.fed:
            counts[record.partition] = max(counts[record.partition], record.offset + 1)
        fed = {(record.partition, record.offset) for record in self.pipeline.fed}
        whole = Ends(dict.fromkeys(counts, 0), counts)
        return whole._replace(gaps=frozenset(whole.places()) - fed)

    def _fed(self) -> Iterator[tuple[Place, bytes]]:
        return (((record.partition, record.offset), record.value or b"") for record in self.pipeline.fed)


def written(log: Path, topics: Sequence[tuple[str, int]], outs: Sequence[Seen]) -> dict[Place, tuple[str, Transaction]]:
    """By input record, the output partition and the committed transaction that its output is in."""
    by_place: dict[tuple[str, int], Transaction] = {}
    for name, count in topics:
        for number in range(count):
            for transaction in transactions(log / f"{name}-{number}")[0]:
                for batch in transaction.batches if transaction.committed else ():
                    place = f"{name}[{number}]"
                    by_place |= {(place, at): transaction for at in range(batch.first, batch.last + 1)}
    found = {out.of: (f"{out.topic}[{out.partition}]", out.offset) for out in outs}
    return {of: (place[0], by_place[place]) for of, place in found.items() if place in by_place}


def peak_mb(pid: int) -> int:
    """The most memory that the process ever had, by Linux."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
