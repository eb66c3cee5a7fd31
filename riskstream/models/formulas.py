"""Formulas: how a feature follows from an event, its user's history and profile, written as arithmetic on columns.

    ratio(event("amount") - history("mean"), history("std"))

To write one computes nothing. The formulas of a feature set become one list of steps, and `formula_pass` takes a batch
through all of them in one call. Every number is a float64: whole numbers are exact up to 2**53.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from riskstream.models import formula_pass as step
from riskstream.schemas.columns import Selection


@dataclass(frozen=True)
class Formula:
    """A number for each event. Made by the functions below, and of others and constants by + - * / // and %.

    What is missing is NaN, and so is what is computed with it.
    """

    operation: int
    operands: tuple[Any, ...]

    def __add__(self, other: "Formula | float") -> "Formula":
        return _of_two(step.ADD, self, other)

    def __sub__(self, other: "Formula | float") -> "Formula":
        return _of_two(step.SUBTRACT, self, other)

    def __mul__(self, other: "Formula | float") -> "Formula":
        return _of_two(step.MULTIPLY, self, other)

    def __truediv__(self, other: "Formula | float") -> "Formula":
        """Infinite over zero, unlike `ratio`."""
        return _of_two(step.DIVIDE, self, other)

    def __floordiv__(self, other: "Formula | float") -> "Formula":
        return _of_two(step.FLOOR_DIVIDE, self, other)

    def __mod__(self, other: "Formula | float") -> "Formula":
        return _of_two(step.REMAINDER, self, other)


def event(column: str) -> Formula:
    """A column of `Domain.columns`."""
    return Formula(step.EVENT, (column,))


def profile(column: str) -> Formula:
    """A column of `Domain.profiles`."""
    return Formula(step.PROFILE, (column,))


def history(column: str) -> Formula:
    """A column of `HistorySpec.columns`."""
    return Formula(step.HISTORY, (column,))


def result(function: Callable[[Any], NDArray[Any]]) -> Formula:
    """What a function makes of a batch's Inputs: for what formulas cannot say."""
    return Formula(step.RESULT, (function,))


def ratio(over: Formula, under: Formula) -> Formula:
    """over / under; NaN where `under` is not above zero, so that no infinity reaches a model."""
    return _of_two(step.RATIO, over, under)


def differs(code: Formula, other: Formula) -> Formula:
    """1 or 0; NaN where the first code is 0, missing."""
    return _of_two(step.DIFFERS, code, other)


def present(code: Formula) -> Formula:
    """0 where the code or hash is 0, missing, else 1."""
    return Formula(step.PRESENT, (code,))


def log1p(number: Formula) -> Formula:
    """The natural logarithm of one plus the number; NaN below -1, where there is none."""
    return Formula(step.LOG1P, (number,))


def none(count: Formula) -> Formula:
    """1 where the count is zero, else 0."""
    return Formula(step.NONE, (count,))


def _of_two(operation: int, *operands: Formula | float) -> Formula:
    formulas = (x if isinstance(x, Formula) else Formula(step.CONSTANT, (float(x),)) for x in operands)
    return Formula(operation, tuple(formulas))


class Program(NamedTuple):
    """Formulas as `formula_pass.fill` takes them, with the columns that it is to be given."""

    constants: NDArray[np.float64]
    event: Selection
    profile: Selection
    functions: Sequence[Callable[[Any], NDArray[Any]]]
    steps: NDArray[np.int64]
    results: NDArray[np.int64]


def program(formulas: Sequence[Formula], history_columns: Sequence[str]) -> Program:
    """What several formulas share is one step. Raises ValueError for a history column that is not among those."""
    parts = list(dict.fromkeys(part for formula in formulas for part in _parts(formula)))
    taken = {kind: [part for part in parts if part.operation == kind] for kind in step.TAKEN}
    if unknown := {part.operands[0] for part in taken[step.HISTORY]} - set(history_columns):
        raise ValueError(f"features over unknown history columns {sorted(unknown)}")
    taken[step.HISTORY] = [history(column) for column in history_columns]
    done = [part for part in parts if part.operation not in taken]
    number = {part: number for number, part in enumerate([*chain(*taken.values()), *done])}
    steps = [(part.operation, number[part.operands[0]], number[part.operands[-1]]) for part in done]
    constants, event, profile, functions, _ = ([part.operands[0] for part in some] for some in taken.values())
    return Program(
        np.array(constants, np.float64),
        Selection(event),
        Selection(profile),
        functions,
        np.array(steps, np.int64).reshape(-1, 3),
        np.array([number[formula] for formula in formulas], np.int64),
    )


def _parts(formula: Formula) -> Iterator[Formula]:
    """All formulas within it, operands before what is made of them."""
    for operand in formula.operands:
        if isinstance(operand, Formula):
            yield from _parts(operand)
    yield formula
