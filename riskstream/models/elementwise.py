"""What feature functions are made of: small sums over whole columns, in one call each.

Compiled, since a batch is often one event: then numpy's three or four calls for the same are all that it costs.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])

_INTS, _FLOATS = (types.Array(kind, 1, "A", readonly=True) for kind in (types.int64, types.float64))
_COLUMN = types.float64[::1]


def _compiled(*signatures: Any) -> Callable[[Function], Function]:
    return cast(Callable[[Function], Function], njit(list(signatures), cache=True, nogil=True))


@njit(nogil=True, inline="always")
def _check_lengths(one, other):  # type: ignore[no-untyped-def]
    if len(one) != len(other):  # compiled code does not check indexes
        raise ValueError("columns of different lengths")


@_compiled(_COLUMN(_INTS, _FLOATS), _COLUMN(_FLOATS, _FLOATS))
def ratio(over: Ints | Floats, under: Floats) -> Floats:
    """over / under; NaN where `under` is not above zero or missing, so that no infinity reaches a model."""
    _check_lengths(over, under)
    quotient = np.empty(len(under))
    for row in range(len(under)):
        quotient[row] = over[row] / under[row] if under[row] > 0 else np.nan
    return quotient


@_compiled(_COLUMN(_INTS, _INTS), _COLUMN(_FLOATS, _INTS))
def differs(code: Ints | Floats, other: Ints) -> Floats:
    """1 or 0; NaN where the first code is 0, missing. Codes of profiles are kept as floats."""
    _check_lengths(code, other)
    different = np.empty(len(code))
    for row in range(len(code)):
        different[row] = code[row] != other[row] if code[row] != 0 else np.nan
    return different


@_compiled(_COLUMN(_FLOATS))
def none(count: Floats) -> Floats:
    """1 where the count is zero, else 0; NaN stays."""
    zero = np.empty(len(count))
    for row in range(len(count)):
        zero[row] = count[row] == 0 if count[row] >= 0 else np.nan
    return zero
