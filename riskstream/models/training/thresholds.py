"""From raw model to decisions: calibration and thresholds, both from examples that the model did not learn from."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from riskstream.models.calibration import Platt
from riskstream.models.policy import Policy
from riskstream.models.training.examples import Examples

Scores = NDArray[np.float64]

REVIEW_SHARE = 0.02  # what a team of reviewers can look at
DECLINE_PRECISION = 0.8  # of five declined at least four are fraud
DECLINE_SHARE = 0.005  # when no threshold is that precise
ENOUGH = 20  # declined events before a precision is believed


def fit_platt(logits: Scores, labels: NDArray[np.uint8]) -> Platt:
    line = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(logits[:, np.newaxis], labels)
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    if slope <= 0:
        raise ValueError(f"the model ranks held-out fraud below honest payments (slope {slope:.3f}): check the labels")
    return Platt(slope=slope, intercept=intercept)


def choose_policy(scores: Scores, labels: NDArray[np.uint8]) -> Policy:
    review = _gap_below(scores, float(np.quantile(scores, 1 - REVIEW_SHARE)))
    decline = _gap_below(scores, _precise(scores, labels))
    return Policy(review=min(review, decline), decline=decline)


def _precise(scores: Scores, labels: NDArray[np.uint8]) -> float:
    """The lowest score from which on declining is precise enough."""
    precision, _, cuts = precision_recall_curve(labels, scores)
    believed = cuts <= np.sort(scores)[-min(ENOUGH, len(scores))]
    good = cuts[(precision[:-1] >= DECLINE_PRECISION) & believed]
    return float(good[0]) if len(good) else float(np.quantile(scores, 1 - DECLINE_SHARE))


def _gap_below(scores: Scores, cut: float) -> float:
    """The middle between `cut` and the next score below it: no rounding moves a score across a threshold in a gap."""
    known = np.unique(scores)
    place = int(np.clip(np.searchsorted(known, cut), 1, len(known) - 1))
    return float((known[place - 1] + known[place]) / 2)


def measure(scores: Scores, examples: Examples, policy: Policy) -> dict[str, float]:
    """How good the scores and the decisions are; `caught_KIND` is the share of a fraud kind that is not approved."""
    fraud, codes = examples.labels == 1, policy.decide(scores)
    declined, flagged = codes == 2, codes >= 1
    figures = {
        "auc": roc_auc_score(fraud, scores),
        "average_precision": average_precision_score(fraud, scores),
        "fraud_share": fraud.mean(),
        "mean_score": scores.mean(),  # near fraud_share when calibrated
        "review_share": (codes == 1).mean(),
        "decline_share": declined.mean(),
        "decline_precision": fraud[declined].mean() if declined.any() else 0.0,
        "caught": flagged[fraud].mean(),
    }
    kinds = sorted(set(examples.kinds[fraud].tolist()))
    figures |= {f"caught_{kind}": flagged[examples.kinds == kind].mean() for kind in kinds}
    return {name: round(float(value), 6) for name, value in figures.items()}
