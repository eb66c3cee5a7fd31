"""The compiled pass of `formulas`: a batch through the steps of all formulas, and out as feature vectors.

A batch is often one event, so what counts is that this is one call. In a large one each step is a loop without a jump,
which the processor does eight numbers at a time.
"""

import math

import numpy as np
from numba import njit, types

# What a formula is: something taken as it is, in the order in which `fill` numbers it, or a step.
CONSTANT, EVENT, PROFILE, RESULT, HISTORY = TAKEN = range(5)
ADD, SUBTRACT, MULTIPLY, DIVIDE, FLOOR_DIVIDE, REMAINDER, RATIO, DIFFERS, NONE, PRESENT, LOG1P = range(5, 16)

_BLOCK = 64  # events that go through all steps before the next: what they come to stays in the nearest cache

# Divisions by zero give what they give in numpy. A part is compiled into the pass.
_part = njit(nogil=True, inline="always", error_model="numpy")


@_part
def _add(a, b):  # type: ignore[no-untyped-def]
    return a + b


@_part
def _subtract(a, b):  # type: ignore[no-untyped-def]
    return a - b


@_part
def _multiply(a, b):  # type: ignore[no-untyped-def]
    return a * b


@_part
def _divide(a, b):  # type: ignore[no-untyped-def]
    return a / b


@_part
def _floor_divide(a, b):  # type: ignore[no-untyped-def]
    return np.floor(a / b)


@_part
def _remainder(a, b):  # type: ignore[no-untyped-def]
    return a - b * np.floor(a / b)


@_part
def _ratio(over, under):  # type: ignore[no-untyped-def]
    return over / under if under > 0 else np.nan


@_part
def _differs(code, other):  # type: ignore[no-untyped-def]
    return np.float64(code != other) if code != 0 else np.nan


@_part
def _none(count, _):  # type: ignore[no-untyped-def]
    return np.float64(count == 0) if count >= 0 else np.nan


@_part
def _present(code, _):  # type: ignore[no-untyped-def]
    return np.float64(code != 0)


@_part
def _log1p(number, _):  # type: ignore[no-untyped-def]
    return math.log1p(number) if number >= -1 else np.nan


@_part
def _each(function, a, b, out):  # type: ignore[no-untyped-def]
    for row in range(len(out)):
        out[row] = function(a[row], b[row])


@_part
def _compute(operation, a, b, out):  # type: ignore[no-untyped-def]  # noqa: C901
    if operation == ADD:
        _each(_add, a, b, out)
    elif operation == SUBTRACT:
        _each(_subtract, a, b, out)
    elif operation == MULTIPLY:
        _each(_multiply, a, b, out)
    elif operation == DIVIDE:
        _each(_divide, a, b, out)
    elif operation == FLOOR_DIVIDE:
        _each(_floor_divide, a, b, out)
    elif operation == REMAINDER:
        _each(_remainder, a, b, out)
    elif operation == RATIO:
        _each(_ratio, a, b, out)
    elif operation == DIFFERS:
        _each(_differs, a, b, out)
    elif operation == NONE:
        _each(_none, a, b, out)
    elif operation == PRESENT:
        _each(_present, a, b, out)
    else:
        _each(_log1p, a, b, out)


@_part
def _take(columns, begin, out):  # type: ignore[no-untyped-def]
    """Some columns of a block's events, each in a row of `out`."""
    words, places, is_float = columns
    for number in range(len(places)):
        column, values = words[places[number]], out[number]
        if is_float[number]:
            for row in range(out.shape[1]):
                values[row] = np.int64(column[begin + row]).view(np.float64)
        else:
            for row in range(out.shape[1]):
                values[row] = column[begin + row]


_TABLE, _INTS = (types.Array(types.int64, dimensions, "C", readonly=True) for dimensions in (2, 1))
_ROWS, _NUMBERS = (types.Array(types.float64, dimensions, "C", readonly=True) for dimensions in (2, 1))
_AGGREGATES = types.Array(types.float64, 2, "A", readonly=True)
_COLUMNS = types.Tuple((_TABLE, _INTS, types.Array(types.boolean, 1, "C", readonly=True)))


@njit(
    types.void(
        _COLUMNS, _COLUMNS, _ROWS, _AGGREGATES, _NUMBERS, _TABLE, _INTS, types.float32[:, ::1]
    ),
    cache=True, nogil=True, error_model="numpy",
)  # fmt: skip
def fill(event, profile, computed, aggregates, constants, steps, results, vectors):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Fill `vectors` [n, features] with what `results` [features] names.

    Values are known by number: first the `constants`, then columns of the `event` and of the `profile`, as
    `columns.Selection` has them, the rows of `computed` [k, n], the columns of `aggregates` [n, h], and what each step
    comes to. `steps` [s, 3]: an operation and the values it is applied to, one of them twice or two.
    """
    of_event = len(constants)
    of_profile = of_event + len(event[1])
    of_computed = of_profile + len(profile[1])
    of_history = of_computed + len(computed)
    taken = of_history + aggregates.shape[1]
    values = np.empty((taken + len(steps), min(_BLOCK, len(vectors))))
    for number in range(len(constants)):
        values[number] = constants[number]
    for begin in range(0, len(vectors), _BLOCK):
        rows = min(_BLOCK, len(vectors) - begin)
        _take(event, begin, values[of_event:of_profile, :rows])
        _take(profile, begin, values[of_profile:of_computed, :rows])
        values[of_computed:of_history, :rows] = computed[:, begin : begin + rows]
        for column in range(aggregates.shape[1]):
            for row in range(rows):
                values[of_history + column, row] = aggregates[begin + row, column]
        for number in range(len(steps)):
            operation, a, b = steps[number]
            _compute(operation, values[a], values[b], values[taken + number, :rows])
        for row in range(rows):
            vector = vectors[begin + row]
            for column in range(len(results)):
                value = np.float32(values[results[column], row])
                # One bit pattern for "missing", so that equal vectors have equal bytes.
                vector[column] = np.float32(np.nan) if np.isnan(value) else value
