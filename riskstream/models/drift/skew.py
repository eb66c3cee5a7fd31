"""Skew: what has been usual for long is not what the model was trained on.

No test: with enough windows any difference is significant. These are plain limits, far beyond what chance can do.
"""

from typing import NamedTuple

import numpy as np

from riskstream.models.drift.comparison import compare
from riskstream.models.drift.judgement import Judge
from riskstream.models.drift.memory import Memory
from riskstream.models.drift.tally import Variable

PSI_LIMIT, MISSING_LIMIT = 0.25, 0.05


class Skewed(NamedTuple):
    variable: Variable
    excess: float  # over the limit, at least 1
    measure: str
    before: float
    after: float


def find_skew(judge: Judge, memory: Memory) -> tuple[Skewed, ...]:
    """The features that are far from the reference in the recent windows of all traffic, the farthest first.

    Fewer missing values than in training are no skew: a model is trained with more than usual, to live with them.
    """
    if not judge.is_warm(memory):
        return ()
    shape, found = judge.shape, compare(judge.shape, memory.recent, judge.shape.known)
    features = len(shape.layout.names)
    with np.errstate(invalid="ignore", divide="ignore"):
        known, now = shape.known.hits / shape.known.trials, memory.recent.hits / memory.recent.trials
    missing = [
        Skewed(shape.shares[k], float(found.share_effect[k]) / MISSING_LIMIT, "missing share", known[k], now[k])
        for k in range(features)
    ]
    judged = judge.judged[len(shape.shares) :]
    values = [
        Skewed(shape.columns[k], float(found.distance[k]) / PSI_LIMIT, "PSI", 0.0, float(found.distance[k]))
        for k in range(features)
        if judged[k]
    ]
    far = [skewed for skewed in (*missing, *values) if skewed.excess >= 1]
    return tuple(sorted(far, key=lambda skewed: -skewed.excess))
