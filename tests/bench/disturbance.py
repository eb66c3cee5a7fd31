"""Latency while something happens to the workers: another joins, one is rolled, one dies.

Two workers, 500 events a second. Five seconds of calm, then the disturbance; an event is late when it takes longer
than any did while all was calm, and more than a tenth of a second. Calm again is when the last late one came out.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from tests.bench.latency import Trip, travel
from tests.bench.results import Row
from tests.bench.rig import Rig
from tests.bench.workload import Workload
from tests.bench.world import TREES, World

RATE, CALM_S, REST_S = 500, 5.0, 20.0
LATE_MS = 100.0


@dataclass
class Script:
    """Steps, each a time since the first event and what to do then; a step may answer False to be called again."""

    steps: list[tuple[float, Callable[[], object]]]
    done: int = field(default=0)

    def __call__(self, now_s: float) -> None:
        if self.done < len(self.steps):
            at_s, step = self.steps[self.done]
            if now_s >= at_s and step() is not False:
                self.done += 1


def disturbances(world: World, workload: Workload) -> Iterator[Row]:
    """A row for each of what can happen."""
    for what in ("a worker joins", "a worker is rolled", "a worker dies", "a worker dies and comes again"):
        name = what.replace(" ", "-")
        environment = world.environment(name, {"SESSION_TIMEOUT_MS": "6000"})
        with Rig(world, name, environment) as rig:
            rig.store(workload)
            slots = ["a"] if what == "a worker joins" else ["a", "b"]
            for slot in slots:
                rig.start(slot)
            rig.wait(lambda: rig.shared(len(slots)), "sharing the partitions")  # noqa: B023
            warm, whole = int(RATE * 2), int(RATE * (2 + CALM_S + REST_S))
            travel(rig, workload.records[:warm], RATE)
            trip = travel(rig, workload.records[warm:whole], RATE, _script(rig, what))
            yield Row("disturbances", {"what": what}, _found(trip))


def _script(rig: Rig, what: str) -> Script:
    # Started from here, not from a thread: a child dies with the thread that started it.
    def end() -> None:
        rig.processes["b"].terminate()

    def again() -> bool:
        if rig.processes["b"].poll() is None:
            return False
        rig.start("b")
        return True

    steps: dict[str, list[Callable[[], object]]] = {
        "a worker joins": [lambda: rig.start("b")],
        "a worker is rolled": [end, again],
        "a worker dies": [lambda: rig.kill("b")],
        "a worker dies and comes again": [lambda: rig.kill("b"), lambda: rig.start("b")],
    }
    return Script([(CALM_S, step) for step in steps[what]])


def _found(trip: Trip) -> dict[str, float]:
    after = trip.at_s >= CALM_S
    calm = trip.at_s < CALM_S - 1.0  # later ones may have been under way when it happened
    late = ~calm & (trip.took_ms > max(LATE_MS, float(trip.took_ms[calm].max())))
    calm_again = float((trip.at_s[late] + trip.took_ms[late] / 1_000).max() - CALM_S) if late.any() else 0.0
    p50, p99 = np.percentile(trip.took_ms[after], [50, 99]).tolist()
    return {
        "p50_ms": p50,
        "p99_ms": p99,
        "max_ms": float(trip.took_ms.max()),
        "late_events": float(late.sum()),
        "calm_again_s": calm_again,
    }


def start_up(world: World, workload: Workload) -> Row:
    """A first worker starts where events wait for it: until it is ready, has its partitions, and has scored one."""
    with Rig(world, "start-up", world.environment("start-up")) as rig:
        rig.store(workload)
        rig.feed(workload.records[:100])
        began = time.perf_counter()
        rig.start()
        ready = rig.wait(lambda: '"worker is ready"' in rig.log(), "being ready")
        assigned = rig.wait(lambda: rig.shared(1), "taking the partitions")
        scored = rig.wait(rig.committed, "scoring")
    return Row(
        "start-up",
        {"trees": TREES},
        {"ready_s": ready - began, "partitions_s": assigned - began, "scored_s": scored - began},
    )


def recovery(world: World, workload: Workload, behind: int) -> Row:
    """A worker dies with `behind` events that it had not written to Redis; its heir, already running, takes over."""
    unwritten = {"WRITE_BEHIND_MS": "60000", "WRITE_BEHIND_USERS": "1000000", "SESSION_TIMEOUT_MS": "6000"}
    name = f"recovery-{behind}"
    with Rig(world, name, world.environment(name, unwritten), partitions=1) as rig:
        rig.store(workload)
        records = [record._replace(partition=0) for record in workload.records[: behind + 100]]
        for slot in ("a", "b"):
            rig.start(slot)
        rig.wait(lambda: rig.shared(1), "taking the partition")
        rig.feed(records[:behind])
        rig.wait(rig.committed, "scoring")
        owner, heir = sorted(rig.processes, key=lambda slot: -rig.metrics_of(slot)["assigned_partitions"])
        rig.kill(owner)
        died = time.time()
        trip = travel(rig, records[behind:], 1_000)
        visible = time.time() - time.perf_counter() + trip.began + float((trip.at_s + trip.took_ms / 1_000).min())
        taken = _moment(rig, heir)
    return Row(
        "recovery",
        {"behind": behind},
        {
            "dead_to_taken_s": taken - died,
            "taken_to_scored_s": visible - taken,
            "longest_ms": float(trip.took_ms.max()),
        },
    )


def _moment(rig: Rig, slot: str) -> float:
    """When the heir said that it takes the partition's state."""
    (line,) = rig.events_logged(slot, "state is taken")[-1:]
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()
