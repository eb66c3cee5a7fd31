"""Results as Markdown: on the terminal and in the documentation alike."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from tests.bench.aims import BY_TURNS, Aim
from tests.bench.results import Difference, Label, Result, Row

TITLES = {
    "stages": "CPU µs per event of each stage, by batch size",
    "parts": "Of which, CPU µs per event",
    "floor": "The floor: each step alone, CPU µs per event",
    BY_TURNS: "The floor at batch 2,048, by turns with the workers that are held against it, CPU µs per event",
    "exchange": "Kafka, CPU µs per event of the whole client",
    "naive": "The tutorial's loop, CPU µs per event",
    "saturation": "A preloaded backlog",
    "latency, most": "The most that one worker sustains beside sender and reader",
    "latency": "Produce to visible at read_committed, ms",
}
BY_BATCH = ("stages", "parts", "floor", "exchange")


def tables(result: Result) -> Iterator[str]:
    """A table per section, in the order in which they were measured."""
    for section in dict.fromkeys(row.section for row in result.rows):
        rows = [row for row in result.rows if row.section == section]
        yield f"\n### {TITLES.get(section, section)}\n"
        yield from (_by_batch if section in BY_BATCH else _plain)(rows)


def verdicts(found: Sequence[Aim]) -> Iterator[str]:
    lines = [
        [aim.what, number(aim.found), f"{'>=' if aim.least else '<='} {aim.limit:g}", "yes" if aim.holds else "no"]
        for aim in found
    ]
    if lines:
        yield "\n### Aims\n"
        yield from grid(["aim", "found", "limit", "holds"], lines)


def differences(found: Sequence[Difference]) -> Iterator[str]:
    lines = [
        [one.section, one.of, one.what, number(one.before), number(one.after), f"{one.ratio:.2f}"] for one in found
    ]
    yield from grid(["section", "of", "what", "before", "after", "ratio"], lines)


def grid(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(line[column]) for line in [heads, *lines]) for column in range(len(heads))]
    yield _line(heads, widths)
    yield _line(["-" * width for width in widths], widths)
    for line in lines:
        yield _line(line, widths)


def number(value: float) -> str:
    """Three or so digits that matter."""
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _plain(rows: list[Row]) -> Iterator[str]:
    labels = list(dict.fromkeys(name for row in rows for name in row.of))
    found = list(dict.fromkeys(name for row in rows for name in row.found))
    lines = [
        [
            *(str(row.of.get(name, "")) for name in labels),
            *(number(row.found[name]) if name in row.found else "" for name in found),
        ]
        for row in rows
    ]
    yield from grid([*labels, *found], lines)


def _by_batch(rows: list[Row]) -> Iterator[str]:
    """Batch sizes as columns; the median of what was measured several times."""
    sizes = sorted({row.of["batch"] for row in rows}, key=float)
    by_name: dict[str, defaultdict[Label, list[float]]] = {}
    for row in rows:
        name = next(str(label) for key, label in row.of.items() if key != "batch")
        by_name.setdefault(name, defaultdict(list))[row.of["batch"]].append(row.found["us"])
    lines = [
        [name, *(number(median(found[size])) if size in found else "" for size in sizes)]
        for name, found in by_name.items()
    ]
    yield from grid(["CPU µs per event, batch of", *map(str, sizes)], lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
