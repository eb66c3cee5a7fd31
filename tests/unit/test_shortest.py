"""A score's digits are the library's, whatever the number."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from numpy.typing import NDArray

from riskstream.schemas.shortest import LONGEST, put_fraction

ONE = int(np.float64(1.0).view(np.int64))
RANDOM = np.random.default_rng(7)


@njit
def _put(numbers, out, ends):  # type: ignore[no-untyped-def]
    for k in range(len(numbers)):
        ends[k] = put_fraction(out, np.uint64(k * LONGEST), numbers[k]) - np.uint64(k * LONGEST)


def written(numbers: NDArray[np.float64]) -> list[bytes]:
    out, ends = np.empty(len(numbers) * LONGEST, np.uint8), np.empty(len(numbers), np.int64)
    _put(numbers, out, ends)
    return [out[k * LONGEST : k * LONGEST + end].tobytes() for k, end in enumerate(ends.tolist())]


@given(st.floats(0, 1))
def test_any_score_is_written_as_the_library_writes_it(number: float) -> None:
    assert written(np.array([number])) == [msgspec.json.encode(number)]


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(RANDOM.random(100_000), id="random numbers"),
        pytest.param(RANDOM.integers(0, ONE, 100_000).view(np.float64), id="random bits"),
        pytest.param(2.0 ** -np.arange(1_075), id="powers of two, whose neighbours are unequally far"),
        pytest.param(np.nextafter(2.0 ** -np.arange(1_075), 0), id="what is next to them"),
        pytest.param(np.arange(10_000).view(np.float64), id="the least there are, of few bits"),
        pytest.param(10.0 ** -np.arange(324), id="powers of ten"),
        pytest.param(np.round(RANDOM.random(10_000), 3), id="few digits"),
        pytest.param(1 / (1 + np.exp(-RANDOM.normal(0, 9, 100_000))), id="what models say"),
        pytest.param(np.array([0.0, -0.0, 0.5, 1.0, np.nextafter(1, 0)]), id="the ends"),
    ],
)
def test_many_scores_are_written_as_the_library_writes_them(numbers: NDArray[np.float64]) -> None:
    assert written(numbers) == msgspec.json.encode(numbers.tolist())[1:-1].split(b",")
