"""A scene for one named fault: a small log, workers behind proxies, and the whole judgement at the end."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from riskstream.deploy.stack import LocalStack
from riskstream.deploy.stack.processes import free_port
from tests.faults import judge, state
from tests.faults.judge import Ends, Verdict
from tests.faults.proxy import KafkaProxy, RedisProxy
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
}


@dataclass
class Rig:
    """A stack whose workers come in by proxies."""

    stack: LocalStack
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
    stack = LocalStack(folder)
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

    def end(self, *, whole_redis: bool = True) -> Verdict:
        """Feed the rest, wait until all is out, stop in order, judge. Fails unless the verdict holds."""
        self.feed()
        self.await_outputs(len(self.pipeline.fed), 90)
        time.sleep(0.5)
        for slot in list(self.pipeline.workers):
            assert self.pipeline.stop(slot, 40) == 0, self.last_words()
        verdict = self.verdict(whole_redis)
        assert verdict.holds, "\n".join(verdict.explanation())
        return verdict

    def outs(self) -> list[Seen]:
        topics = [(name, PARTITIONS) for name in self.pipeline.topics[1:]]
        return [seen(message) for message in read(self.pipeline.bootstrap, topics)]

    def verdict(self, whole_redis: bool = True) -> Verdict:
        verdict, ends = Verdict(), self._ends()
        topics = [(name, PARTITIONS) for name in self.pipeline.topics[1:]]
        outs = self.outs()
        deadline = time.monotonic() + TRANSACTION_MS / 1000 + 5
        while (left := self._open()) and time.monotonic() < deadline:
            time.sleep(0.5)
        judge.conservation(verdict, ends, outs)
        judge.order(verdict, outs)
        judge.determinism(verdict, outs, self.calm or outs)
        judge.dangling(verdict, left)
        source = self.pipeline.topics[0]
        found = commits(self.rig.log, self.pipeline.name, source)
        judge.atomicity(verdict, ends, found, written(self.rig.log, topics, outs))
        log = state.Log.of(self._fed(), {out.of for out in outs if out.scored}, 1)
        state.features(verdict, log, outs)
        if whole_redis:
            with redis.Redis.from_url(self.rig.stack.redis_url) as client:
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
        return Ends(dict.fromkeys(counts, 0), counts)

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
