"""False alarms: calm windows judged one after the other, and every alert they raise."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binomtest

from riskstream.models.drift.judgement import Judge
from riskstream.models.drift.verdict import State, judge_window
from riskstream.schemas.drift import Alert, DriftReport
from tests.bench.drift.traffic import DAY_MS, REFERENCE, WARM, WORLD, Traffic

START = WORLD.start_ms + (WARM + REFERENCE) * DAY_MS


@dataclass
class Calm:
    """What calm windows of one size came to. `state` is what was learned by then."""

    events: int
    windows: int = 0
    alerts: list[Alert] = field(default_factory=list)
    state: State = field(default_factory=State)
    suspects: int = 0

    @property
    def alarmed(self) -> int:
        """Windows that raised an alert."""
        return len({alert.raised_at for alert in self.alerts})

    @property
    def rate(self) -> float:
        return self.alarmed / self.windows

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the share of windows that raise an alert (Clopper and Pearson 1934)."""
        found = binomtest(self.alarmed, self.windows).proportion_ci(0.95, "exact")
        return float(found.low), float(found.high)


def run_calm(traffic: Traffic, judge: Judge, events: int, windows: int, advance: Callable[[], None]) -> Calm:
    """Warm-up windows first, which raise nothing by rule and are not counted."""
    done = Calm(events)
    drawn = traffic.calm(np.random.default_rng([events, 11]), events, START)
    for number in range(judge.rules.warm_up + windows):
        start, scored = next(drawn)
        done.state, reports = judge_window(judge, done.state, traffic.window(start, scored))
        if number >= judge.rules.warm_up:
            done.windows += 1
            done.alerts += new_alerts(reports)
            done.suspects += any(feature.verdict == "suspect" for each in reports for feature in each.features)
        advance()
    return done


def new_alerts(reports: Iterable[DriftReport]) -> list[Alert]:
    return [a for report in reports for a in report.alerts if a.raised_at == report.window_end and a.ended_at is None]
