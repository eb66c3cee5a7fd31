"""What is measured, in order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice

from riskstream.workers.kafka.output import Outgoing
from riskstream.workers.outcome import Outcome
from tests.bench import exchange, growth
from tests.bench.aims import BY_TURNS, LARGEST
from tests.bench.cpu import cpu_us
from tests.bench.disturbance import disturbances, recovery, start_up
from tests.bench.floor import Floor, floor_steps, floor_us, in_one_piece
from tests.bench.flow import Flow
from tests.bench.latency import LIVES, WARM_EVENTS, Pace, latencies, most_sustained
from tests.bench.results import Row
from tests.bench.rig import Rig
from tests.bench.saturation import SHARE, Case, by_turns, saturate
from tests.bench.stages import stage_rows
from tests.bench.tutorial import naive_us
from tests.bench.workload import Shape
from tests.bench.world import TREES, World

USUAL = Shape(60_000, 50)
"""Four thousand users. Every figure of the headline is of these."""
LONGER, LONGEST = Shape(120_000, 50), Shape(240_000, 50)
FEWER, FEWEST = 100, 50
REPEATS = 5
"""Of what the aims speak of."""
TURN_S = 0.5
"""Of one worker that has a core; of one that has a share of it, twice as long."""

Rows = list[Row]
Measurement = Callable[[World, Rows], Iterator[Row]]
"""Given the rows found so far."""


def inner(world: World, _: Rows) -> Iterator[Row]:
    yield from _inner(world, tuple(exchange.PUBLISHED))


def quick_inner(world: World, _: Rows) -> Iterator[Row]:
    """The same, Kafka's part at one batch size."""
    yield from _inner(world, [LARGEST])


def _inner(world: World, kafka_sizes: Sequence[int]) -> Iterator[Row]:
    """Stages, their floor, and both for Kafka: the same data, one after the other."""
    workload = world.workload(USUAL)
    with Rig(world, "stages", {}) as rig:
        rig.store(workload)
        flow = Flow(rig, workload, TREES)
        outcomes = {}
        for row, outcome in stage_rows(flow, workload.records, (FEWER,)):
            outcomes[len(outcome.records)] = outcome
            yield row
        for outcome in outcomes.values():
            yield from _floor(flow, outcome)
        rig.feed(workload.records)
        yield from _kafka(rig, outcomes[LARGEST].records, kafka_sizes)


def _floor(flow: Flow, outcome: Outcome) -> Iterator[Row]:
    """All steps but those on Kafka."""
    for step, us in floor_us(flow, outcome, TREES).items():
        yield Row("floor", {"step": step, "batch": len(outcome.records)}, {"us": us})


@contextmanager
def _standing_floor(world: World, repeat: int) -> Iterator[Floor]:
    """All of its steps at the largest batch, ready to be measured by turns with workers."""
    workload = world.workload(USUAL)
    with ExitStack() as stack:
        rig = stack.enter_context(Rig(world, f"floor-{repeat}", {}))
        rig.store(workload)
        flow = Flow(rig, workload, TREES)
        flow.remember()
        outcomes = [flow.run(batch)[0] for batch in islice(flow.batches(workload.records, LARGEST), 3)]
        steps = stack.enter_context(floor_steps(flow, in_one_piece(outcomes[-1]), TREES))
        rig.feed(workload.records)
        source = stack.enter_context(exchange.worker_input(world.settings(rig.name)))
        records = outcomes[-1].records
        transaction = exchange.transaction_floor(rig, exchange.group_of(rig, source), records)
        steps["consume"] = stack.enter_context(exchange.consume_floor(rig, LARGEST))
        steps["produce"] = exchange.produce_floor(rig, records)
        steps["commit"] = lambda: transaction() * LARGEST
        yield Floor(steps)


