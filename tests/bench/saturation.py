"""Worker processes against a preloaded backlog: CPU per event and events a second.

The workers are started, score a first part, and are stopped where they stand while the backlog is loaded. They are
measured from when they go on until all of it is committed and written behind: idle before and idle after, so start-up
is left out and every event's whole cost is in.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Literal

from tests.bench.cpu import MICRO, Ration, spent_s
from tests.bench.results import Row
from tests.bench.rig import BenchError, Rig
from tests.bench.workload import Record, Shape, Users, Workload
from tests.bench.world import TREES, World

WARM_SHARE = 0.25
SHARE = 0.2
"""Of a core for each worker: then two leave the broker as much as it needs, as if it had cores of its own."""
Engine = Literal["tree_walk", "onnxruntime"]


@dataclass(frozen=True)
class Case:
    """What is run."""

    workers: int = 1
    delivery: str = "exactly_once"
    users: Users = "uniform"
    facts: int = 50
    trees: int = TREES
    engine: Engine = "tree_walk"
    share: float = 1.0  # of a core's time that each worker may use
    repeat: int = 0

    @property
    def name(self) -> str:
        return f"sat-{'-'.join(map(str, asdict(self).values()))}".replace("_", "-").replace(".", "-")

    def rig(self, world: World) -> Rig:
        settings = {"DELIVERY": self.delivery, "TREE_WALK": str(self.engine == "tree_walk").lower()}
        return Rig(world, self.name, world.environment(self.name, settings, self.trees))

    @property
    def label(self) -> dict[str, str | int | float]:
        return {key: value for key, value in asdict(self).items() if key != "repeat" or value}


def saturate(world: World, case: Case, events: int) -> Row:
    """One case with `events` to score, a first part of them unmeasured."""
    (row,) = by_turns(world, [case], events, math.inf)
    return row


def by_turns(
    world: World, cases: Sequence[Case], events: int, turn_s: float, between: Callable[[], None] = lambda: None
) -> Iterator[Row]:
    """Cases that differ in their workers only, each with `events` to score.

    Several take turns of a moment, `turn_s` for one worker, so that all see the same moods of the machine, and so does
    what is done `between`; twice as many workers have turns half as long, so that all end at about the same time.
    """
    workload = world.workload(Shape(events, cases[0].facts, cases[0].users))
    cut = int(events * WARM_SHARE)
    with ExitStack() as stack:
        runs = [Run(case, stack.enter_context(case.rig(world)), workload) for case in cases]
        for run in runs:
            run.warm(workload.records[:cut])
        for run in runs:
            run.stop()
        for run in runs:
            run.rig.feed(workload.records[cut:])
        time.sleep(0.3)  # the broker is done with it, too
        while under_way := [run for run in runs if not run.done]:
            for run in under_way:
                run.go_on(turn_s / run.case.workers)
            between()
    yield from (run.row(events - cut) for run in runs)


class Run:
    """The workers of one case, and what was spent in their turns."""

    def __init__(self, case: Case, rig: Rig, workload: Workload) -> None:
        self.case, self.rig, self.done = case, rig, False
        rig.store(workload)
        self._workers = [rig.start(str(number)) for number in range(case.workers)]
        self._all = [*self._workers, rig.world.stack.broker.pid, rig.world.stack.redis.pid]
        self._seconds, self._used = 0.0, [0.0] * len(self._all)
        rig.wait(lambda: rig.shared(case.workers), "sharing the partitions")

    def warm(self, records: Sequence[Record]) -> None:
        """What is measured begins behind these."""
        self.rig.feed(records)
        self.rig.wait(self.rig.committed, "scoring the first part")
        self.rig.wait(self.rig.applied, "writing the first part behind")

    def stop(self) -> None:
        """Where they stand. From here on their CPU time is counted."""
        self._before = self.rig.metrics()
        self.rig.stand_still()
        self._ration = Ration(self._workers, self.case.share)

    def go_on(self, seconds: float) -> None:
        """For so long, or until all is committed; then until it is written behind, too, which takes CPU time only."""
        cpu, started = spent_s(self._all), time.perf_counter()
        with self.rig.awake(), self._ration.kept():
            ended = self.rig.wait(lambda: self._committed_by(started + seconds), "scoring the backlog", pause_s=0.05)
            if self.done:
                self.rig.wait(self.rig.applied, "writing the backlog behind")
                self._after = self.rig.metrics()
        spent = zip(self._used, cpu, spent_s(self._all), strict=True)
        self._used = [used + after - before for used, before, after in spent]
        self._seconds += ended - started

    def _committed_by(self, deadline: float) -> bool:
        """Whether it is, or the time is up."""
        self.done = self.rig.committed()
        return self.done or time.perf_counter() >= deadline

    def row(self, events: int) -> Row:
        """What it came to, once done."""
        metrics = {name: value - self._before[name] for name, value in self._after.items()}
        return _row(self.case, events, self._used, self._seconds, metrics)


def _row(case: Case, events: int, used: list[float], seconds: float, metrics: dict[str, float]) -> Row:
    scored = sum(count for name, count in metrics.items() if name.startswith("scores_total"))
    if scored != events:
        raise BenchError(f"{case}: {scored:.0f} events were scored, not {events}")
    *workers, broker, redis = (MICRO * spent / events for spent in used)
    asked = metrics["history_cache_hits_total"] + metrics["history_cache_misses_total"]
    found = {
        "worker_us": sum(workers),
        "events_per_s": events / seconds,
        "broker_us": broker,
        "redis_us": redis,
        "batch": metrics["batch_events_sum"] / metrics["batch_events_count"],
        "hit_share": metrics["history_cache_hits_total"] / asked,
    }
    return Row("saturation", case.label, found)
