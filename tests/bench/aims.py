"""What a run comes to: the headline, and each aim with what was found. All are ratios within the one run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tests.bench.results import Label, Row
from tests.bench.saturation import SHARE, Case

RATES = (500, 2_000)
"""Events a second at which latencies are compared."""
LARGEST = 2_048
"""The batch size of the floor: the cheapest."""
BY_TURNS = "floor, by turns"
"""The section of its steps at that size, measured by turns with the workers that are held against it."""


class Aim(NamedTuple):
    """`found` should be at most (or, with `least`, at least) `limit`."""

    what: str
    found: float
    limit: float
    least: bool = False

    @property
    def holds(self) -> bool:
        return self.found >= self.limit if self.least else self.found <= self.limit


def found(rows: Sequence[Row], section: str, what: str, of: Mapping[str, Label]) -> float | None:
    """The median over the rows with these labels; None when there is no such row."""
    values = sorted(row.found[what] for row in rows if row.section == section and of.items() <= row.of.items())
    return values[len(values) // 2] if values else None


def headline(rows: Sequence[Row]) -> dict[str, float]:
    """The last line's numbers; only those whose measurements were made."""
    worker = found(rows, "saturation", "worker_us", Case().label)
    floor = floor_us(rows)
    ort = step_us(rows, "score")
    loop = found(rows, "naive", "us", {"commit_every": 1})
    numbers = {
        "worker_us": worker,
        "floor_us": floor,
        "floor_ratio": worker and floor and worker / floor,
        "ort_ratio": worker and ort and worker / ort,
        "naive_ratio": worker and loop and loop / worker,
        "p50_ms_500": found(rows, "latency", "p50_ms", _trip("exactly_once", 500, "worker")),
    }
    return {name: value for name, value in numbers.items() if value}


def floor_us(rows: Sequence[Row]) -> float | None:
    """The floor's steps added up, once Kafka's were measured too."""
    names = {str(row.of["step"]) for row in rows if row.section == "floor" and row.of["batch"] == LARGEST}
    names |= {name for row in rows if row.section == BY_TURNS for name in row.found}
    steps = [step_us(rows, name) or 0.0 for name in names]
    return sum(steps) if {"score", "consume", "commit"} <= names else None


def step_us(rows: Sequence[Row], step: str) -> float | None:
    """One of them: by turns with the workers if it was so measured, else beside the stages."""
    beside = found(rows, "floor", "us", {"step": step, "batch": LARGEST})
    return found(rows, BY_TURNS, step, {}) or beside


def aims(rows: Sequence[Row]) -> Iterator[Aim]:
    """Those that this run can speak of."""
    yield from _cost(rows)
    yield from _latency(rows)
    taken = found(rows, "recovery", "taken_to_scored_s", {"behind": 10_000})
    if taken is not None:
        yield Aim("an heir 10,000 events behind scores again, seconds", taken, 2)
    crowds = [row for row in rows if row.section == "growth, users"]
    if crowds:
        least, most = crowds[0], crowds[-1]
        for found_as, whose in (("just_seen_us", "seen just before"), ("in_memory_us", "cache misses included")):
            what = f"cost per event, {most.of['users']:,} users / {least.of['users']:,}, {whose}"
            yield Aim(what, most.found[found_as] / least.found[found_as], 1.15)


def _cost(rows: Sequence[Row]) -> Iterator[Aim]:
    numbers = headline(rows)
    bare = found(rows, "saturation", "worker_us", Case(engine="onnxruntime").label)
    if bare and "floor_us" in numbers:
        yield Aim("worker with ONNX Runtime / floor", bare / numbers["floor_us"], 1.5)
    if "ort_ratio" in numbers:
        yield Aim("worker / ONNX Runtime alone", numbers["ort_ratio"], 1.2)
    if "naive_ratio" in numbers:
        yield Aim("tutorial's loop / worker", numbers["naive_ratio"], 20, least=True)
    for share, cores in ((SHARE, f"{SHARE:g} of a core for each"), (1.0, "two cores, shared with the broker")):
        one, two = (found(rows, "saturation", "events_per_s", Case(number, share=share).label) for number in (1, 2))
        if one and two:
            yield Aim(f"events a second, two workers / one, {cores}", two / one, 1.8, least=True)


def _latency(rows: Sequence[Row]) -> Iterator[Aim]:
    """At the same rates for both; half of what one sustains is not half of what the other does."""
    for row in rows:
        if row.section == "latency" and row.of["process"] == "worker" and row.of["rate"] in RATES:
            beside = {**row.of, "process": "passthrough"}
            for what, limit in (("p50_ms", 1.3), ("p99_ms", 1.5)):
                bare = found(rows, "latency", what, beside)
                if bare:
                    name = f"{what[:3]} at {row.of['rate']}/s, {row.of['delivery']}: worker / pass-through"
                    yield Aim(name, row.found[what] / bare, limit)


def _trip(delivery: str, rate: int, process: str) -> dict[str, Label]:
    return {"delivery": delivery, "rate": rate, "process": process}
