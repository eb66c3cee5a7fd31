"""From examples and a config to a trained model: labels of any kind, early stopping, folds."""

import msgspec
from sklearn.metrics import average_precision_score

from riskstream.models.bundle import Output
from riskstream.models.dataset.manifest import Labels
from riskstream.models.outputs import risk_logits
from riskstream.models.training.config import Model, TrainConfig
from riskstream.models.training.examples import Examples
from riskstream.models.training.folds import Fold, latest
from riskstream.models.training.learners import Learned, Lesson, Progress, Way, fit, lesson_of
from riskstream.models.training.multilabel import PerLabelModels


def learn(examples: Examples, labels: Labels, config: TrainConfig, gap_ms: int, progress: Progress) -> Learned:
    """A model of all `examples`, with as many trees as early stopping found on the latest of them."""
    model = config.model
    fold = latest(examples, gap_ms) if model.early_stopping else None
    if fold is not None:
        found = fit_all(fold.past, labels, model, config.seed, lambda share: progress(share / 2), watched=fold.future)
        model = msgspec.structs.replace(model, trees=found.trees, early_stopping=0)
    begun = 0.0 if fold is None else 0.5
    return fit_all(examples, labels, model, config.seed, lambda share: progress(begun + share * (1 - begun)))


def fit_all(
    examples: Examples, labels: Labels, model: Model, seed: int, progress: Progress, watched: Examples | None = None
) -> Learned:
    """One model, or for multi-label one for each label."""
    lessons = _lessons(examples, labels, model)
    later = [None] * len(lessons) if watched is None else _lessons(watched, labels, model)
    learned = [
        fit(lesson, Way(model, seed, watch, lambda share, done=index: progress((done + share) / len(lessons))))  # type: ignore[misc]
        for index, (lesson, watch) in enumerate(zip(lessons, later, strict=True))
    ]
    return PerLabelModels(learned) if labels.kind == "multilabel" else learned[0]


def _lessons(examples: Examples, labels: Labels, model: Model) -> list[Lesson]:
    classes = 2 if labels.kind != "multiclass" else len(labels.classes)
    columns = examples.labels.T
    return [lesson_of(examples.features, column, classes, model.class_weight) for column in columns]


def fold_precision(fold: Fold, labels: Labels, model: Model, seed: int) -> float:
    """Average precision of the risk in the fold's future, of a model that knows only its past."""
    fitted = fit_all(fold.past, labels, model, seed, lambda _share: None)
    exported = fitted.export("fold")
    output = Output(kind=exported.kind, task=labels.kind, tensor=exported.tensor, classes=labels.classes)
    logits = risk_logits(output, fitted.raw(fold.future.features))
    risk = logits if logits.ndim == 1 else logits.max(axis=1)
    return float(average_precision_score(fold.future.risky, risk))
