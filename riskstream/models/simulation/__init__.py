"""A small world that pays: customers with habits, merchants, devices, fraud. Deterministic per seed."""

from riskstream.models.simulation.config import SimulationConfig
from riskstream.models.simulation.fraud import FRAUD_KINDS
from riskstream.models.simulation.log import SimulatedLog, simulate

__all__ = ["FRAUD_KINDS", "SimulatedLog", "SimulationConfig", "simulate"]
