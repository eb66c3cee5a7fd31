"""Sketches: additive to the bit, compact on the wire, and right about what they count."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from riskstream.models.bundle import Histogram, Reference
from riskstream.models.drift.sketch import Sketch, SketchError, SketchLayout, total
from riskstream.models.drift.varint import packed, unpacked

REFERENCE = Reference(
    rows=10,
    features={
        "amount": Histogram(edges=(1.0, 5.0, 25.0), counts=(4, 3, 2, 1)),
        "flag": Histogram(edges=(0.5,), counts=(9, 1)),
    },
    score=Histogram(edges=(0.25, 0.5, 0.75), counts=(10, 0, 0, 0)),
    decisions={"approve": 10},
)
LAYOUT = SketchLayout.of_reference(REFERENCE)

counts = arrays(np.int64, LAYOUT.size, elements=st.integers(-(2**40), 2**40))


def test_the_layout_names_each_number_once() -> None:
    assert LAYOUT.size == 3 + 3 + 5 + 2 + 3 + 3 + (4 + 2 + 4)
    assert [LAYOUT.column_edges(column).tolist() for column in range(3)] == [[1, 5, 25], [0.5], [0.25, 0.5, 0.75]]


def test_another_bin_is_another_layout() -> None:
    other = Reference(rows=10, features=REFERENCE.features, score=Histogram(edges=(0.25,), counts=(1, 1)), decisions={})
    assert SketchLayout.of_reference(other).id != LAYOUT.id
    with pytest.raises(SketchError, match="cannot be added"):
        Sketch.empty(LAYOUT) + Sketch.empty(SketchLayout.of_reference(other))


@given(st.lists(counts, max_size=5), st.randoms())
def test_the_order_of_merging_does_not_matter(parts: list[np.ndarray], random: object) -> None:
    sketches = [Sketch(LAYOUT, part) for part in parts]
    shuffled = list(sketches)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert total(LAYOUT, sketches).encode() == total(LAYOUT, shuffled).encode()


@given(counts)
def test_bytes_give_the_counts_again(numbers: np.ndarray) -> None:
    assert np.array_equal(Sketch.decode(LAYOUT, Sketch(LAYOUT, numbers).encode()).counts, numbers)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_every_integer_of_64_bits_fits_a_varint(numbers: list[int]) -> None:
    assert np.array_equal(unpacked(packed(np.array(numbers, np.int64)), len(numbers)), numbers)  # type: ignore[arg-type]


@given(st.binary(max_size=60))
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    with suppress(SketchError):
        Sketch.decode(LAYOUT, data)


@pytest.mark.parametrize("wrong", [b"", b"\x00", b"\x00\xff", b"\xff" * 11, packed(np.arange(LAYOUT.size + 1))])
def test_bytes_of_another_size_are_refused(wrong: bytes) -> None:
    with pytest.raises(SketchError):
        Sketch.decode(LAYOUT, wrong)


def test_an_absurd_value_moves_a_sum_by_no_more_than_the_range() -> None:
    low, high = LAYOUT.rounded(np.array([-1e30, 1e30]), 0) / LAYOUT.scale[0]
    assert (low, high) == (1 - 24, 25 + 24)


def test_means_and_variances_are_those_of_the_values() -> None:
    values = np.random.default_rng(3).uniform(0, 30, 1_000)
    sketch = Sketch.empty(LAYOUT)
    rounded = LAYOUT.rounded(values, 0)
    sketch.counts[0], sketch.sums[0], sketch.squares[0] = 1_000, rounded.sum(), (rounded**2).sum()
    assert sketch.means()[0] == pytest.approx(values.mean(), rel=1e-4)
    assert sketch.variances()[0] == pytest.approx(values.var(), rel=1e-4)
    assert np.isnan(Sketch.empty(LAYOUT).means()).all()
