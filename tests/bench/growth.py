"""What grows: cost per event against the number of users, and the memory that a user takes.

Batches of 2,048 events of users drawn at random, by the worker's own flow in this process. With every user in memory
the cost grows by the processor's cache misses: more batches of the same users tell them apart. With none, every user
is read from Redis. The populations take turns, so that what else the machine does meets all alike: a turn is one batch,
or one and at once those of the same users, with nobody else's in between.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import psutil
from redis import Redis

from riskstream.models.bundle import load_bundle
from riskstream.models.scorer import Scorer
from riskstream.workers.kafka.batch import Batch
from tests.bench.cpu import cpu_us, settle
from tests.bench.flow import Flow
from tests.bench.results import Row
from tests.bench.rig import Rig
from tests.bench.saturation import Case, saturate
from tests.bench.workload import Record, Shape, Workload, crowded
from tests.bench.world import TREES, World

FEW = Shape(40_000, 5)
"""About ten thousand users, with two facts or more in their past."""
COPIES = (1, 100, 900)
"""As many times the users: a million, and ten. The last takes NEEDED bytes of memory, and is left out where there are
fewer."""
NEEDED = 16 << 30
BATCH, BATCHES, WARM = 2_048, 12, 2


@dataclass(frozen=True)
class Population:
    """Users, the flow that knows them, and the memory that each takes."""

    workload: Workload
    flow: Flow
    redis_bytes: float
    worker_bytes: float


def users(world: World) -> Iterator[Row]:
    """From ten thousand users to ten million."""
    base = world.workload(FEW)
    enough = psutil.virtual_memory().available >= NEEDED
    with ExitStack() as stack:
        populations = [_populated(world, stack, base, copies) for copies in (COPIES if enough else COPIES[:-1])]
        half = BATCH * BATCHES
        missing = _in_turns(populations, lambda records: records[:half], 1, forget=True)
        for population in populations:
            population.flow.forget()
            population.flow.remember()
        settle()
        known = _in_turns(populations, lambda records: _thrice(records[half:]), 3, forget=False)
    for number, population in enumerate(populations):
        past = population.workload.past
        found = {
            "in_memory_us": median(known[number][3 * WARM :: 3]),
            "just_seen_us": median(known[number][3 * WARM + 2 :: 3]),
            "from_redis_us": median(missing[number][WARM:]),
            "redis_bytes_per_user": population.redis_bytes,
            "worker_bytes_per_user": population.worker_bytes,
            "of_which_facts": 64 * sum(map(len, past.values())) / len(past),
        }
        yield Row("growth, users", {"users": len(past)}, found)
    Redis.from_url(world.stack.redis_url).flushall(asynchronous=True)


def _populated(world: World, stack: ExitStack, base: Workload, copies: int) -> Population:
    workload = crowded(base, copies, 2 * BATCH * BATCHES)
    rig = stack.enter_context(Rig(world, f"users-{copies}", {}))
    stored = _redis_bytes(world)
    rig.store_pasts(workload)
    stored = _redis_bytes(world) - stored
    rig.store(workload)
    flow = Flow(rig, workload, TREES)
    resident = psutil.Process().memory_info().rss
    flow.remember()
    resident = psutil.Process().memory_info().rss - resident
    return Population(workload, flow, stored / len(workload.past), resident / len(workload.past))


def _thrice(records: list[Record]) -> list[Record]:
    """Each batch and two more of the same users, whose facts are then in the processor's caches.

    Stored users have three facts and room for four: in the second batch most histories move, once, to more room.
    """
    chunks = [records[start : start + BATCH] for start in range(0, len(records), BATCH)]
    return [record for chunk in chunks for again in ("", "2-", "3-") for record in _named(chunk, again)]


def _named(records: list[Record], prefix: str) -> list[Record]:
    """The same but for their ids, which begin with the prefix."""
    start = b'"event_id":"'
    return [record._replace(value=record.value.replace(start, start + prefix.encode(), 1)) for record in records]


def _in_turns(
    populations: list[Population], some: Callable[[list[Record]], list[Record]], at_once: int, *, forget: bool
) -> list[list[float]]:
    """For each population, what each batch of some of its records cost in all. A turn is `at_once` batches."""
    batches = [list(one.flow.batches(some(one.workload.records), BATCH)) for one in populations]
    found: list[list[float]] = [[] for _ in populations]
    for start in range(0, len(batches[0]), at_once):
        for population, own, costs in zip(populations, batches, found, strict=True):
            costs += [_total(population.flow, batch, forget) for batch in own[start : start + at_once]]
    return found


def trees(world: World) -> Iterator[Row]:
    """The score stage by the size of the model."""
    workload = world.workload(Shape(4_096, 50))
    with Rig(world, "trees", {}) as rig:
        rig.store(workload)
        flow = Flow(rig, workload, TREES)
        vectors = [flow.run(batch)[0].scored.vectors for batch in flow.batches(workload.records, 256)][-1]
    for count, path in sorted(world.bundles.items()):
        scorer = Scorer(load_bundle(path, world.domain.features))
        yield Row("growth, trees", {"trees": count}, {"score_us": cpu_us(lambda: len(scorer(vectors)), 9)})  # noqa: B023


def features(world: World) -> Iterator[Row]:
    """The assembling by the number of features: some of the table, the table, and the table twice."""
    workload = world.workload(Shape(4_096, 50))
    with Rig(world, "features", {}) as rig:
        rig.store(workload)
        flow = Flow(rig, workload, TREES)
        outcome = [flow.run(batch)[0] for batch in flow.batches(workload.records, BATCH)][-1]
    table = world.domain.features
    again = tuple(dataclasses.replace(row, name=f"{row.name}_again") for row in table.rows)
    for rows in (table.rows[:10], table.rows[:20], table.rows, table.rows + again):
        some = dataclasses.replace(table, rows=rows)
        joined, values = outcome.joined, outcome.aggregates.values
        us = cpu_us(lambda: len(some.assemble(joined.columns, values, joined.profile)), 25)  # noqa: B023
        yield Row("growth, features", {"features": len(rows)}, {"assemble_us": us})


def backlogs(world: World) -> Iterator[Row]:
    """The whole worker by the length of the backlog that it finds."""
    for events in (15_000, 60_000, 120_000):
        row = saturate(world, Case(repeat=events), events)
        yield Row("growth, backlog", {"events": events}, row.found)


def _total(flow: Flow, batch: Batch, forget: bool) -> float:
    if forget:
        flow.forget()
    return sum(flow.run(batch)[1].values())


def _redis_bytes(world: World) -> int:
    client = Redis.from_url(world.stack.redis_url)
    used = int(client.info("memory")["used_memory"])
    client.close()
    return used
