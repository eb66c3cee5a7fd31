"""Training data of the simulator, small, in a few seconds; and the same with labels of other kinds."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from riskstream.models.dataset.manifest import Labels
from riskstream.models.payment import DOMAIN
from riskstream.models.simulation import SimulationConfig
from riskstream.models.training.examples import Examples, TrainingData, read_training_data
from riskstream.models.training.simulated import simulated_dataset

SMALL = SimulationConfig(seed=7, users=150, events=12_000, days=90, fraud_share=0.1)
CLASSES = ("honest", "stolen_card", "account_takeover", "card_testing", "compromised_merchant")


def small_data(folder: Path) -> TrainingData:
    simulated_dataset(SMALL, folder / "data")
    return read_training_data(folder / "data", DOMAIN)


def relabelled(data: TrainingData, kind: Literal["multiclass", "multilabel"]) -> TrainingData:
    """Kinds of fraud as classes, or two of them as labels."""
    classes = CLASSES if kind == "multiclass" else CLASSES[1:3]

    def part(examples: Examples) -> Examples:
        if kind == "multilabel":
            labels = np.stack([(examples.kind == name) & examples.risky for name in classes], axis=1)
        else:
            codes = {name: code for code, name in enumerate(classes)}
            known = zip(examples.kind.tolist(), examples.risky.tolist(), strict=True)
            labels = np.array([[codes[name] if risky else 0] for name, risky in known])
        return replace(examples, labels=labels.astype(np.int16))

    about = msgspec.structs.replace(data.about, labels=Labels(kind=kind, classes=classes))
    return TrainingData(about, part(data.train), part(data.calibration), part(data.test))
