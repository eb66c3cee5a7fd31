"""What is measured, in order; and the headline that it comes to."""

from collections.abc import Callable, Iterator, Sequence

from riskstream.workers.kafka.output import Outgoing
from tests.bench import exchange
from tests.bench.floor import floor_us
from tests.bench.flow import Flow
from tests.bench.latency import Pace, latencies
from tests.bench.results import Row
from tests.bench.rig import Rig
from tests.bench.saturation import Case, saturate
from tests.bench.stages import stage_rows
from tests.bench.tutorial import naive_us
from tests.bench.workload import Shape
from tests.bench.world import TREES, World

USUAL = Shape(30_000, 50)
LARGEST = 2_048
"""The batch size of the headline's floor: the cheapest."""
FEWER = 100

Measurement = Callable[[World], Iterator[Row]]


def inner(world: World, kafka_sizes: Sequence[int] = tuple(exchange.PUBLISHED)) -> Iterator[Row]:
    """Stages, their floor, and both for Kafka: the same data, one after the other."""
    workload = world.workload(USUAL)
    with Rig(world, "stages", {}) as rig:
        flow = Flow(rig, workload, TREES)
        outcomes = {}
        for row, outcome in stage_rows(flow, workload.records, (FEWER,)):
            outcomes[len(outcome.records)] = outcome
            yield row
        for size, outcome in outcomes.items():
            for step, us in floor_us(flow, outcome, TREES).items():
                yield Row("floor", {"step": step, "batch": size}, {"us": us})
        rig.feed(workload.records)
        yield from _kafka(rig, outcomes[LARGEST].records, kafka_sizes)


def quick_inner(world: World) -> Iterator[Row]:
    """The same, Kafka's part at one batch size."""
    yield from inner(world, [LARGEST])


def _kafka(rig: Rig, records: list[Outgoing], sizes: Sequence[int]) -> Iterator[Row]:
    """The worker's clients, and the cheapest ways beside them."""
    with exchange.worker_input(rig.world.settings(rig.name)) as source:
        group = exchange.group_of(rig, source)
        modes = ("exactly_once", "at_least_once")
        outputs = {mode: exchange.open_output(rig.world.settings(rig.name, DELIVERY=mode), source) for mode in modes}
        transaction = exchange.transaction_floor_us(rig, group, records)
        for size in sizes:
            some = records[:size]
            found = {"consume": exchange.consume_us(rig, source, size)} | {
                f"produce and commit, {mode}": exchange.publish_us(rig, outputs[mode], group, some) for mode in modes
            }
            for what, us in found.items():
                yield Row("exchange", {"what": what, "batch": size}, {"us": us})
            floor = {
                "consume": exchange.consume_floor_us(rig, size),
                "produce": exchange.produce_floor_us(rig, some),
                "commit": transaction / size,
            }
            for step, us in floor.items():
                yield Row("floor", {"step": step, "batch": size}, {"us": us})


def naive(world: World) -> Iterator[Row]:
    for every in (1, 100):
        yield Row("naive", {"commit_every": every}, {"us": naive_us(world, world.workload(USUAL), every)})


def quick_saturation(world: World) -> Iterator[Row]:
    yield saturate(world, Case(), USUAL.events)


def quick_latency(world: World) -> Iterator[Row]:
    for process in ("passthrough", "worker"):
        yield from latencies(world, world.workload(USUAL), [Pace("exactly_once", 500, 5)], process)


QUICK: tuple[Measurement, ...] = (quick_inner, quick_saturation, naive, quick_latency)


def headline(rows: list[Row]) -> dict[str, float]:
    """The last line's numbers; only those whose measurements were made."""
    floor = sum(row.found["us"] for row in rows if row.section == "floor" and row.of["batch"] == LARGEST)
    ort = _found(rows, "floor", "us", step="score", batch=LARGEST)
    worker = _found(rows, "saturation", "worker_us", **Case().label)
    naive_each = _found(rows, "naive", "us", commit_every=1)
    p50 = _found(rows, "latency", "p50_ms", delivery="exactly_once", rate=500, process="worker")
    found = {
        "worker_us": worker,
        "floor_us": floor or None,
        "floor_ratio": worker and floor and worker / floor,
        "ort_ratio": worker and ort and worker / ort,
        "naive_ratio": worker and naive_each and naive_each / worker,
        "p50_ms_500": p50,
    }
    return {name: value for name, value in found.items() if value}


def _found(rows: list[Row], section: str, what: str, **of: str | int | float) -> float | None:
    values = [row.found[what] for row in rows if row.section == section and of.items() <= row.of.items()]
    return sorted(values)[len(values) // 2] if values else None
