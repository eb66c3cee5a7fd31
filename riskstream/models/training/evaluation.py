"""What a bundle is worth on the held-out part: by the scorer that serves it, never by the model it was made from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskstream.models.bundle import Bundle
from riskstream.models.scorer import Scorer
from riskstream.models.training.config import TrainConfig
from riskstream.models.training.examples import Examples
from riskstream.models.training.intervals import Interval, Resampling, Slice, intervals, slices
from riskstream.models.training.metrics import by_class, caught_by_kind, judged, measure
from riskstream.models.training.thresholds import Judged


@dataclass(frozen=True)
class Evaluation:
    """`metrics` is what the bundle's manifest carries; ends of intervals are in it as `NAME_low`, `NAME_high`."""

    events: Judged
    probabilities: NDArray[np.float64] | None
    metrics: dict[str, float]
    intervals: dict[str, Interval]
    slices: list[Slice]


def evaluate(bundle: Bundle, test: Examples, config: TrainConfig) -> Evaluation:
    answer, policy = Scorer(bundle).answer(test.features), bundle.manifest.thresholds
    events = judged(answer.risk, test)
    metrics = measure(events, policy, config.costs, config.alerts_per_day)
    metrics |= caught_by_kind(test, policy.decide(answer.risk) >= 1)
    if answer.probabilities is not None:
        metrics |= by_class(answer.probabilities, test, bundle.manifest.output.classes)
    how = Resampling(policy, config.bootstrap, config.seed)
    ends = intervals(events, how) if config.bootstrap else {}
    for name, interval in ends.items():
        metrics |= {f"{name}_low": round(interval.low, 6), f"{name}_high": round(interval.high, 6)}
    return Evaluation(events, answer.probabilities, metrics, ends, slices(events, test.segments, how))
