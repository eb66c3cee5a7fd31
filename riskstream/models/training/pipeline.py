"""The training run, top to bottom: learn, calibrate, choose thresholds, export, prove, evaluate, write."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.bundle import Bundle, BundleError, load_bundle, write_bundle
from riskstream.models.calibration import Calibration, PerLabel
from riskstream.models.domain import Domain
from riskstream.models.outputs import risk_logits
from riskstream.models.training.calibrate import calibrate
from riskstream.models.training.config import TrainConfig
from riskstream.models.training.evaluation import Evaluation, evaluate
from riskstream.models.training.examples import Examples, TrainingData
from riskstream.models.training.export import Origin, SourceModel, make_bundle, output_of
from riskstream.models.training.folds import prequential
from riskstream.models.training.learners import Learned
from riskstream.models.training.learning import fold_precision, learn
from riskstream.models.training.metrics import judged
from riskstream.models.training.parity import Parity, prove
from riskstream.models.training.thresholds import choose_policy

# Called with the name of a step and the share of it that is done.
Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Trained:
    """The bundle as it was written to `path` and read back, how close it is to the model that was trained, and what it
    is worth. `folds`: the average precision in each prequential fold."""

    path: Path
    bundle: Bundle
    parity: Parity
    evaluation: Evaluation
    folds: tuple[float, ...]


def train(
    config: TrainConfig,
    data: TrainingData,
    domain: Domain,
    out: Path,
    origin: Origin,
    report: Report = lambda _step, _share: None,
) -> Trained:
    """Makes the bundle `out`, which must not exist yet. On any error nothing is written.

    Raises ParityError, BundleError, CalibrationError.
    """
    if out.exists():  # before the work, not after it
        raise BundleError(f"bundle {out}: already exists, and a bundle never changes; choose another directory")
    config, folds = _validated(config, data, report)
    labels, gap_ms = data.labels, data.about.cuts.gap_ms
    learned = learn(data.train, labels, config, gap_ms, lambda share: report("learn", share))
    report("calibrate", 0.0)
    model = _calibrated(learned, data, config)
    policy = choose_policy(
        judged(model(data.calibration.features).risk, data.calibration), config.thresholds, config.costs
    )
    report("prove", 0.0)
    bundle = make_bundle(config, data.about, model, policy, data.test.features, origin)
    parity = prove(bundle, model, data.test.features, config.seed)
    report("evaluate", 0.0)
    evaluation = evaluate(bundle, data.test, config)
    report("write the bundle", 0.0)
    write_bundle(out, _finished(bundle, evaluation.metrics | _proof(parity, origin), origin))
    loaded = load_bundle(out, domain.features)
    report("write the bundle", 1.0)
    return Trained(out, loaded, parity, evaluation, folds)


def _proof(parity: Parity, origin: Origin) -> dict[str, float]:
    """What must be known of a bundle before anybody lets it run."""
    checks = {} if origin.checks_failed is None else {"checks_failed": float(origin.checks_failed)}
    return {"parity_max": parity.largest, "flips": float(parity.flips), **checks}


def _finished(bundle: Bundle, metrics: dict[str, float], origin: Origin) -> Bundle:
    measured = replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, metrics=metrics))
    if origin.version is None:
        return measured
    return replace(measured, manifest=msgspec.structs.replace(measured.manifest, version=origin.version(measured)))


def _validated(config: TrainConfig, data: TrainingData, report: Report) -> tuple[TrainConfig, tuple[float, ...]]:
    """The config with the parameters that a search found, if one was asked for, and the worth of each fold."""
    folds = prequential(data.train, config.validation.folds, data.about.cuts.gap_ms) if config.validation.folds else []
    if config.search.trials and folds:
        from riskstream.models.training.search import search

        found = search(folds, data.labels, config, lambda share: report("search", share))
        config = msgspec.structs.replace(config, model=found)
    worth = []
    for number, fold in enumerate(folds):
        report("validate", number / len(folds))
        worth.append(fold_precision(fold, data.labels, config.model, config.seed))
    return config, tuple(worth)


def _calibrated(learned: Learned, data: TrainingData, config: TrainConfig) -> SourceModel:
    exported = learned.export(config.name)
    output = output_of(exported, data.about)
    logits = risk_logits(output, learned.raw(data.calibration.features))
    return SourceModel(learned, exported, output, _calibration(config.calibration, logits, data.calibration))


def _calibration(method: str, logits: NDArray[np.float64], examples: Examples) -> Calibration:
    """One for the risk, or for multi-label one for each label."""
    if logits.ndim == 1:
        return calibrate(method, logits, examples.risky)
    labels = enumerate(examples.labels.T > 0)
    return PerLabel(labels=tuple(calibrate(method, logits[:, index], known) for index, known in labels))
