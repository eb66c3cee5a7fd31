"""The trained model as a bundle: graph, manifest, reference and smoke cases. Nothing is written here."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from riskstream.models.bundle import Bundle, Manifest, Output, Reference, Smoke, Training
from riskstream.models.calibration import Calibration
from riskstream.models.dataset.manifest import Dataset
from riskstream.models.outputs import Answer, answer_of
from riskstream.models.policy import Policy
from riskstream.models.training import evidence
from riskstream.models.training.config import TrainConfig
from riskstream.models.training.learners import INPUT, Exported, Learned

LIBRARIES = {
    "xgboost": ("xgboost-cpu", "onnxmltools"),
    "lightgbm": ("lightgbm",),
    "random_forest": ("skl2onnx",),
    "logistic": (),
}
COMMON = ("scikit-learn", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Origin:
    """When, and from which commit of the code; an empty commit is an unknown one.

    - `checks_failed`: how many checks of the data set are red; None if nobody looked.
    - `version`: says which one the finished bundle must bear; None: the config's.
    """

    created_at: datetime
    commit: str = ""
    checks_failed: int | None = None
    version: Callable[[Bundle], str] | None = None


@dataclass(frozen=True)
class SourceModel:
    """The trained model in its own library, calibrated: the truth that the bundle is held against."""

    learned: Learned
    exported: Exported
    output: Output
    calibration: Calibration

    def __call__(self, features: NDArray[np.float32]) -> Answer:
        return answer_of(self.output, self.calibration, self.learned.raw(features))


def output_of(exported: Exported, about: Dataset) -> Output:
    task, classes = about.labels.kind, about.labels.classes
    column = exported.column if task == "binary" else 0
    return Output(kind=exported.kind, task=task, tensor=exported.tensor, column=column, classes=classes)


def make_bundle(
    config: TrainConfig,
    about: Dataset,
    model: SourceModel,
    policy: Policy,
    held_out: NDArray[np.float32],
    origin: Origin,
) -> Bundle:
    """`held_out` are the rows that the reference describes. The metrics are still to come."""
    reference = evidence.make_reference(about.features, held_out, model(held_out).risk, policy)
    cuts = {name: getattr(about.cuts, name) for name in ("warm_until", "train", "calibration", "test", "gap_ms")}
    training = Training(
        fingerprint=about.fingerprint,
        events=about.rows,
        parameters={**config.flat, "trees_grown": model.learned.trees},
        libraries={name: version(name) for name in (*LIBRARIES[config.model.kind], *COMMON)},
        commit=origin.commit,
        cuts=cuts,
    )
    manifest = Manifest(
        name=config.name,
        version=config.version,
        created_at=origin.created_at,
        input=INPUT,
        output=model.output,
        features=about.features,
        feature_set=about.feature_set,
        calibration=model.calibration,
        thresholds=policy,
        training=training,
        metrics={},
    )
    return Bundle(manifest, model.exported.model, reference, _smoke(model, reference, config.seed))


def _smoke(model: SourceModel, reference: Reference, seed: int) -> Smoke:
    """What is expected comes from the trained model, so that the cases prove the way to ONNX too."""
    candidates = evidence.candidates(reference, seed)
    rows = evidence.smoke_rows(candidates, model(candidates).risk)
    listed = [tuple(None if value != value else value for value in row) for row in rows.tolist()]  # NaN is not itself
    return Smoke(rows=tuple(listed), expected=tuple(model(rows).risk.tolist()))
