"""What faults are done to: workers that are started again when they end, a broker, a Redis; and a list of what is due.

Everything is done by one thread, which also started the processes, so that none of them outlives it.
"""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from riskstream.deploy.stack import RedisServer
from tests.faults.quorum import ControlledBroker
from tests.support.pipeline import Pipeline

SLOTS = ("a", "b", "c")
# In order; killed; told to end before or after its loop; told twice; gave up waiting for Kafka or Redis.
EXPECTED_EXITS = (0, -signal.SIGKILL, -signal.SIGTERM, 130, 75)

Say = Callable[[str], None]


@dataclass
class Fleet:
    """Up to three workers, kept running as a supervisor would: one that has ended is started again."""

    pipeline: Pipeline
    random: random.Random
    wanted: int = 2
    paused: set[str] = field(default_factory=set)
    wrong_exits: list[str] = field(default_factory=list)
    exits: dict[int, int] = field(default_factory=dict)
    _start_at: dict[str, float] = field(default_factory=dict)

    def tick(self) -> None:
        for slot in list(self.pipeline.workers):
            code = self.pipeline.workers[slot].poll()
            if code is not None:
                self._note_exit(slot, code)
        for slot in SLOTS[: self.wanted]:
            if slot not in self.pipeline.workers and time.monotonic() >= self._start_at.get(slot, 0.0):
                self.pipeline.start(slot)
        for slot in SLOTS[self.wanted :]:
            if worker := self.pipeline.workers.get(slot):
                worker.send_signal(signal.SIGTERM)

    def awake(self) -> list[str]:
        return [slot for slot in self.pipeline.workers if slot not in self.paused]

    def signal(self, slot: str, number: signal.Signals) -> None:
        if worker := self.pipeline.workers.get(slot):
            worker.send_signal(number)

    def stop(self, timeout_s: float = 40.0) -> None:
        """End all in order, as at the end of a run."""
        for worker in self.pipeline.workers.values():
            worker.send_signal(signal.SIGCONT)
            worker.send_signal(signal.SIGTERM)
        for slot, worker in list(self.pipeline.workers.items()):
            try:
                self._note_exit(slot, worker.wait(timeout_s))
            except subprocess.TimeoutExpired:
                worker.send_signal(signal.SIGABRT)  # with PYTHONFAULTHANDLER: the log says where it hangs
                worker.wait(10)
                words = _where_it_hangs(self.pipeline, slot)
                self.wrong_exits.append(f"worker {slot} did not end within {timeout_s:.0f} s of SIGTERM: {words}")
                del self.pipeline.workers[slot]

    def _note_exit(self, slot: str, code: int) -> None:
        del self.pipeline.workers[slot]
        self.paused.discard(slot)
        self._start_at[slot] = time.monotonic() + self.random.uniform(0.0, 2.0)
        self.exits[code] = self.exits.get(code, 0) + 1
        if code not in EXPECTED_EXITS:
            self.wrong_exits.append(f"worker {slot} ended with {code}; its log says: {last_words(self.pipeline, slot)}")


@dataclass
class World:
    """A run's servers and workers. `behind`: whether the group has still to make up for an earlier fault.

    `later` puts the second half of a fault on the list; `tick` does what is due."""

    broker: ControlledBroker
    redis: RedisServer
    fleet: Fleet
    random: random.Random
    say: Say
    behind: Callable[[], bool]
    busy: set[str] = field(default_factory=set)
    _due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        self._due.append((time.monotonic() + seconds, action))

    def tick(self) -> None:
        now = time.monotonic()
        due = [item for item in self._due if item[0] <= now]
        self._due = [item for item in self._due if item[0] > now]
        for _, action in due:
            action()
        self.fleet.tick()

    def calm_down(self) -> None:
        """Do at once what was put off: everything runs again."""
        for _, action in self._due:
            action()
        self._due = []
        self.fleet.tick()


def last_words(pipeline: Pipeline, slot: str, count: int = 3) -> str:
    return " | ".join(pipeline.log(slot).splitlines()[-count:])[-1_200:]


def _where_it_hangs(pipeline: Pipeline, slot: str) -> str:
    _, _, trace = pipeline.log(slot).rpartition("Current thread")
    return " | ".join(trace.splitlines()[1:4])
