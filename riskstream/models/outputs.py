"""What a model's raw answer means: a probability of risk per event, and one per class or label where it knows several.

Used by the scorer on what the bundle's graph says, and by training on what the source model says: the same meaning.
Everything works row by row in float64, so that a row's result never depends on its batch.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import msgspec
import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from riskstream.models.bundle import Output
from riskstream.models.calibration import Calibration, Platt, Uncalibrated, logit, share

Floats = NDArray[np.float64]

_LARGEST = np.finfo(np.float64).max
ROUNDING = 1e-6  # the shares of a forest's trees, added up in float32, may come to a little more than one


class Answer(msgspec.Struct, frozen=True):
    """`risk` [n], and `probabilities` [n, classes] in the order of the output's classes; None for a binary model."""

    risk: Floats
    probabilities: Floats | None


def answer_of(output: Output, calibration: Calibration, said: Floats) -> Answer:
    """`said` is [n] for a binary output and [n, classes] for the others, none of its rows invalid: see `checked`."""
    return _MEANINGS[output.task](output, calibration, said)


def line_of(output: Output, calibration: Calibration) -> tuple[float, float] | None:
    """Slope and intercept, where the risk is nothing but the sigmoid of a line on a single logit."""
    if output.task != "binary" or output.kind != "logit":
        return None
    if isinstance(calibration, Platt):
        return calibration.slope, calibration.intercept
    return (1.0, 0.0) if isinstance(calibration, Uncalibrated) else None


def risk_on_line(raw: NDArray[np.floating[Any]], slope: float, intercept: float) -> tuple[Floats, NDArray[np.int64]]:
    """The risk, and the rows that are no finite logits: what `checked` and then `answer_of` say, to the bit, in one
    compiled pass, as a batch is often one event."""
    risk, rows = np.empty(len(raw)), np.empty(len(raw), np.int64)
    return risk, rows[: sigmoid(raw, slope, intercept, risk, rows)]


def checked(output: Output, raw: NDArray[np.floating[Any]]) -> tuple[Floats, NDArray[np.int64]]:
    """What the model said, of any shape [n, ...], as float64, and the rows that are not all finite logits, or
    probabilities from 0 to 1, int64[k]. A NaN is neither."""
    flat = raw if raw.ndim == 1 else raw.reshape(-1)
    said, rows = np.empty(len(flat)), np.empty(len(raw), np.int64)
    low, high = (-_LARGEST, _LARGEST) if output.kind == "logit" else (0.0, 1.0 + ROUNDING)
    found = _widen(flat, low, high, said, rows)
    return said if raw.ndim == 1 else said.reshape(raw.shape), rows[:found]


def _signature(kind: types.Type) -> Any:
    raw = types.Array(kind, 1, "A", readonly=True)
    return types.int64(raw, types.float64, types.float64, types.float64[::1], types.int64[::1])


@njit([_signature(types.float32), _signature(types.float64)], cache=True, nogil=True)
def _widen(raw, low, high, said, rows):  # type: ignore[no-untyped-def]
    found, width = 0, len(said) // max(1, len(rows))
    for row in range(len(rows)):
        inside = True
        for place in range(row * width, (row + 1) * width):
            said[place] = raw[place]
            inside &= low <= said[place] <= high
        if not inside:
            rows[found] = row
            found += 1
    return found


@njit([_signature(types.float32), _signature(types.float64)], cache=True, nogil=True)
def sigmoid(raw, slope, intercept, risk, rows):  # type: ignore[no-untyped-def]
    """Fill `risk` [n] of `risk_on_line`, and the first of `rows` [n]; answers how many. For compiled code."""
    found = 0
    for row in range(len(raw)):
        value = np.float64(raw[row])
        risk[row] = share(value, slope, intercept)
        if not -_LARGEST <= value <= _LARGEST:
            rows[found] = row
            found += 1
    return found


def risk_logits(output: Output, said: Floats) -> Floats:
    """What the calibration is applied to: the logit of the risk, [n], or of each label, [n, labels]."""
    logits = said if output.kind == "logit" else logit(said)
    if output.task != "multiclass":
        return logits
    if output.kind == "logit":
        _, whole = _softmax(said[:, 1:])
        odds: Floats = np.log(whole) + said[:, 1:].max(axis=1) - said[:, 0]
        return odds
    return logit(reduce(np.add, said[:, 1:].T))


def _binary(output: Output, calibration: Calibration, said: Floats) -> Answer:
    return Answer(calibration.apply(risk_logits(output, said)), None)


def _multiclass(output: Output, calibration: Calibration, said: Floats) -> Answer:
    """Risk is 1 - P(first class), the honest one. Calibration moves the risk; the other classes share it as before."""
    risk = calibration.apply(risk_logits(output, said))
    shares = _softmax(said[:, 1:])[0] if output.kind == "logit" else _shares(said[:, 1:])
    return Answer(risk, np.column_stack([1.0 - risk, shares * risk[:, np.newaxis]]))


def _multilabel(output: Output, calibration: Calibration, said: Floats) -> Answer:
    """Labels do not exclude each other; the risk is that of the likeliest."""
    probabilities = calibration.apply(risk_logits(output, said))
    return Answer(probabilities.max(axis=1), probabilities)


def _shares(probabilities: Floats) -> Floats:
    """Of their sum; equal ones of nothing."""
    whole: Floats = reduce(np.add, probabilities.T)
    shares = probabilities / np.where(whole > 0, whole, 1.0)[:, np.newaxis]
    return np.where(whole[:, np.newaxis] > 0, shares, 1.0 / probabilities.shape[1])


def _softmax(logits: Floats) -> tuple[Floats, Floats]:
    """Shares that add up to one, and the sum of exponentials relative to the largest logit."""
    powers = np.exp(np.maximum(logits - logits.max(axis=1, keepdims=True), -700.0))
    whole: Floats = reduce(np.add, powers.T)  # column by column: numpy's own order of adding depends on the shape
    return powers / whole[:, np.newaxis], whole


_MEANINGS: dict[str, Callable[[Output, Calibration, Floats], Answer]] = {
    "binary": _binary,
    "multiclass": _multiclass,
    "multilabel": _multilabel,
}
