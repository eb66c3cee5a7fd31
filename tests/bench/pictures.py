"""A result as pictures for docs/performance.md: SVG, drawn by matplotlib from the numbers that the tables show."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.bench.aims import floor_us, found, step_us
from tests.bench.results import Row
from tests.bench.saturation import Case

STAGES = ("decode", "join, hit", "assemble", "score", "encode", "sketch", "absorb", "write-behind")
SIZES = (32, 256, 2_048)
GREY, BLUE, ORANGE = "#9aa0a6", "#3367d6", "#e8710a"

mpl.rcParams |= {
    "svg.fonttype": "none",  # text stays text: small files, the reader's own fonts
    "svg.hashsalt": "riskstream",  # the same numbers, the same bytes
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Those pictures whose measurements were made."""
    drawn = []
    for name, picture in PICTURES.items():
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        if picture(rows, figure):
            folder.mkdir(parents=True, exist_ok=True)
            drawn.append(folder / f"{name}.svg")
            figure.savefig(drawn[-1], metadata={"Date": None})
    return drawn


def cost(rows: Sequence[Row], figure: Figure) -> bool:
    """The whole worker beside what it is held against."""
    bars = {
        "ONNX Runtime alone": step_us(rows, "score"),
        "floor: every step the cheapest way": floor_us(rows),
        "worker, own walk": found(rows, "saturation", "worker_us", Case().label),
        "worker, ONNX Runtime": found(rows, "saturation", "worker_us", Case(engine="onnxruntime").label),
        "tutorial's loop, commit every 100": found(rows, "naive", "us", {"commit_every": 100}),
        "tutorial's loop, commit every event": found(rows, "naive", "us", {"commit_every": 1}),
    }
    measured = {name: value for name, value in reversed(bars.items()) if value}
    if len(measured) < len(bars) - 1:
        return False
    axes = figure.subplots()
    colours = [BLUE if name.startswith("worker") else GREY for name in measured]
    drawn = axes.barh(list(measured), list(measured.values()), color=colours)
    axes.bar_label(drawn, fmt=" %.1f")
    axes.set_xscale("log")
    axes.set_xlim(1, 3 * max(measured.values()))
    axes.set_xlabel("CPU µs per event, logarithmic")
    return True


def stages(rows: Sequence[Row], figure: Figure) -> bool:
    """Where the time goes, by batch size."""
    measured = {
        stage: [found(rows, "stages", "us", {"stage": stage, "batch": size}) or 0.0 for size in SIZES]
        for stage in STAGES
    }
    if not any(any(values) for values in measured.values()):
        return False
    axes = figure.subplots()
    left = [0.0] * len(SIZES)
    for number, (stage, values) in enumerate(measured.items()):
        axes.barh([f"batch of {size:,}" for size in SIZES], values, left=left, label=stage, color=f"C{number}")
        left = [a + b for a, b in zip(left, values, strict=True)]
    axes.set_xlabel("CPU µs per event, Kafka apart")
    figure.legend(loc="outside right upper", frameon=False)
    return True


def latency(rows: Sequence[Row], figure: Figure) -> bool:
    """Worker and pass-through side by side."""
    trips = [row for row in rows if row.section == "latency"]
    cases = list(dict.fromkeys(f"{row.of['delivery']}, {row.of['rate']}/s".replace("_", " ") for row in trips))
    if not trips:
        return False
    for axes, what in zip(figure.subplots(1, 2, sharey=True), ("p50_ms", "p99_ms"), strict=True):
        for shift, (process, colour) in enumerate((("passthrough", GREY), ("worker", BLUE))):
            values = [row.found[what] for row in trips if row.of["process"] == process]
            places = [at + 0.4 * shift for at in range(len(values))]
            drawn = axes.barh(places, values, 0.38, color=colour, label=process)
            axes.bar_label(drawn, fmt=" %.3g", fontsize=6)
        axes.set_yticks([at + 0.2 for at in range(len(cases))], cases, fontsize=7)
        axes.set_xscale("log")
        axes.set_xlim(0.5, 3 * max(row.found[what] for row in trips))
        axes.set_xlabel(f"{what[:3]}, ms, logarithmic")
    figure.axes[0].invert_yaxis()
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2, frameon=False)
    return True


def growth(rows: Sequence[Row], figure: Figure) -> bool:
    """What more users, longer histories and more trees cost."""
    users = [(row.of["users"], row.found["in_memory_us"]) for row in rows if row.section == "growth, users"]
    trees = [(row.of["trees"], row.found["score_us"]) for row in rows if row.section == "growth, trees"]
    facts = [(n, found(rows, "saturation", "worker_us", Case(facts=n).label)) for n in (5, 50, 500)]
    if not (users and trees and all(us for _, us in facts)):
        return False
    lines: dict[str, list[tuple[Any, Any]]] = {
        "users, all in memory": users,
        "facts in a history": facts,
        "trees, the score alone": trees,
    }
    for axes, (name, points) in zip(figure.subplots(1, 3), lines.items(), strict=True):
        axes.plot([size for size, _ in points], [us for _, us in points], "o-", color=ORANGE)
        axes.set_xlabel(name)
        axes.set_ylim(0, 1.15 * max(us for _, us in points))
        if not name.startswith("trees"):
            axes.set_xscale("log")
    figure.axes[0].set_ylabel("CPU µs per event")
    return True


PICTURES: dict[str, Callable[[Sequence[Row], Figure], bool]] = {
    "cost": cost,
    "stages": stages,
    "latency": latency,
    "growth": growth,
}
