"""What feature functions are made of, against numbers written by hand."""

import numpy as np
import pytest

from riskstream.models.elementwise import differs, none, ratio

NAN = np.nan


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def codes(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.mark.parametrize("over", [codes(6, 6, 6, 6), floats(6, 6, 6, 6)], ids=["codes", "floats"])
def test_a_ratio_over_nothing_or_less_is_missing(over: np.ndarray) -> None:
    np.testing.assert_array_equal(ratio(over, floats(4, 0, -2, NAN)), [1.5, NAN, NAN, NAN])


def test_a_ratio_of_something_missing_is_missing() -> None:
    np.testing.assert_array_equal(ratio(floats(NAN, -3), floats(4, 4)), [NAN, -0.75])


@pytest.mark.parametrize("code", [codes(0, 0, 5, 5, 5), floats(0, 0, 5, 5, 5)], ids=["codes", "floats"])
def test_a_missing_code_neither_differs_nor_is_the_same(code: np.ndarray) -> None:
    np.testing.assert_array_equal(differs(code, codes(0, 5, 5, 6, 0)), [NAN, NAN, 0, 1, 1])


def test_none_is_told_from_some_and_from_unknown() -> None:
    np.testing.assert_array_equal(none(floats(0, 1, 7, NAN)), [1, 0, 0, NAN])


def test_columns_may_lie_across_a_table_and_be_read_only() -> None:
    table = np.arange(12.0).reshape(4, 3)
    table.flags.writeable = False
    np.testing.assert_array_equal(ratio(table[:, 2], table[:, 1]), table[:, 2] / table[:, 1])


@pytest.mark.parametrize(("function", "one"), [(ratio, floats(1, 2)), (differs, codes(1, 2))])
def test_columns_of_different_lengths_are_a_bug(function: object, one: np.ndarray) -> None:
    with pytest.raises(ValueError, match="different lengths"):
        function(one, one[:1])  # type: ignore[operator]
