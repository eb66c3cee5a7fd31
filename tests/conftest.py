"""Servers for the tests: one real stack for the whole run, and a Redis of its own for a test that breaks it."""

import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest

from riskstream.deploy.stack import LocalStack, RedisServer, temporary_stack

SCHEMAS = Path(__file__).parents[1] / "riskstream" / "schemas"

# How long an example takes says more about what else the machine does than about the code.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


def pytest_configure() -> None:
    """numba's cache does not see that a part of a compiled function has changed in another file: then it goes."""
    changed = max(path.stat().st_mtime for path in SCHEMAS.glob("*.py"))
    for index in SCHEMAS.glob("__pycache__/*.nbi"):
        if index.stat().st_mtime < changed:
            index.unlink()


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """Kafka and Redis, shared by all tests: use names of your own, flush and kill nothing."""
    with temporary_stack() as stack:
        yield stack


@pytest.fixture
def unique_name(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Names for topics, groups and ids that no other test has: unique_name("scores") -> "scores-test-name-1"."""
    test = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:80]
    numbers = count(1)
    return lambda kind: f"{kind}-{test}-{next(numbers)}"


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis for one test alone, to flush, pause and kill."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()
