"""One run from start to verdict: feed, break, wait until all is out, then judge."""

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import redis
from confluent_kafka import Consumer, TopicPartition

from riskstream.deploy.stack.processes import die_with_parent
from tests.faults import judge, state
from tests.faults.judge import Ends, Verdict
from tests.faults.mix import SESSION_S, TRANSACTION_S, Mix
from tests.faults.progress import Progress, Standstill
from tests.faults.quorum import ControlledStack
from tests.faults.reading import Follower, Seen, read, running, seen
from tests.faults.scene import written
from tests.faults.segments import commits, open_transactions
from tests.faults.world import Fleet, Say, World
from tests.support.pipeline import Pipeline

CATCH_UP_S = 120.0
REBUILT_A_S = 5_000
"""Facts that a worker reads from the log in a second, on a machine that is busy: what an emptied Redis costs."""
MOST_JUDGED_BY_FOLD = 150_000
STANDSTILL_MOST_S = 60.0
"""A broker that is paused or killed, then a session and a transaction that time out, on a machine that is busy."""


@dataclass(frozen=True)
class Plan:
    """What a run is."""

    seed: int
    duration_s: float
    protocol: str = "classic"
    rate: float = 1_200.0
    users: int = 600
    without: frozenset[str] = frozenset()
    partitions: int = 4


@dataclass
class Result:
    verdict: Verdict
    injected: dict[str, int]
    fed: int
    wrong: list[str]
    caught_up_s: float | None
    exits: dict[int, int]
    checked: int = 0
    one_user_in: int = 1
    standstills: list[Standstill] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return self.verdict.holds and not self.wrong and self.caught_up_s is not None


