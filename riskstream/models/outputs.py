"""What a model's raw answer means: a probability of risk per event, and one per class or label where it knows several.

Used by the scorer on what the bundle's graph says, and by training on what the source model says: the same meaning.
Everything works row by row in float64, so that a row's result never depends on its batch.
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riskstream.models.bundle import Output
from riskstream.models.calibration import Calibration, logit

Floats = NDArray[np.float64]

ROUNDING = 1e-6  # the shares of a forest's trees, added up in float32, may come to a little more than one


class Answer(NamedTuple):
    """`risk` [n], and `probabilities` [n, classes] in the order of the output's classes; None for a binary model."""

    risk: Floats
    probabilities: Floats | None


def answer_of(output: Output, calibration: Calibration, said: Floats) -> Answer:
    """`said` is [n] for a binary output and [n, classes] for the others, valid as `is_valid` says."""
    return _MEANINGS[output.task](output, calibration, said)


def is_valid(output: Output, said: Floats) -> NDArray[np.bool_]:
    """Per row: are these finite logits, or probabilities from 0 to 1? False for NaN."""
    good = np.isfinite(said) if output.kind == "logit" else (said >= 0.0) & (said <= 1.0 + ROUNDING)
    return good if good.ndim == 1 else np.logical_and.reduce(good, axis=1)


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
