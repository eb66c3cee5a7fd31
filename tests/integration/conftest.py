"""Pipelines on the shared stack."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from riskstream.deploy.stack import LocalStack
from riskstream.models.domain import load_domain
from tests.support.bundle import write_random_bundle
from tests.support.pipeline import Pipeline

NewPipeline = Callable[..., Pipeline]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_bundle(tmp_path_factory.mktemp("bundles") / "random", load_domain("riskstream.models.payment"))


@pytest.fixture
def new_pipeline(stack: LocalStack, bundle: Path, tmp_path: Path, unique_name: Callable[[str], str]) -> Iterator[NewPipeline]:
    """Makes pipelines; keyword arguments are worker settings, and `redis_url` to use another Redis."""
    made: list[Pipeline] = []

    def make(redis_url: str = stack.redis_url, partitions: int = 3, **environment: str) -> Pipeline:
        pipeline = Pipeline(
            unique_name("p"), stack.bootstrap_servers, redis_url, bundle, tmp_path, partitions, environment
        )
        pipeline.create_topics()
        made.append(pipeline)
        return pipeline

    yield make
    for pipeline in made:
        pipeline.close()
