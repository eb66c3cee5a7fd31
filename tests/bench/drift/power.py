"""Power: the smallest change that is noticed in 95 of 100 tries, within two windows of its start."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.judgement import Judge
from riskstream.models.drift.verdict import State, judge_window
from tests.bench.drift.calm import new_alerts
from tests.bench.drift.traffic import HOUR_MS, Scored, Traffic, flagged_as, missing, reshaped, shifted

WINDOWS = 2
NOTICED = 0.95

Apply = Callable[[Traffic, Scored, float, np.random.Generator], Scored]


@dataclass(frozen=True)
class Change:
    """One kind of change: sizes to try, rising, how it is done, what an alert about it may name."""

    name: str
    unit: str
    sizes: NDArray[np.float64]
    apply: Apply
    names: frozenset[str]


@dataclass(frozen=True)
class Power:
    """The smallest size that was noticed often enough, and how often in the very first window; None: none was."""

    change: Change
    events: int
    size: float | None
    at_once: float


def column(traffic: Traffic, name: str) -> int:
    return traffic.shape.layout.names.index(name)


SHARES = np.array([0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5])

CHANGES = (
    Change(
        "a field missing everywhere (`card_present`, 2 % usual)",
        "share",
        SHARES,
        lambda traffic, scored, size, rng: missing(scored, column(traffic, "card_present"), size, rng),
        frozenset({"card_present"}),
    ),
    Change(
        "a field missing for one channel (`ip_country_differs` of web)",
        "share of the channel",
        SHARES,
        lambda traffic, scored, size, rng: missing(scored, column(traffic, "ip_country_differs"), size, rng, 1),
        frozenset({"ip_country_differs"}),
    ),
    Change(
        "a mean that moves (`amount_log`)",
        "standard deviations",
        np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0]),
        lambda traffic, scored, size, _: shifted(scored, column(traffic, "amount_log"), size),
        frozenset({"amount_log"}),
    ),
    Change(
        "a distribution that widens around its median (`amount_log`)",
        "factor",
        np.array([1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0]),
        lambda traffic, scored, size, _: reshaped(scored, column(traffic, "amount_log"), size),
        frozenset({"amount_log"}),
    ),
    Change(
        "more payments sent to review (2 % usual)",
        "share more",
        SHARES,
        flagged_as,
        frozenset({"review", "approve", "score"}),
    ),
)


def smallest(traffic: Traffic, judge: Judge, warm: State, change: Change, events: int, tries: int) -> Power:
    """By bisection over the sizes: a larger change is noticed at least as often."""
    low, high, best = 0, len(change.sizes), Power(change, events, None, 0.0)
    while low < high:
        middle = (low + high) // 2
        size = float(change.sizes[middle])
        found = [_noticed_after(traffic, judge, warm, change, events, size, seed) for seed in range(tries)]
        if np.mean(np.array(found) > 0) >= NOTICED:
            high, best = middle, Power(change, events, size, float(np.mean(np.array(found) == 1)))
        else:
            low = middle + 1
    return best


def _noticed_after(
    traffic: Traffic, judge: Judge, state: State, change: Change, events: int, size: float, seed: int
) -> int:
    """The number of windows after which an alert named it; 0 if none did in time."""
    rng = np.random.default_rng([seed, events, 13])
    windows = traffic.calm(rng, events, state.learned_until + (seed % 24) * HOUR_MS)
    for number in range(1, WINDOWS + 1):
        start, scored = next(windows)
        state, reports = judge_window(judge, state, traffic.window(start, change.apply(traffic, scored, size, rng)))
        if any(change.names.intersection(alert.features) for alert in new_alerts(reports)):
            return number
    return 0
