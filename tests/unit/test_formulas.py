"""Formulas, against numbers written by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from riskstream.models.features import Feature, FeatureSet
from riskstream.models.formulas import (
    Formula,
    differs,
    event,
    history,
    log1p,
    none,
    present,
    profile,
    program,
    ratio,
    result,
)
from riskstream.models.history import HistorySpec

NAN, INF = np.nan, np.inf
SPEC = HistorySpec((("1h", 1),), 1, 8, value=3, distinct=(), distinct_windows=())
A, B = event("a"), profile("b")


def computed(formula: Formula, a: Any, b: Any = 0) -> NDArray[np.float32]:
    """Of events with a column `a`, an empty history and a profile with a column `b`, each a number or one per event."""
    a, b = np.broadcast_arrays(np.array(a), np.array(b))
    features = FeatureSet((Feature("f", "a formula", "number", 1, formula),), SPEC)
    return features.assemble({"a": a}, np.zeros((len(a), len(SPEC.columns))), {"b": b})[:, 0]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (A, [7, -7, NAN]),
        (A + B, [9, -5, NAN]),
        (A - B, [5, -9, NAN]),
        (A * B, [14, -14, NAN]),
        (A / B, [3.5, -3.5, NAN]),
        (A // B, [3, -4, NAN]),
        (A % B, [1, 1, NAN]),
        ((A + 0.5) * (B - A) / 2, [-18.75, -29.25, NAN]),
        (A / 0, [INF, -INF, NAN]),
        (A + history("count_1h"), [7, -7, NAN]),
        (result(lambda x: x.event["a"] ** 2) - 1, [48, 48, NAN]),
    ],
)
def test_arithmetic_is_that_of_numbers(formula: Formula, expected: list[float]) -> None:
    np.testing.assert_array_equal(computed(formula, [7, -7, NAN], 2), expected)


@pytest.mark.parametrize("unit", [7, 3_600_000, 86_400_000])
def test_whole_numbers_are_divided_exactly(unit: int) -> None:
    some = np.random.default_rng(1).integers(0, 2**53 - unit, 10_000)
    numbers = np.concatenate([some, some // unit * unit, some // unit * unit + unit - 1, -some])
    for whole, of in ((A // unit, np.floor_divide), (A % unit, np.remainder)):
        np.testing.assert_array_equal(computed(whole, numbers), of(numbers, unit).astype(np.float32))


@pytest.mark.parametrize("over", [np.array([6, 6, 6, 6]), np.array([6.0, 6.0, 6.0, 6.0])], ids=["whole", "floats"])
def test_a_ratio_over_nothing_or_less_is_missing(over: NDArray[Any]) -> None:
    np.testing.assert_array_equal(computed(ratio(A, B), over, [4, 0, -2, NAN]), [1.5, NAN, NAN, NAN])


def test_a_ratio_of_something_missing_is_missing() -> None:
    np.testing.assert_array_equal(computed(ratio(A, B), [NAN, -3], 4), [NAN, -0.75])


def test_a_missing_code_neither_differs_nor_is_the_same() -> None:
    np.testing.assert_array_equal(computed(differs(A, B), [0, 0, 5, 5, 5], [0, 5, 5, 6, 0]), [NAN, NAN, 0, 1, 1])


def test_a_hash_is_present_whatever_its_bits() -> None:
    np.testing.assert_array_equal(computed(present(A), [0, 1, -1, 2**63 - 1, -(2**63)]), [0, 1, 1, 1, 1])


def test_none_is_told_from_some_and_from_unknown() -> None:
    np.testing.assert_array_equal(computed(none(A), [0, 1, 7, NAN]), [1, 0, 0, NAN])


def test_a_logarithm_is_that_of_one_more_and_of_nothing_below_it() -> None:
    np.testing.assert_array_equal(
        computed(log1p(A), [0, 1, NAN, -2, 10**15]), np.log1p([0, 1, NAN, NAN, 10**15]).astype(np.float32)
    )


def test_an_event_comes_to_the_same_in_every_batch() -> None:
    numbers, formula = np.random.default_rng(2).normal(0, 9, 200), ratio(A % 5, A - B) // 0.01
    alone = np.concatenate([computed(formula, [number], 0.5) for number in numbers])
    assert computed(formula, numbers, 0.5).tobytes() == alone.tobytes()


def test_what_formulas_share_is_computed_once() -> None:
    made = program([ratio(A - B, B), A - B, A - B + 1], SPEC.columns)
    assert (made.event.names, made.profile.names, len(made.steps)) == (("a",), ("b",), 3)


def test_columns_of_different_lengths_are_a_bug() -> None:
    features = FeatureSet((Feature("f", "a formula", "number", 1, A + B),), SPEC)
    with pytest.raises(ValueError, match="other lengths than 3"):
        features.assemble({"a": np.zeros(3)}, np.zeros((3, len(SPEC.columns))), {"b": np.zeros(2)})
