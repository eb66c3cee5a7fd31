"""What each stage of the worker costs, by batch size: CPU microseconds per event, with the worker's own code.

Between a stage's begin and its end lies what the worker itself takes for that stage. The join is measured with every
user in memory (hit), history and profile, and with every user read from Redis (miss).
"""

import statistics
from collections.abc import Callable, Iterator
from itertools import islice
from time import process_time

import numpy as np

from riskstream.models.bundle import load_bundle
from riskstream.models.history import aggregate
from riskstream.models.scorer import Scorer
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.outcome import Outcome
from tests.bench.cpu import MICRO, cpu_us, settle
from tests.bench.floor import in_one_piece
from tests.bench.flow import Flow
from tests.bench.results import Row
from tests.bench.workload import Record

REPEATS = {1: 250, 32: 40, 256: 12, 2_048: 15}
"""By batch size, how many batches are measured."""
WARM = 3


def stage_rows(flow: Flow, records: list[Record], other_bundles: tuple[int, ...]) -> Iterator[tuple[Row, Outcome]]:
    """A row per stage and batch size, each with the outcome of a batch of that size."""
    rest = iter(records)
    for size, repeats in REPEATS.items():
        batches = list(flow.batches(list(islice(rest, size * (repeats + WARM))), size))
        missed = statistics.median(_missing_join(flow, batch) for batch in batches[:repeats:2])
        flow.forget()
        flow.remember()
        settle()
        runs = [flow.run(batch) for batch in batches]
        outcome = in_one_piece(runs[-1][0])
        names = {"publish": "encode", "join": "join, hit"}
        laps = {
            names.get(stage, stage): statistics.median(spent[stage] for _, spent in runs[WARM:]) for stage in runs[0][1]
        }
        laps["join, miss"] = missed
        for trees in other_bundles:
            laps[f"score, {trees} trees"] = _scoring(flow, outcome, trees)
        for stage, us in laps.items():
            yield Row("stages", {"stage": stage, "batch": size}, {"us": us}), outcome
        for part, us in _parts(flow, outcome).items():
            yield Row("parts", {"part": part, "batch": size}, {"us": us}), outcome


def _missing_join(flow: Flow, batch: Batch) -> float:
    flow.forget()
    decoded = flow.decoder(batch.records)
    started = process_time()
    flow.join(batch.partition_array, batch.offset_array, decoded)
    return MICRO * (process_time() - started) / len(batch.offsets)


def _scoring(flow: Flow, outcome: Outcome, trees: int) -> float:
    scorer = Scorer(load_bundle(flow.rig.world.bundles[trees], flow.domain.features))
    vectors = outcome.scored.vectors

    def work() -> int:
        times = max(1, 256 // len(vectors))
        for _ in range(times):
            scorer(vectors)
        return times * len(vectors)

    return cpu_us(work, 5)


def _parts(flow: Flow, outcome: Outcome) -> dict[str, float]:
    """What the join and the assembling are made of."""
    batch, domain, joined = outcome.batch, flow.domain, outcome.joined
    decoded = flow.decoder(batch.records)
    users, offsets = decoded.users, np.array(batch.offsets, np.int64)
    distinct = list(dict.fromkeys(users.tolist()))
    columns, numbers = decoded.columns, batch.partition_array
    facts = domain.facts(columns, offsets)
    gathered, memory, nobody = joined.gathered, flow.working_set, np.empty(0, np.int64)
    parts: dict[str, Callable[[], object]] = {
        "join: facts": lambda: domain.facts(columns, offsets),
        "join: profiles from Redis": lambda: flow.store.exchange([], [], distinct),
        "join: gather": lambda: memory.gather(memory.find(numbers, users), nobody, numbers, users, facts),
        "assemble: history": lambda: aggregate(
            domain.features.spec, gathered.facts, gathered.first, gathered.position
        ),
        "assemble: features": lambda: domain.features.assemble(
            columns, outcome.aggregates.values, joined.profile
        ),
    }  # fmt: skip
    return {name: cpu_us(_repeated(part, len(offsets)), 5) for name, part in parts.items()}


def _repeated(part: Callable[[], object], events: int) -> Callable[[], int]:
    times = max(1, 256 // events)

    def work() -> int:
        for _ in range(times):
            part()
        return times * events

    return work
