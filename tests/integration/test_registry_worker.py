"""A worker takes NAME@VERSION from a tracking server, and starts again while the server is away."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from riskstream.models.domain import load_domain
from riskstream.models.versions import Label
from riskstream.workers.registry.mlflow_store import connect
from riskstream.workers.registry.operations import Registry, approve, register, retire
from riskstream.workers.registry.place import Folder
from tests.support.bundle import write_random_bundle
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Pipeline
from tests.support.registry import METRICS, signed
from tests.support.tracking_server import FakeServer, tracking_server

DOMAIN = load_domain("riskstream.models.payment")
LABEL = Label("random", "1.0.0")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    place = Folder(tmp_path / "registry")
    made = Registry(connect(place), place, DOMAIN.features)
    register(made, write_random_bundle(tmp_path / "bundle", DOMAIN, metrics=METRICS), signed())
    return made


@pytest.fixture
def server(registry: Registry, tmp_path: Path) -> Iterator[FakeServer]:
    with tracking_server(tmp_path / "registry") as fake:
        yield fake


def test_a_worker_runs_what_is_approved_whether_the_server_is_there_or_not(
    new_pipeline: Callable[..., Pipeline], registry: Registry, server: FakeServer, tmp_path: Path
) -> None:
    pipeline = new_pipeline(
        BUNDLE=str(LABEL), REGISTRY_URI=server.url, REGISTRY_CACHE=str(tmp_path / "cache"), MAX_BATCH="50"
    )
    assert pipeline.start("early").wait(60) == 1
    assert "random@1.0.0 is proposed, and a worker runs what is approved or live" in pipeline.log("early")
    approve(registry, LABEL, signed())

    half = records_of(log_of(events=200), pipeline.partitions, malformed_share=0.0)
    pipeline.feed(half[:100])
    pipeline.start()
    assert {json.loads(out.value or b"")["model"] for out in pipeline.outputs(most=10)} == {"random@1.0.0"}
    assert pipeline.stop() == 0

    server.failing = [503] * 100
    pipeline.feed(half[100:])
    pipeline.start("again")
    pipeline.assert_conserved(pipeline.outputs())
    assert "the registry is away; the bundle of an earlier start is used" in pipeline.log("again")
    assert pipeline.stop("again") == 0

    server.failing = []
    retire(registry, LABEL, signed(why="wrong"))
    assert pipeline.start("late").wait(60) == 1
    assert "random@1.0.0 is retired" in pipeline.log("late")
