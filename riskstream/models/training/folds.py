"""Prequential folds: learn from the past, be judged on what came next, several times within the training time."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from riskstream.models.training.examples import Examples

STOPPING_SHARE = 0.2


class Fold(NamedTuple):
    """`past` knows only the labels that had come when `future` began."""

    past: Examples
    future: Examples


def prequential(examples: Examples, count: int, gap_ms: int) -> list[Fold]:
    """Cuts the time into `count` + 1 equal spans; fold k learns from the first k + 1 and is judged on the next.

    Folds whose past or future lacks one of the kinds, as the first may, are left out.
    """
    begin, end = int(examples.event_time[0]), int(examples.event_time[-1]) + 1
    cuts = np.linspace(begin, end, count + 2).astype(np.int64)[1:].tolist()
    return _usable(_fold(examples, cut, until, gap_ms) for cut, until in pairwise(cuts))


def latest(examples: Examples, gap_ms: int) -> Fold | None:
    """The last fifth of the time as a fold, for early stopping; None if there is not enough of either kind."""
    begin, end = int(examples.event_time[0]), int(examples.event_time[-1]) + 1
    return next(iter(_usable([_fold(examples, end - int((end - begin) * STOPPING_SHARE), end, gap_ms)])), None)


def _fold(examples: Examples, cut: int, until: int, gap_ms: int) -> Fold:
    time = examples.event_time
    return Fold(examples.as_known(cut, gap_ms), examples[(time >= cut) & (time < until)])


def _usable(folds: Iterable[Fold]) -> list[Fold]:
    return [fold for fold in folds if all(part.risky.any() and not part.risky.all() for part in fold)]
