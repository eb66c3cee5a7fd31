"""The page of a training run: figures with their intervals, plots, slices, drift, and where all of it comes from."""

from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from riskstream.models.scorer import Scorer
from riskstream.models.training.config import TrainConfig
from riskstream.models.training.examples import TrainingData
from riskstream.models.training.metrics import precision_at
from riskstream.models.training.pipeline import Trained
from riskstream.models.training.report import plots
from riskstream.models.training.report.importance import permutation_importance, shifts

FEATURES_SHOWN = 20
# What a figure is, for those who read the page without us.
MEANINGS = {
    "auc": "chance that a fraud scores above an honest payment",
    "average_precision": "area under the precision-recall curve",
    "brier": "mean squared error of the probability",
    "ece": "expected calibration error: mean distance of score and share of fraud",
    "caught": "share of fraud that is not approved",
    "decline_precision": "share of fraud among the declined",
    "review_share": "share of all payments that are reviewed",
    "decline_share": "share of all payments that are declined",
    "fraud_share": "share of all payments that are fraud",
    "mean_score": "near the share of fraud, if calibrated",
    "money_saved": "against approving all, in minor units",
    "money_saved_share": "of what all fraud would have cost",
    "parity_max": "largest difference of a served score from the trained model's",
    "flips": "decisions that differ between the served and the trained model",
    "checks_failed": "red checks of the data set",
}
NAMES = {"auc": "AUC", "brier": "Brier score", "ece": "ECE", "parity_max": "largest parity difference"}
CAPTIONS = {
    "Precision and recall": "What share of alerts is fraud, and how much of the fraud is among them.",
    "ROC": "Recall against the share of honest payments that are stopped, on a logarithmic axis.",
    "Calibration": "Does a score of 0.02 mean that 2 of 100 are fraud? Bars are 95 % ends.",
    "Scores": "How many payments have which score, and where the decisions begin.",
    "Thresholds and costs": "What another threshold to review would bring, and cost a day. The one to decline stays.",
}


def write_report(path: Path, trained: Trained, data: TrainingData, config: TrainConfig) -> None:
    path.write_text(page(trained, data, config), encoding="utf-8")


def page(trained: Trained, data: TrainingData, config: TrainConfig) -> str:
    """The same run gives the same page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["day"] = lambda ms: f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"
    environment.filters["words"] = lambda name: NAMES.get(name, name.replace("_", " ").replace("fpr", "FPR"))
    template = environment.from_string((files(__package__) / "page.html").read_text(encoding="utf-8"))
    manifest, evaluation = trained.bundle.manifest, trained.evaluation
    found = permutation_importance(Scorer(trained.bundle), data.test, manifest.features, config.seed)[:FEATURES_SHOWN]
    return template.render(
        manifest=manifest,
        label=trained.bundle.label,
        parity=trained.parity,
        folds=trained.folds,
        figures=_figures(trained, config),
        best_precision=precision_at(
            replace(evaluation.events, scores=data.test.risky.astype(np.float64)), config.alerts_per_day
        ),
        plots=_plots(trained, config),
        importance=Markup(plots.bars(dict(found), "average precision lost")),  # noqa: S704 - drawn by us
        slices=evaluation.slices,
        shifts=shifts(trained.bundle.reference, data.train.features)[:FEATURES_SHOWN],
        about=data.about,
        parts={"train": data.train, "calibration": data.calibration, "test": data.test},
    )


def _figures(trained: Trained, config: TrainConfig) -> list[tuple[str, float, Any, str]]:
    """Name, value, interval or None, and meaning."""
    metrics, ends = trained.bundle.manifest.metrics, trained.evaluation.intervals
    meanings = MEANINGS | {
        f"precision_at_{config.alerts_per_day}": f"share of fraud among the {config.alerts_per_day} highest of a day"
    }
    families = {"recall_at_fpr": "share of fraud found while so many of the honest are stopped"}
    families |= {"caught_": "share of this kind that is not approved"}
    meanings |= {name: words for name in metrics for family, words in families.items() if name.startswith(family)}
    return [
        (name, value, ends.get(name), meanings.get(name, ""))
        for name, value in metrics.items()
        if not name.endswith(("_low", "_high"))
    ]


def _plots(trained: Trained, config: TrainConfig) -> dict[str, tuple[Markup, str]]:
    """Title, plot and what it shows."""
    events, policy = trained.evaluation.events, trained.bundle.manifest.thresholds
    drawn = {
        "Precision and recall": plots.precision_recall(events, policy),
        "ROC": plots.roc(events, policy),
        "Calibration": plots.calibration(events),
        "Scores": plots.histogram(events, policy),
        "Thresholds and costs": plots.thresholds(events, policy, config.costs),
    }
    return {title: (Markup(svg), CAPTIONS[title]) for title, svg in drawn.items()}  # noqa: S704 - drawn by us
