"""Columns: each kind by hand, and a table for events or for whole columns of them."""

from typing import Any, cast

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from riskstream.models.payment import COLUMNS, COUNTRIES
from riskstream.schemas.columns import Code, Column, Digits, Hash, Integer, Number
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
