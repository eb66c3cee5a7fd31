"""Pipelines on the shared stack."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from riskstream.deploy.stack import LocalStack
from riskstream.models.domain import load_domain
from tests.support.bundle import write_random_bundle
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Comparable, Pipeline, without_clock

NewPipeline = Callable[..., Pipeline]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_bundle(tmp_path_factory.mktemp("bundles") / "random", load_domain("riskstream.models.payment"))


@pytest.fixture
def new_pipeline(
    stack: LocalStack, bundle: Path, tmp_path: Path, unique_name: Callable[[str], str]
) -> Iterator[NewPipeline]:
    """Makes pipelines; keyword arguments are worker settings, and `redis_url` to use another Redis."""
    made: list[Pipeline] = []

    def make(redis_url: str = stack.redis_url, partitions: int = 3, **environment: str) -> Pipeline:
        name = unique_name("p")
        pipeline = Pipeline(name, stack.bootstrap_servers, redis_url, bundle, tmp_path, partitions, environment)
        pipeline.create_topics()
        made.append(pipeline)
        return pipeline

    yield make
    for pipeline in made:
        pipeline.close()


@pytest.fixture(scope="session")
def calm(stack: LocalStack, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparable:
    """What one undisturbed worker makes of the usual log on three partitions."""
    folder = tmp_path_factory.mktemp("calm")
    pipeline = Pipeline("calm", stack.bootstrap_servers, stack.redis_url, bundle, folder)
    pipeline.create_topics()
    pipeline.feed(records_of(log_of(), pipeline.partitions))
    pipeline.start()
    outs = pipeline.outputs()
    pipeline.close()
    pipeline.assert_conserved(outs)
    return without_clock(outs)
