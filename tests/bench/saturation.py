"""Worker processes against a preloaded backlog: CPU per event and events a second.

The workers are started, score a first part, and are stopped where they stand while the backlog is loaded. They are
measured from when they go on until all of it is committed and written behind: idle before and idle after, so start-up
is left out and every event's whole cost is in.
"""

import time
from dataclasses import asdict, dataclass
from typing import Literal

from tests.bench.cpu import MICRO, rationed, spent_s
from tests.bench.results import Row
from tests.bench.rig import BenchError, Rig
from tests.bench.workload import Shape, Users
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
    share: float = 1.0  # of its time that each worker may run
    repeat: int = 0

    @property
    def name(self) -> str:
        return f"sat-{'-'.join(map(str, asdict(self).values()))}".replace("_", "-").replace(".", "-")

    @property
    def settings(self) -> dict[str, str]:
        return {"DELIVERY": self.delivery, "TREE_WALK": str(self.engine == "tree_walk").lower()}

    @property
    def label(self) -> dict[str, str | int | float]:
        return {key: value for key, value in asdict(self).items() if key != "repeat" or value}


def saturate(world: World, case: Case, events: int) -> Row:
    """One case with `events` to score, a first part of them unmeasured."""
    workload = world.workload(Shape(events, case.facts, case.users))
    cut = int(events * WARM_SHARE)
    with Rig(world, case.name, world.environment(case.name, case.settings, case.trees)) as rig:
        rig.store(workload)
        workers = [rig.start(str(number)) for number in range(case.workers)]
        servers = [world.stack.broker.pid, world.stack.redis.pid]
        rig.wait(lambda: rig.shared(case.workers), "sharing the partitions")
        rig.feed(workload.records[:cut])
        rig.wait(rig.committed, "scoring the first part")
        rig.wait(rig.applied, "writing the first part behind")
        before = rig.metrics()
        with rig.paused():
            rig.feed(workload.records[cut:])
            time.sleep(0.3)  # the broker is done with it, too
            cpu = spent_s([*workers, *servers])
            started = time.perf_counter()
        with rationed(workers, case.share):
            ended = rig.wait(rig.committed, "scoring the backlog", pause_s=0.05)
            rig.wait(rig.applied, "writing the backlog behind")
        used = [after - earlier for earlier, after in zip(cpu, spent_s([*workers, *servers]), strict=True)]
        counted = {name: value - before[name] for name, value in rig.metrics().items()}
    return _row(case, events - cut, used, ended - started, counted)


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
