"""What several unit tests start from."""

import shutil
from pathlib import Path

import pytest

from riskstream.workers.registry.mlflow_store import connect
from riskstream.workers.registry.place import Folder


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's migrations take seconds, so they are run once."""
    root = tmp_path_factory.mktemp("registry")
    connect(Folder(root))
    return root


@pytest.fixture
def registry_folder(empty_registry: Path, tmp_path: Path) -> Path:
    """An embedded registry of one's own, without models."""
    return Path(shutil.copytree(empty_registry, tmp_path / "registry"))
