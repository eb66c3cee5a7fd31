"""Counting a batch into sketches, against plain numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskstream.models.bundle import Histogram, Reference
from riskstream.models.drift.counting import Counting, Events
from riskstream.models.drift.sketch import Sketch, SketchLayout, total

EDGES = {"few": (0.0,), "some": (-3.5, 0.0, 0.1, 7.0, 1e6), "many": tuple(np.linspace(-2, 2, 19).tolist()), "none": ()}
REFERENCE = Reference(
    rows=1,
    features={name: Histogram(edges=edges, counts=(1,) * (len(edges) + 1)) for name, edges in EDGES.items()},
    score=Histogram(edges=tuple(np.linspace(0, 1, 51)[1:-1].tolist()), counts=(1,) * 50),
    decisions={},
)
LAYOUT = SketchLayout.of_reference(REFERENCE)
COUNTING = Counting(LAYOUT)


def events(number: int, seed: int = 1) -> Events:
    """Values on, just below and just above the edges, and missing ones."""
    rng = np.random.default_rng(seed)
    pool = np.array([edge for edges in EDGES.values() for edge in edges], np.float32)
    pool = np.concatenate([pool, np.nextafter(pool, np.float32(-9e9)), [np.nan, -0.0, 1e30, -1e30]]).astype(np.float32)
    return Events(
        rng.choice(pool, (number, len(EDGES))),
        rng.choice([0.0, 0.02, 0.5, 0.98, 1.0], number),
        rng.integers(0, 3, number).astype(np.uint8),
        rng.integers(0, 32, number).astype(np.uint8),
        rng.random(number) < 0.3,
    )


def counted(some: Events, rows: np.ndarray | None = None, sketches: int = 1) -> list[Sketch]:
    counts = np.zeros((sketches, LAYOUT.size), np.int64)
    COUNTING.add(counts, np.zeros(len(some.scores), np.int64) if rows is None else rows, some)
    return [Sketch(LAYOUT, row) for row in counts]


def test_every_value_falls_into_the_bin_that_its_edges_say() -> None:
    some = events(2_000)
    sketch = counted(some)[0]
    for column, values in enumerate([*some.vectors.T, some.scores]):
        edges = LAYOUT.column_edges(column)
        there = values[~np.isnan(values)].astype(np.float64)
        expected = np.bincount(np.searchsorted(edges, there, side="right"), minlength=len(edges) + 1)
        assert sketch.histogram(column).tolist() == expected.tolist()
        assert sketch.sums[column] == LAYOUT.rounded(there, column).sum()
        assert sketch.squares[column] == (LAYOUT.rounded(there, column) ** 2).sum()
    assert sketch.missing.tolist() == np.isnan(some.vectors).sum(0).tolist()


def test_decisions_and_what_was_degraded_are_counted() -> None:
    some = events(500)
    sketch = counted(some)[0]
    assert sketch.events == 500
    assert sketch.decisions.tolist() == np.bincount(some.decisions, minlength=3).tolist()
    assert sketch.degraded.tolist() == [(some.degraded >> bit & 1).sum() for bit in range(5)]
    assert (sketch.degraded_events, sketch.repeats) == ((some.degraded > 0).sum(), some.repeated.sum())


@given(st.integers(0, 60), st.integers(1, 5), st.integers(0, 100))
def test_events_in_any_groups_add_up_to_the_same(number: int, sketches: int, seed: int) -> None:
    some = events(number, seed)
    rows = np.random.default_rng(seed).integers(0, sketches, number)
    parts = counted(some, rows, sketches)
    assert [part.events for part in parts] == np.bincount(rows, minlength=sketches).tolist()
    assert total(LAYOUT, parts).encode() == counted(some)[0].encode()


def test_a_thousand_million_of_the_largest_values_would_still_fit() -> None:
    largest = LAYOUT.rounded(np.full(1, 1e300), 2)[0]
    assert int(largest) ** 2 * 2**31 < 2**63 <= int(largest) ** 2 * 2**36


@pytest.mark.parametrize("batch", [1, 7, 300])
def test_batches_leave_no_trace(batch: int) -> None:
    some = events(300)
    counts = np.zeros((1, LAYOUT.size), np.int64)
    for start in range(0, 300, batch):
        part = Events(*(column[start : start + batch] for column in some))  # type: ignore[arg-type]
        COUNTING.add(counts, np.zeros(len(part.scores), np.int64), part)
    assert np.array_equal(counts[0], counted(some)[0].counts)
