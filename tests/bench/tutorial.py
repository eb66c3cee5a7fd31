"""Runs the naive loop and answers what it cost."""

import json

from tests.bench.rig import BenchError, Rig
from tests.bench.workload import Workload
from tests.bench.world import TREES, World, topics_of

COUNTERS = 12
EVENTS = 1_200
"""Few, so that their cost per event is that of the loop: the client fetches all of a topic ahead."""


def naive_us(world: World, workload: Workload, commit_every: int) -> float:
    """CPU microseconds per event."""
    name = f"naive-{commit_every}"
    with Rig(world, name, {}) as rig:
        _store_counters(world, workload)
        rig.feed(workload.records[:EVENTS])
        source, target, _ = topics_of(name)
        options = {
            "bootstrap": world.stack.bootstrap_servers,
            "redis": world.stack.redis_url,
            "source": source,
            "target": target,
            "model": str(world.bundles[TREES] / "model.onnx"),
            "group": name,
            "events": str(EVENTS),
            "commit-every": str(commit_every),
        }
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        rig.start("loop", ["tests.bench.naive", *words])
        if rig.processes["loop"].wait(120):
            raise BenchError(rig.log("loop"))
        del rig.processes["loop"]
        return float(json.loads(rig.log("loop").splitlines()[-1])["us"])


def _store_counters(world: World, workload: Workload) -> None:
    from redis import Redis

    client = Redis.from_url(world.stack.redis_url)
    pipeline = client.pipeline(transaction=False)
    for user in workload.users:
        pipeline.hset(f"counters:{user}", mapping={f"counter_{number}": number * 1.5 for number in range(COUNTERS)})
    pipeline.execute()
    client.close()
