"""The compiled pass of `formulas`: a batch through the steps of all formulas, and out as feature vectors.

A batch is often one event, so what counts is that this is one call. In a large one each step is a loop without a jump,
which the processor does eight numbers at a time.
"""

import numpy as np
from numba import njit, types

# What a formula is: something taken as it is, in the order in which `fill` numbers it, or a step.
CONSTANT, EVENT, PROFILE, RESULT, HISTORY = TAKEN = range(5)
ADD, SUBTRACT, MULTIPLY, DIVIDE, FLOOR_DIVIDE, REMAINDER, RATIO, DIFFERS, NONE, PRESENT = range(5, 15)

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
def _each(function, a, b, out):  # type: ignore[no-untyped-def]
    for row in range(len(out)):
        out[row] = function(a[row], b[row])


@_part
def _compute(operation, a, b, out):  # type: ignore[no-untyped-def]
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
    else:
        _each(_present, a, b, out)


_GIVEN = types.Array(types.float64, 2, "C", readonly=True)
_AGGREGATES = types.Array(types.float64, 2, "A", readonly=True)
_CONSTANTS = types.Array(types.float64, 1, "C", readonly=True)
_STEPS, _RESULTS = (types.Array(types.int64, dimensions, "C", readonly=True) for dimensions in (2, 1))


@njit(
    types.void(_GIVEN, _AGGREGATES, _CONSTANTS, _STEPS, _RESULTS, types.float32[:, ::1]),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def fill(given, aggregates, constants, steps, results, vectors):  # type: ignore[no-untyped-def]
    """Fill `vectors` [n, features] with what `results` [features] names.

    Values are known by number: first the `constants`, then the rows of `given` [k, n], the columns of `aggregates`
    [n, h], and what each step comes to. `steps` [s, 3]: an operation and the values it is applied to, one of them twice
    or two.
    """
    after_constants, after_given = len(constants), len(constants) + len(given)
    taken = after_given + aggregates.shape[1]
    values = np.empty((taken + len(steps), min(_BLOCK, len(vectors))))
    for number in range(len(constants)):
        values[number] = constants[number]
    for begin in range(0, len(vectors), _BLOCK):
        rows = min(_BLOCK, len(vectors) - begin)
        values[after_constants:after_given, :rows] = given[:, begin : begin + rows]
        for column in range(aggregates.shape[1]):
            for row in range(rows):
                values[after_given + column, row] = aggregates[begin + row, column]
        for number in range(len(steps)):
            operation, a, b = steps[number]
            _compute(operation, values[a], values[b], values[taken + number, :rows])
        for row in range(rows):
            vector = vectors[begin + row]
            for column in range(len(results)):
                value = np.float32(values[results[column], row])
                # One bit pattern for "missing", so that equal vectors have equal bytes.
                vector[column] = np.float32(np.nan) if np.isnan(value) else value
