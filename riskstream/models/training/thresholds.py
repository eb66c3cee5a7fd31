"""From scores to decisions: a threshold for review and one for decline, each by a rule, on the calibration part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from riskstream.models.policy import Policy
from riskstream.models.training.config import Alerts, Cost, Costs, Precision, Recall, Rule, Thresholds, Top

Scores = NDArray[np.float64]

ENOUGH = 20  # events above a threshold before a precision is believed
FALLBACK = Top(value=0.005)  # when no threshold is that precise
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Judged:
    """Scored events whose truth is known. Row k of each is event k; amounts in minor units."""

    scores: Scores
    risky: NDArray[np.bool_]
    amount: NDArray[np.int64]
    event_time: NDArray[np.int64]
    user: NDArray[np.uint64]

    def __getitem__(self, rows: NDArray[np.bool_]) -> "Judged":
        return Judged(self.scores[rows], self.risky[rows], self.amount[rows], self.event_time[rows], self.user[rows])

    @property
    def days(self) -> int:
        """Days with events."""
        return len(np.unique(self.event_time // DAY_MS))


def choose_policy(events: Judged, rules: Thresholds, costs: Costs) -> Policy:
    """Thresholds stand in gaps between scores. A review threshold above the decline threshold becomes it."""
    review = _gap_below(events.scores, _cut(events, rules.review, _review_costs(events, costs)))
    decline = _gap_below(events.scores, _cut(events, rules.decline, _decline_costs(events, costs, review)))
    return Policy(review=min(review, decline), decline=decline)


def _cut(events: Judged, rule: Rule, added_cost: NDArray[np.float64]) -> float:
    """The lowest score that is to be stopped. `added_cost`: what stopping each event costs more than letting it by."""
    scores = events.scores
    match rule:
        case Top(value=share):
            return float(np.quantile(scores, 1 - share))
        case Alerts(value=per_day):
            count = min(int(per_day * events.days), len(scores) - 1)
            return float(np.sort(scores)[-max(count, 1)])
        case Recall(value=share):
            caught = np.sort(scores[events.risky])[::-1]
            return float(caught[int(np.ceil(share * len(caught))) - 1])
        case Precision(value=share):
            return _precise(events, share)
        case Cost():
            return _cheapest(scores, added_cost)


def _precise(events: Judged, share: float) -> float:
    """The lowest score from which on stopping is precise enough."""
    precision, _, cuts = precision_recall_curve(events.risky, events.scores)
    believed = cuts <= np.sort(events.scores)[-min(ENOUGH, len(events.scores))]
    good = cuts[(precision[:-1] >= share) & believed]
    return float(good[0]) if len(good) else float(np.quantile(events.scores, 1 - FALLBACK.value))


def _cheapest(scores: Scores, added_cost: NDArray[np.float64]) -> float:
    order = np.argsort(-scores, kind="stable")
    whole, ranked = np.cumsum(added_cost[order]), scores[order]
    ends = np.append(ranked[1:] != ranked[:-1], True)  # a threshold takes all events of one score or none
    best = int(np.flatnonzero(ends)[np.argmin(whole[ends])])
    return float(ranked[best]) if whole[best] < 0 else float(np.inf)


def _review_costs(events: Judged, costs: Costs) -> NDArray[np.float64]:
    """A review costs its price and saves the amount of a fraud."""
    return costs.review - np.where(events.risky, events.amount, 0).astype(np.float64)


def _decline_costs(events: Judged, costs: Costs, review: float) -> NDArray[np.float64]:
    """An honest customer is insulted; what is saved is the review, or below its threshold the amount of a fraud."""
    saved = np.where(events.scores >= review, float(costs.review), np.where(events.risky, events.amount, 0))
    return np.where(events.risky, 0.0, float(costs.insult)) - saved


def _gap_below(scores: Scores, cut: float) -> float:
    """The middle between `cut` and the next score below it: no rounding moves a score across a threshold in a gap."""
    known = np.unique(scores)
    if cut > known[-1]:
        return 1.0
    place = int(np.clip(np.searchsorted(known, cut), 1, len(known) - 1))
    return float((known[place - 1] + known[place]) / 2)


def cost_of(events: Judged, decisions: NDArray[np.uint8], costs: Costs) -> float:
    """What the decisions cost in all, in minor units."""
    missed = events.amount[events.risky & (decisions == 0)].sum()
    insulted = int((~events.risky & (decisions == 2)).sum())
    return float(missed + costs.review * int((decisions == 1).sum()) + costs.insult * insulted)


def money_saved(events: Judged, decisions: NDArray[np.uint8], costs: Costs) -> float:
    """Against approving everything."""
    return float(events.amount[events.risky].sum()) - cost_of(events, decisions, costs)