def _kafka(rig: Rig, records: list[Outgoing], sizes: Sequence[int]) -> Iterator[Row]:
    """The worker's clients, and the cheapest ways beside them."""
    with exchange.worker_input(rig.world.settings(rig.name)) as source:
        group = exchange.group_of(rig, source)
        modes = ("exactly_once", "at_least_once")
        outputs = {mode: exchange.open_output(rig.world.settings(rig.name, DELIVERY=mode)) for mode in modes}
        transaction = cpu_us(exchange.transaction_floor(rig, group, records), exchange.ROUNDS)
        for size in sizes:
            some = records[:size]
            found = {"consume": exchange.consume_us(rig, source, size)} | {
                f"publish, {mode}": exchange.publish_us(rig, outputs[mode], group, some) for mode in modes
            }
            for what, us in found.items():
                yield Row("exchange", {"what": what, "batch": size}, {"us": us})
            with exchange.consume_floor(rig, size) as consume:
                floor = {
                    "consume": cpu_us(consume, exchange.ROUNDS),
                    "produce": cpu_us(exchange.produce_floor(rig, some), exchange.ROUNDS),
                    "commit": transaction / size,
                }
            for step, us in floor.items():
                yield Row("floor", {"step": step, "batch": size}, {"us": us})


def naive(world: World, _: Rows) -> Iterator[Row]:
    for every in (1, 100):
        yield Row("naive", {"commit_every": every}, {"us": naive_us(world, world.workload(USUAL), every)})


def quick_naive(world: World, _: Rows) -> Iterator[Row]:
    yield Row("naive", {"commit_every": 1}, {"us": naive_us(world, world.workload(USUAL), 1)})


def quick_saturation(world: World, _: Rows) -> Iterator[Row]:
    yield saturate(world, Case(), USUAL.events)
    yield saturate(world, Case(engine="onnxruntime"), USUAL.events)


def saturation(world: World, _: Rows) -> Iterator[Row]:
    """One thing changed at a time; what the aims speak of several times, by turns with the floor."""
    for repeat in range(REPEATS):
        with _standing_floor(world, repeat) as floor:
            cases = [Case(repeat=repeat), Case(engine="onnxruntime", repeat=repeat), Case(workers=2, repeat=repeat)]
            yield from by_turns(world, cases, LONGER.events, TURN_S, between=floor.measure)
            yield Row(BY_TURNS, {"repeat": repeat}, floor.us())
    for workers in (1, 2):
        yield saturate(world, Case(workers, "at_least_once"), USUAL.events)
    yield saturate(world, Case(trees=FEWER), USUAL.events)
    yield saturate(world, Case(users="hot"), USUAL.events)
    for facts in (5, 500):
        yield saturate(world, Case(facts=facts), USUAL.events)
    for repeat in range(3):
        yield from by_turns(
            world, [Case(workers, share=SHARE, repeat=repeat) for workers in (1, 2)], LONGEST.events, 2 * TURN_S
        )


def quick_latency(world: World, _: Rows) -> Iterator[Row]:
    """Hardly warm: its tail is no measure."""
    yield from latencies(
        world, world.workload(USUAL), [Pace("exactly_once", 500, 3, turns=1)], warm_events=500, lives=1
    )


def latency(world: World, _: Rows) -> Iterator[Row]:
    """Each delivery mode at two rates and at half of the most that a worker was just found to sustain."""
    most = [most_sustained(world, world.workload(LONGER), delivery) for delivery in ("exactly_once", "at_least_once")]
    yield from most
    for row in most:
        delivery, half = str(row.of["delivery"]), row.found["events_per_s"] / 2
        paces = [Pace(delivery, 500, 3, turns=12), Pace(delivery, 2_000, 2, turns=12), Pace(delivery, half, 1.5)]
        events = int(sum(pace.needed for pace in paces) * 1.1) + LIVES * 3 * WARM_EVENTS  # a tenth are users' first
        yield from latencies(world, world.workload(Shape(-(-events // 50_000) * 50_000, 50)), paces)


def disturbed(world: World, _: Rows) -> Iterator[Row]:
    workload = world.workload(USUAL)
    yield from disturbances(world, workload)
    yield start_up(world, workload)
    for behind in (0, 10_000, 40_000):
        yield recovery(world, workload, behind)


def trees(world: World, _: Rows) -> Iterator[Row]:
    yield from growth.trees(world)


def features(world: World, _: Rows) -> Iterator[Row]:
    yield from growth.features(world)


def backlogs(world: World, _: Rows) -> Iterator[Row]:
    yield from growth.backlogs(world)


def users(world: World, _: Rows) -> Iterator[Row]:
    yield from growth.users(world)


QUICK: tuple[Measurement, ...] = (quick_inner, quick_saturation, quick_naive, quick_latency)
WHOLE: tuple[Measurement, ...] = (inner, trees, features, saturation, backlogs, naive, latency, disturbed, users)
