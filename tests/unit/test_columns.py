"""Columns: each kind by hand, and a table for events or for whole columns of them."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from riskstream.models.payment import COLUMNS, COUNTRIES
from riskstream.schemas.columns import Code, Column, Digits, Hash, Integer, Layout, Number, PackedColumns, Selection
from riskstream.schemas.payment import Payment
from tests.unit.payment_log import payments

HASH = np.uint64(xxh3_64_intdigest("caf\u00e9".encode())).astype(np.int64)


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        (Integer("f"), [1, -2, 10**18], [1, -2, 10**18]),
        (Number("f"), [1, 0.5, True, None], [1.0, 0.5, 1.0, np.nan]),
        (Hash("f"), ["caf\u00e9", None], [HASH, 0]),
        (Code("f", ("unknown", "web", "app")), ["app", "fax", None, "unknown"], [2, 0, 0, 0]),
        (Digits("f"), ["0742", "9", None], [742, 9, 0]),
    ],
)
def test_what_becomes_of_values(column: Column, values: list[Any], expected: list[float]) -> None:
    found = column.of(values)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == column.dtype
    assert column.of([]).dtype == column.dtype
    assert len(column.of([])) == 0


def test_an_integer_cannot_be_missing() -> None:
    with pytest.raises(TypeError):
        Integer("f").of(cast(Any, [None]))


def test_countries_have_the_numbers_that_facts_were_stored_with() -> None:
    assert [COUNTRIES.index(code) for code in ("AA", "DE", "ZZ")] == [1, 1 + 26 * 3 + 4, 676]


def test_a_whole_log_is_converted_as_its_events_are() -> None:
    log = payments()
    fields = {name: [getattr(event, name) for event in log] for name in Payment.__struct_fields__}
    for (name, column), whole in zip(COLUMNS(log).items(), COLUMNS.of(fields).values(), strict=True):
        np.testing.assert_array_equal(column, whole, err_msg=name)


def test_columns_are_found_by_name_in_one_array_and_are_of_its_bits() -> None:
    whole, fractions = np.array([3, -4]), np.array([0.5, np.nan])
    columns = PackedColumns(Layout({"whole": False, "fraction": True}), np.array([whole, fractions.view(np.int64)]))
    np.testing.assert_array_equal(columns["whole"], whole)
    np.testing.assert_array_equal(columns["fraction"], fractions)
    assert list(columns) == ["whole", "fraction"]


def test_what_is_chosen_is_the_same_of_one_array_and_of_many() -> None:
    many = {"a": np.array([1, 2], np.int32), "b": np.array([0.5, 1.5], np.float32), "c": np.array([True, False])}
    bits = np.array([[1, 2], np.array([0.5, 1.5]).view(np.int64), [1, 0]])
    one = PackedColumns(Layout({"a": False, "b": True, "c": False}), bits)
    for names in (("b", "a"), ("c",), ()):
        (words, rows, is_float), (others, places, are_float) = Selection(names).of(many), Selection(names).of(one)
        np.testing.assert_array_equal(words[rows], others[places].reshape(words[rows].shape))
        np.testing.assert_array_equal(is_float, are_float)


def test_a_selection_serves_columns_of_several_layouts_in_turn() -> None:
    selection, words = Selection(["b"]), np.array([[1, 2], [3, 4]])
    layouts = Layout({"a": False, "b": False}), Layout({"b": True, "a": False})
    for layout, row, is_float in [(layouts[0], 1, False), (layouts[1], 0, True)] * 2:
        _, places, fractions = selection.of(PackedColumns(layout, words))
        assert (places.tolist(), fractions.tolist()) == ([row], [is_float])


def test_a_column_that_is_not_there_is_a_bug() -> None:
    some: list[Mapping[str, Any]] = [{}, PackedColumns(Layout({}), np.empty((0, 2), np.int64))]
    for columns in some:
        with pytest.raises(KeyError):
            Selection(["amount"]).of(columns)
