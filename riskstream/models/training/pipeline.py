"""The training run, top to bottom: simulate, features, fit, calibrate, collect evidence, prove, write."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import xgboost
from numpy.typing import NDArray

from riskstream.models.bundle import Bundle, Manifest, Output, Reference, Smoke, Training, load_bundle, write_bundle
from riskstream.models.calibration import Platt
from riskstream.models.payment import DOMAIN
from riskstream.models.policy import Policy
from riskstream.models.scorer import Scorer
from riskstream.models.simulation import SimulationConfig, simulate
from riskstream.models.training import boosting, evidence
from riskstream.models.training.examples import Examples, fingerprint, make_examples, split_by_time
from riskstream.models.training.parity import Parity, boundary_rows, check_parity
from riskstream.models.training.thresholds import choose_policy, fit_platt, measure

LIBRARIES = ("xgboost-cpu", "onnxmltools", "onnx", "onnxruntime", "scikit-learn", "numpy")

# Called with the name of a step and the share of it that is done.
Report = Callable[[str, float], None]


@dataclass(frozen=True)
class TrainingConfig:
    """The same value gives the same bundle, byte for byte, apart from `created_at`."""

    seed: int = 7
    users: int = 2_000
    events: int = 120_000
    days: int = 75
    trees: int = 300
    name: str = "payment-risk"
    version: str = "1.0.0"


@dataclass(frozen=True)
class Trained:
    """The bundle as it was written and read back, and how close it is to the model that was trained."""

    bundle: Bundle
    parity: Parity


@dataclass(frozen=True)
class _Model:
    """The trained model in its own library, with calibration: the truth that the bundle is held against."""

    booster: xgboost.Booster
    calibration: Platt

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.calibration.apply(boosting.logits(self.booster, features))


def train(
    config: TrainingConfig, out: Path, created_at: datetime, report: Report = lambda _step, _share: None
) -> Trained:
    """Makes the bundle `out`, which must not exist yet. On ParityError or BundleError nothing is written."""
    report("simulate payments", 0.0)
    log = simulate(SimulationConfig(seed=config.seed, users=config.users, events=config.events, days=config.days))
    report("compute features", 0.0)
    split = split_by_time(make_examples(DOMAIN, log, config.seed))
    booster = boosting.fit(split.train, config.trees, config.seed, lambda share: report("grow trees", share))
    report("calibrate", 0.0)
    raw = boosting.logits(booster, split.calibration.features)
    model = _Model(booster, fit_platt(raw, split.calibration.labels))
    policy = choose_policy(model(split.calibration.features), split.calibration.labels)
    report("prove", 0.0)
    origin = Training(
        fingerprint=fingerprint(log),
        events=len(log.events),
        parameters={**boosting.PARAMETERS, **asdict(config)},
        libraries={name: version(name) for name in LIBRARIES},
    )
    bundle = _bundle(config, model, policy, split.test, origin, created_at)
    parity = _prove(bundle, model, split.test.features, config.seed)
    report("write the bundle", 0.0)
    write_bundle(out, bundle)
    loaded = load_bundle(out, DOMAIN.features)
    report("write the bundle", 1.0)
    return Trained(loaded, parity)


def _bundle(
    config: TrainingConfig, model: _Model, policy: Policy, test: Examples, origin: Training, created_at: datetime
) -> Bundle:
    """Everything about the model but its proof; figures and distributions are those of the test part."""
    names, scores = DOMAIN.features.names, model(test.features)
    reference = evidence.make_reference(names, test.features, scores, policy)
    manifest = Manifest(
        name=config.name,
        version=config.version,
        created_at=created_at,
        input=boosting.INPUT,
        output=Output(kind="logit", tensor=boosting.LOGITS, column=boosting.FRAUD_COLUMN, classes=("honest", "fraud")),
        features=names,
        feature_set=DOMAIN.features.id,
        calibration=model.calibration,
        thresholds=policy,
        training=origin,
        metrics=measure(scores, test, policy),
    )
    onnx = boosting.to_onnx(model.booster, len(names), config.name)
    return Bundle(manifest, onnx, reference, _smoke(model, reference, config.seed))


def _smoke(model: _Model, reference: Reference, seed: int) -> Smoke:
    """What is expected comes from the trained model, so that the cases prove the way to ONNX too."""
    candidates = evidence.candidates(reference, seed)
    rows = evidence.smoke_rows(candidates, model(candidates))
    listed = [tuple(None if value != value else value for value in row) for row in rows.tolist()]  # NaN is not itself
    return Smoke(rows=tuple(listed), expected=tuple(model(rows).tolist()))


def _prove(bundle: Bundle, model: _Model, features: NDArray[np.float32], seed: int) -> Parity:
    """Through the scorer that will serve it, so that its smoke cases run here for the first time."""
    scorer = Scorer(bundle)
    edges = boundary_rows(features, boosting.splits(bundle.model), seed)
    rows = np.concatenate([features, edges])
    return check_parity(model(rows), scorer(rows), bundle.manifest.thresholds)
