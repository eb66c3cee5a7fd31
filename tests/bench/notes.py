"""What a run comes to in a few lines for the README: what a worker does per core, each number with its condition."""

from collections.abc import Iterator, Sequence

from tests.bench.aims import found, step_us
from tests.bench.results import Label, Result, Row
from tests.bench.saturation import SHARE, Case
from tests.bench.tables import number


def notes(result: Result) -> Iterator[str]:
    """A table of those lines whose measurements were made, and where they were."""
    yield "| What | Measured |"
    yield "|---|---|"
    for what, measured in (*_cost(result.rows), *_backlog(result.rows), *_latency(result.rows), *_state(result.rows)):
        yield f"| {what} | {measured} |"
    machine = result.machine
    yield f"\n{result.started_at[:10]}, {machine.cores} cores of {machine.processor}, shared by workers, broker, Redis,"
    yield f"sender and reader; Python {machine.python}. Absolute figures are this machine's; ratios travel better."


def _cost(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    worker = found(rows, "saturation", "worker_us", Case().label)
    if worker is None:
        return
    yield (
        "One worker, exactly once, histories written to Redis, a model of 300 trees",
        f"**{worker:.1f} µs** of CPU an event: {1e6 / worker:,.0f} a second of a core's time",
    )
    beside: dict[str, tuple[str, str, dict[str, Label]]] = {
        "The same, trees run by ONNX Runtime": ("saturation", "worker_us", Case(engine="onnxruntime").label),
        "The loop that a tutorial shows, committing each event": ("naive", "us", {"commit_every": 1}),
        "The same, committing every hundred": ("naive", "us", {"commit_every": 100}),
    }
    found_us = {what: found(rows, section, name, of) for what, (section, name, of) in beside.items()}
    for what, us in {"ONNX Runtime alone, for the same rows": step_us(rows, "score"), **found_us}.items():
        if us is not None:
            yield what, f"{number(us)} µs, {us / worker:.1f} times as much"


def _backlog(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    for share, where in ((1.0, "the broker on the same two cores"), (SHARE, f"{SHARE:g} of a core for each worker")):
        one, two = (found(rows, "saturation", "events_per_s", Case(n, share=share).label) for n in (1, 2))
        if one and two:
            yield f"A backlog, {where}", f"{one:,.0f} events a second by one worker, {two:,.0f} by two"


def _latency(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    for delivery in ("exactly_once", "at_least_once"):
        for rate in (500, 2_000):
            of: dict[str, Label] = {"delivery": delivery, "rate": rate}
            p50, p99 = (found(rows, "latency", what, of | {"process": "worker"}) for what in ("p50_ms", "p99_ms"))
            bare, tail = (
                found(rows, "latency", what, of | {"process": "passthrough"}) for what in ("p50_ms", "p99_ms")
            )
            if p50 and p99 and bare and tail:
                yield (
                    f"Produced to visible, {delivery.replace('_', ' ')}, {rate:,} a second",
                    f"p50 {p50:.1f} ms, p99 {p99:.0f} ms; of these without Redis and a model {bare:.1f} and {tail:.0f}",
                )


def _state(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    taken = found(rows, "recovery", "taken_to_scored_s", {"behind": 10_000})
    if taken is not None:
        yield "A dead worker's heir, 10,000 events not yet in Redis", f"scores {taken:.1f} s after it takes over"
    crowds = [row for row in rows if row.section == "growth, users"]
    if crowds:
        least, most = crowds[0], crowds[-1]
        growth = most.found["in_memory_us"] / least.found["in_memory_us"] - 1
        yield (
            f"{most.of['users']:,} users instead of {least.of['users']:,}, all in memory",
            f"{growth:+.0%} CPU an event; {most.found['worker_bytes_per_user']:,.0f} bytes a user in the worker, "
            f"{most.found['redis_bytes_per_user']:,.0f} in Redis, {most.found['of_which_facts']:,.0f} of them facts",
        )
