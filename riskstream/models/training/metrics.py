"""How good scores and decisions are, in figures by name."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from riskstream.models.policy import Policy
from riskstream.models.training.config import Costs
from riskstream.models.training.examples import Examples
from riskstream.models.training.thresholds import DAY_MS, Judged, money_saved

FALSE_POSITIVE_RATES = (0.001, 0.01, 0.05)
BINS = 15


def judged(scores: NDArray[np.float64], examples: Examples) -> Judged:
    return Judged(scores, examples.risky, examples.amount, examples.event_time, examples.user)


def measure(events: Judged, policy: Policy, costs: Costs, k: int) -> dict[str, float]:
    """Of the risk and the decisions. `precision_at_K` is the share of fraud among the K highest scores of a day, the
    mean over days; `caught` the share of fraud that is not approved; `ece` over bins of equally many events."""
    risky, codes = events.risky, policy.decide(events.scores)
    declined = codes == 2
    lost = float(events.amount[risky].sum())
    saved = money_saved(events, codes, costs)
    figures = {
        "auc": roc_auc_score(risky, events.scores),
        "average_precision": average_precision_score(risky, events.scores),
        f"precision_at_{k}": precision_at(events, k),
        **recalls(events),
        "brier": brier_score_loss(risky, events.scores),
        "ece": calibration_error(events),
        "fraud_share": risky.mean(),
        "mean_score": events.scores.mean(),  # near fraud_share when calibrated
        "review_share": (codes == 1).mean(),
        "decline_share": declined.mean(),
        "decline_precision": risky[declined].mean() if declined.any() else 0.0,
        "caught": (codes >= 1)[risky].mean(),
        "money_saved": saved,
        "money_saved_share": saved / lost if lost else 0.0,
    }
    return rounded(figures)


def caught_by_kind(examples: Examples, flagged: NDArray[np.bool_]) -> dict[str, float]:
    """`caught_KIND`: the share of a kind of fraud that is not approved."""
    kinds = sorted(set(examples.kind[examples.risky].tolist()) - {""})
    return rounded({f"caught_{kind}": flagged[(examples.kind == kind) & examples.risky].mean() for kind in kinds})


def by_class(probabilities: NDArray[np.float64], examples: Examples, classes: tuple[str, ...]) -> dict[str, float]:
    """`auc_CLASS` and `average_precision_CLASS` of each class or label against the rest, where it occurs."""
    truth = examples.labels if examples.labels.shape[1] > 1 else examples.labels == np.arange(len(classes))
    figures = {}
    for index, name in enumerate(classes):
        own = truth[:, index] == 1
        if 0 < own.sum() < len(own):
            figures[f"auc_{name}"] = roc_auc_score(own, probabilities[:, index])
            figures[f"average_precision_{name}"] = average_precision_score(own, probabilities[:, index])
    return rounded(figures)


def precision_at(events: Judged, k: int) -> float:
    """A day with fewer than k events counts all of them."""
    day = events.event_time // DAY_MS
    order = np.lexsort((-events.scores, day))
    begins = np.flatnonzero(np.diff(day[order], prepend=day.min() - 1))
    ends = np.append(begins[1:], len(day))
    return float(np.mean([events.risky[order[b : min(b + k, e)]].mean() for b, e in zip(begins, ends, strict=True)]))


def recalls(events: Judged) -> dict[str, float]:
    """The largest recall at no more than each false-positive rate."""
    false, true, _ = roc_curve(events.risky, events.scores)
    return {f"recall_at_fpr_{rate:g}": float(true[false <= rate].max()) for rate in FALSE_POSITIVE_RATES}


def calibration_error(events: Judged) -> float:
    """Expected calibration error: |share of fraud - mean score| over bins of equally many events, weighted by them."""
    return float(sum(len(rows) * abs(_gap(events, rows)) for rows in bins(events.scores)) / len(events.scores))


def bins(scores: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Rows by score, in BINS parts of equally many; the highest is split once more, because fraud is there."""
    order = np.argsort(scores, kind="stable")
    *most, highest = np.array_split(order, BINS)
    return [part for part in (*most, *np.array_split(highest, 5)) if len(part)]


def _gap(events: Judged, rows: NDArray[np.int64]) -> float:
    return float(events.risky[rows].mean() - events.scores[rows].mean())


def rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in figures.items()}
