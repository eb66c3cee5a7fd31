"""Scenes on a stack of their own, behind proxies. Slow ones run when they are asked for: see `make faults-all`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from riskstream.models.domain import load_domain
from tests.faults.reading import Seen
from tests.faults.scene import PARTITIONS, SETTINGS, Rig, Scene, rig
from tests.support.bundle import write_random_bundle
from tests.support.pipeline import Pipeline

NewScene = Callable[..., Scene]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where nothing was asked for in particular, only the short faults run."""
    asked = config.option.markexpr or config.option.keyword or any("faults" in word for word in config.args)
    slow = [] if asked else [item for item in items if all(map(item.get_closest_marker, ("faults", "slow")))]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_bundle(tmp_path_factory.mktemp("bundles") / "random", load_domain("riskstream.models.payment"))


@pytest.fixture(scope="session")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("faults") / "stack") as made:
        yield made


@pytest.fixture(scope="session")
def calm(shared_rig: Rig, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    """What one undisturbed worker makes of the log."""
    scene = scene_of(shared_rig, "calm", bundle, tmp_path_factory.mktemp("calm"))
    scene.start()
    scene.end()
    return scene.outs()


@pytest.fixture
def lone_scene(shared_rig: Rig, bundle: Path, tmp_path: Path, unique_name: Callable[[str], str]) -> Iterator[NewScene]:
    """Makes scenes; keyword arguments are settings of its workers. Judged by the log alone."""
    made: list[Scene] = []

    def make(**environment: str) -> Scene:
        scene = scene_of(shared_rig, unique_name("f")[:60], bundle, tmp_path, **environment)
        made.append(scene)
        return scene

    yield make
    for scene in made:
        scene.pipeline.close()
    for proxy in (shared_rig.kafka, shared_rig.redis):
        proxy.calm_down()


@pytest.fixture
def new_scene(lone_scene: NewScene, calm: list[Seen]) -> NewScene:
    """Makes scenes whose outputs are also compared with those of an undisturbed worker, byte for byte."""

    def make(**environment: str) -> Scene:
        scene = lone_scene(**environment)
        scene.calm = calm
        return scene

    return make


def scene_of(made: Rig, name: str, bundle: Path, folder: Path, **environment: str) -> Scene:
    stack = made.stack
    settings = {**SETTINGS, **made.through_proxies, **environment}
    pipeline = Pipeline(name, stack.bootstrap_servers, stack.redis_url, bundle, folder, PARTITIONS, settings)
    pipeline.create_topics()
    return Scene(made, pipeline)
