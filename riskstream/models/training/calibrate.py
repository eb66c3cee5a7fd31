"""Calibration from examples that the model did not learn from: a line on the logit, or a curve if that is better."""

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from riskstream.models.calibration import Isotonic, Platt

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ENOUGH = 200  # risky examples before a curve is believed at all
FITTED_SHARE = 2 / 3  # of the part, in time order; the two are compared on the rest


class CalibrationError(ValueError):
    """The model's answers cannot be made probabilities; the message says why and what to look at."""


def calibrate(method: str, logits: Floats, risky: Bools) -> Platt | Isotonic:
    """`auto` takes the curve where the earlier two thirds make one that has the lower Brier score on the last third."""
    if risky.all() or not risky.any():
        raise CalibrationError("the calibration part has examples of one class only: give it more of the log")
    if (auc := roc_auc_score(risky, logits)) <= 0.5:
        raise CalibrationError(
            f"the model ranks held-out risk below the rest (AUC {auc:.3f}): look at the labels with: riskstream check"
        )
    chosen = _better(logits, risky) if method == "auto" else method
    return fit_isotonic(logits, risky) if chosen == "isotonic" else fit_platt(logits, risky)


def _better(logits: Floats, risky: Bools) -> str:
    cut = int(len(logits) * FITTED_SHARE)
    if risky[:cut].sum() < ENOUGH or len(np.unique(risky[cut:])) < 2:
        return "platt"
    line = brier_score_loss(risky[cut:], fit_platt(logits[:cut], risky[:cut]).apply(logits[cut:]))
    curve = brier_score_loss(risky[cut:], fit_isotonic(logits[:cut], risky[:cut]).apply(logits[cut:]))
    return "isotonic" if curve < line else "platt"


def fit_platt(logits: Floats, risky: Bools) -> Platt:
    line = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(logits[:, np.newaxis], risky)
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    if not 0 < slope <= 20 or abs(intercept) > 50:
        raise CalibrationError(
            f"held-out answers and truth do not fit a line (slope {slope:.3g}, intercept {intercept:.3g}): "
            "look at the labels with: riskstream check"
        )
    return Platt(slope=slope, intercept=intercept)


def fit_isotonic(logits: Floats, risky: Bools) -> Isotonic:
    """Centred isotonic regression: a knot in the middle of each level, so that the score rises between them.

    Steps would give many events one score and, at a step, two scores to events that differ by a rounding. (Oron and
    Flournoy, Centered Isotonic Regression, 2017.)
    """
    fitted = IsotonicRegression(out_of_bounds="clip").fit(logits, risky)
    levels, place = np.unique(fitted.predict(logits), return_inverse=True)
    centres = np.bincount(place, logits) / np.bincount(place)
    return Isotonic(tuple(centres.tolist()), tuple(np.clip(levels, 0.0, 1.0).tolist()))
