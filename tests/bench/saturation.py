"""Worker processes against a preloaded backlog: CPU per event and events a second.

The workers are started, score a first part, and are stopped where they stand while the backlog is loaded. They are
measured from when they go on until all of it is committed and written behind: idle before and idle after, so start-up
is left out and every event's whole cost is in.
"""

import time
from dataclasses import asdict, dataclass

from tests.bench.cpu import MICRO, spent_s
from tests.bench.results import Row
from tests.bench.rig import BenchError, Rig
from tests.bench.workload import Shape, Users
from tests.bench.world import TREES, World

WARM_SHARE = 0.25


@dataclass(frozen=True)
class Case:
    """What is run."""

    workers: int = 1
    delivery: str = "exactly_once"
    users: Users = "uniform"
    facts: int = 50
    trees: int = TREES
    repeat: int = 0

    @property
    def name(self) -> str:
        return f"sat-{'-'.join(map(str, asdict(self).values()))}".replace("_", "-")

    @property
    def label(self) -> dict[str, str | int | float]:
        return {key: value for key, value in asdict(self).items() if key != "repeat" or value}


def saturate(world: World, case: Case, events: int) -> Row:
    """One case with `events` to score, a first part of them unmeasured."""
    workload = world.workload(Shape(events, case.facts, case.users))
    cut = int(events * WARM_SHARE)
    with Rig(world, case.name, world.environment(case.name, case.trees, DELIVERY=case.delivery)) as rig:
        rig.store(workload)
        rig.feed(workload.records[:cut])
        workers = [rig.start(str(number)) for number in range(case.workers)]
        servers = [world.stack.broker.pid, world.stack.redis.pid]
        rig.wait(rig.committed, "scoring the first part")
        rig.wait(lambda: _shared(rig, case.workers), "sharing the partitions")
        rig.wait(rig.applied, "writing the first part behind")
        before = rig.metrics()
        with rig.paused():
            rig.feed(workload.records[cut:])
            time.sleep(0.3)  # the broker is done with it, too
            cpu = spent_s([*workers, *servers])
            started = time.perf_counter()
        ended = rig.wait(rig.committed, "scoring the backlog", pause_s=0.05)
        rig.wait(rig.applied, "writing the backlog behind")
        used = [after - earlier for earlier, after in zip(cpu, spent_s([*workers, *servers]), strict=True)]
        counted = {name: value - before[name] for name, value in rig.metrics().items()}
    return _row(case, events - cut, used, ended - started, counted)


def _shared(rig: Rig, workers: int) -> bool:
    counts = [rig.metrics_of(slot)["assigned_partitions"] for slot in rig.processes]
    return sum(counts) == rig.partitions and len([count for count in counts if count]) == workers


def _row(case: Case, events: int, used: list[float], seconds: float, metrics: dict[str, float]) -> Row:
    if metrics["events_total"] != events or metrics["recovered_facts_total"]:
        raise BenchError(f"{case}: {metrics['events_total']} events were scored, not {events}")
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
