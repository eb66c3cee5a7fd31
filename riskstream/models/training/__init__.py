"""Training: from a simulated log to a bundle that has proved itself. Nothing of it is on the serving side."""

from riskstream.models.training.parity import ParityError
from riskstream.models.training.pipeline import Trained, TrainingConfig, train

__all__ = ["ParityError", "Trained", "TrainingConfig", "train"]
