"""Registries and bundles for tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from riskstream.models.bundle import Bundle, Training, write_bundle
from riskstream.workers.registry.mlflow_store import connect
from riskstream.workers.registry.operations import Registry
from riskstream.workers.registry.place import Place
from riskstream.workers.registry.records import Signed
from tests.support.tiny_bundle import Table, tiny_bundle

METRICS = {"auc": 0.95, "average_precision": 0.6, "parity_max": 1e-8, "flips": 0.0, "checks_failed": 0.0}
START = datetime(2026, 11, 1, 12, tzinfo=UTC)


def proven(version: str = "1.0.0", data: str = "00", model: bytes | None = None, **manifest: object) -> Bundle:
    """A tiny bundle that passes every gate; with other `data` it is another model to the version rule."""
    training = Training(fingerprint=data, events=1, parameters={"trees": 300}, libraries={"onnx": "1"})
    return tiny_bundle(model, **{"version": version, "metrics": METRICS, "training": training, **manifest})


def written(path: Path, bundle: Bundle) -> Path:
    write_bundle(path, bundle)
    return path


def signed(by: str = "ada", why: str = "", hours: float = 0) -> Signed:
    return Signed(by, START + timedelta(hours=hours), why)


def registry_at(place: Place) -> Registry:
    return Registry(connect(place), place, Table())