@dataclass
class Run:
    """A run on a stack of its own."""

    plan: Plan
    stack: ControlledStack
    bundle: Path
    folder: Path
    say: Say
    pipeline: Pipeline = field(init=False)
    fed: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pipeline = self._pipeline(
            "mix",
            GROUP_PROTOCOL=self.plan.protocol,
            SESSION_TIMEOUT_MS=str(int(SESSION_S * 1000)),
            TRANSACTION_TIMEOUT_MS=str(int(TRANSACTION_S * 1000)),
        )

    def __call__(self) -> Result:
        rng = random.Random(self.plan.seed)
        fleet = Fleet(self.pipeline, random.Random(rng.random()))
        mix = Mix(rng, self.plan.without)
        follower = Follower(self.stack.bootstrap_servers, self._out_topics(self.pipeline))
        progress = self._progress(follower)
        servers = self.stack.broker, self.stack.redis
        world = World(*servers, fleet, rng, self.say, behind=lambda: progress.lag > 5 * self.plan.rate)
        feeder = self._start_feeder()
        try:
            follower.start()
            progress.start()
            self._break(world, mix, follower)
            self._end_feeding(feeder)
            ends = self._ends()
            caught_up = self._catch_up(world, follower, ends)
            progress.stop()
            fleet.stop()
            self._await_no_open_transactions()
            follower.stop()
            one_in = 1 + sum(ends.end.values()) // MOST_JUDGED_BY_FOLD
            verdict, checked = self._judge(follower, ends, one_in)
        finally:
            feeder.kill()
            feeder.wait()
            self.pipeline.close()
        fed = sum(ends.end.values())
        still = progress.standstills()
        wrong = [*fleet.wrong_exits, *self._unreported(ends), *_too_long(still, fed)]
        return Result(verdict, mix.injected, fed, wrong, caught_up, fleet.exits, checked, one_in, still)

    def _progress(self, follower: Follower) -> Progress:
        group, topic = self.pipeline.name, self.pipeline.topics[0]
        return Progress(self.stack.bootstrap_servers, group, topic, self.plan.partitions, lambda: follower.count)

    def _pipeline(self, name: str, **environment: str) -> Pipeline:
        pipeline = Pipeline(
            f"{name}-{self.plan.seed}",
            self.stack.bootstrap_servers,
            self.stack.redis_url,
            self.bundle,
            self.folder,
            self.plan.partitions,
            environment,
        )
        pipeline.create_topics()
        return pipeline

    def _out_topics(self, pipeline: Pipeline) -> list[tuple[str, int]]:
        return [(name, self.plan.partitions) for name in pipeline.topics[1:]]

    def _start_feeder(self) -> subprocess.Popen[bytes]:
        given = {
            "bootstrap": self.stack.bootstrap_servers,
            "topic": self.pipeline.topics[0],
            "seed": self.plan.seed,
            "users": self.plan.users,
            "rate": self.plan.rate,
            "trace": str(self.folder / "trace"),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.feeder", json.dumps(given)],
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - one call into the kernel
        )

    def _break(self, world: World, mix: Mix, follower: Follower) -> None:
        begin = time.monotonic()
        next_fault, next_word = begin + 6.0, begin + 5.0
        while (now := time.monotonic()) < begin + self.plan.duration_s:
            world.tick()
            if now >= next_fault and now < begin + self.plan.duration_s - 2:
                if done := mix.inject(world):
                    self.say(f"{now - begin:6.1f} s  {done}")
                next_fault = time.monotonic() + mix.pause_s()
            if now >= next_word:
                self.say(f"{now - begin:6.1f} s  out {follower.count:,}, workers {len(world.fleet.pipeline.workers)}")
                next_word = now + 10.0
            time.sleep(0.05)
        world.calm_down()

    def _end_feeding(self, feeder: subprocess.Popen[bytes]) -> None:
        feeder.send_signal(signal.SIGTERM)
        feeder.wait(120)

    def _ends(self) -> Ends:
        consumer = Consumer({"bootstrap.servers": self.stack.bootstrap_servers, "group.id": "judge", "log_level": 0})
        topic, numbers = self.pipeline.topics[0], range(self.plan.partitions)
        spans = {n: consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=60) for n in numbers}
        consumer.close()
        return Ends({n: span[0] for n, span in spans.items()}, {n: span[1] for n, span in spans.items()})

    def _catch_up(self, world: World, follower: Follower, ends: Ends) -> float | None:
        """Seconds from the last fault until everything was out; None if it never was."""
        begin, total = time.monotonic(), sum(ends.end.values())
        next_word = begin
        while (now := time.monotonic()) < begin + CATCH_UP_S + total / REBUILT_A_S:
            world.tick()
            if follower.count >= total:
                time.sleep(2.0)  # for the write-behind, and for records that should not be there
                return now - begin
            if now >= next_word:
                self.say(f"catching up: out {follower.count:,} of {total:,}")
                next_word = now + 5.0
            time.sleep(0.05)
        return None

    def _await_no_open_transactions(self) -> None:
        deadline = time.monotonic() + TRANSACTION_S + 5
        while open_transactions(self._log_folder) and time.monotonic() < deadline:
            time.sleep(0.5)

    @property
    def _log_folder(self) -> Path:
        return self.stack.broker.data_dir / "log"

    def _judge(self, follower: Follower, ends: Ends, one_in: int) -> tuple[Verdict, int]:
        self.say("judging: a calm run of the same log by one worker")
        calm = self._calm(ends)
        self.say("judging: reading everything back")
        verdict, final = Verdict(), dict[tuple[str, int], tuple[int, int]]()
        outs: list[Seen] = []
        for message in read(self.stack.bootstrap_servers, self._out_topics(self.pipeline)):
            out = seen(message)
            outs.append(out)
            # Compared where the follower came to: what was told then must still be so.
            if out.offset <= follower.told.get((out.topic, out.partition), (-1, 0))[0]:
                running(final, message)
        uncommitted = read(self.stack.bootstrap_servers, self._out_topics(self.pipeline), "read_uncommitted")
        places = ((str(m.topic()), int(m.partition() or 0), int(m.offset() or 0)) for m in uncommitted)
        judge.conservation(verdict, ends, outs)
        judge.order(verdict, outs)
        judge.determinism(verdict, outs, calm)
        judge.visibility(verdict, outs, places)
        judge.steadiness(verdict, follower.told, final)
        found = commits(self._log_folder, self.pipeline.name, self.pipeline.topics[0])
        judge.atomicity(verdict, ends, found, written(self._log_folder, self._out_topics(self.pipeline), outs))
        judge.dangling(verdict, open_transactions(self._log_folder))
        self.say("judging: features and Redis against the log")
        return verdict, self._judge_state(verdict, ends, outs, one_in)

    def _calm(self, ends: Ends) -> list[Seen]:
        """The outputs of one worker that nobody disturbs, over the same input."""
        calm = self._pipeline("calm", INPUT_TOPIC=self.pipeline.topics[0])
        follower = Follower(self.stack.bootstrap_servers, self._out_topics(calm))
        follower.start()
        calm.start()
        deadline = time.monotonic() + CATCH_UP_S + sum(ends.end.values()) / 1_000
        while follower.count < sum(ends.end.values()) and time.monotonic() < deadline:
            time.sleep(0.2)
        calm.stop()
        follower.stop()
        return [seen(message) for message in read(self.stack.bootstrap_servers, self._out_topics(calm))]

    def _judge_state(self, verdict: Verdict, ends: Ends, outs: list[Seen], one_in: int) -> int:
        topic = self.pipeline.topics[0]
        records = (
            ((int(message.partition() or 0), int(message.offset() or 0)), message.value() or b"")
            for message in read(self.stack.bootstrap_servers, [(topic, self.plan.partitions)])
        )
        log = state.Log.of(records, {out.of for out in outs if out.scored}, one_in)
        checked = state.features(verdict, log, outs)
        with redis.Redis.from_url(self.stack.redis_url) as client:
            state.applied_marks(verdict, log, client, f"{self.pipeline.name}/{topic}", ends.end)
        return checked

    def _unreported(self, ends: Ends) -> list[str]:
        """Input that the broker acknowledged to the feeder and no longer has: then the broker is at fault."""
        highest: dict[int, int] = {}
        for line in (self.folder / "trace").read_text().splitlines():
            if len(words := line.split()) == 2:
                highest[int(words[0])] = max(highest.get(int(words[0]), -1), int(words[1]))
        return [f"the broker lost acknowledged input of partition {n}" for n in highest if highest[n] >= ends.end[n]]


def _too_long(found: list[Standstill], fed: int) -> list[str]:
    most_s = STANDSTILL_MOST_S + fed / REBUILT_A_S
    return [str(each) for each in found if each.who == "the group" and each.seconds > most_s]
