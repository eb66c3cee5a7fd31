"""At least once: a crash may repeat what was not committed, in the same words; nothing is lost, state is whole."""

import pytest

from tests.faults.conftest import NewScene
from tests.faults.proxy import EVALSHA, OFFSET_COMMIT, PRODUCE, Kind, Side, killing
from tests.faults.scene import Scene
from tests.support.seen import committed

pytestmark = pytest.mark.faults
slow = pytest.mark.slow


@pytest.fixture
def scene(new_scene: NewScene) -> Scene:
    return new_scene(DELIVERY="at_least_once", WRITE_BEHIND_MS="0")


POINTS = [
    pytest.param(PRODUCE, "request", id="before the scores arrive", marks=slow),
    pytest.param(PRODUCE, "response", id="after produce", marks=slow),
    pytest.param(OFFSET_COMMIT, "request", id="before the commit arrives"),
    pytest.param(OFFSET_COMMIT, "response", id="after the commit", marks=slow),
    pytest.param(EVALSHA, "request", id="before the Redis write", marks=slow),
    pytest.param(EVALSHA, "response", id="after the Redis write", marks=slow),
]


@pytest.mark.parametrize(("kind", "side"), POINTS)
def test_a_worker_killed_at(scene: Scene, kind: Kind, side: Side) -> None:
    scene.feed(1_500)
    proxy = scene.rig.redis if kind == EVALSHA else scene.rig.kafka
    rule = proxy.on(kind, side, killing(scene.start(), 0.0), skip=3)
    assert rule.hit.wait(60)
    scene.pipeline.kill()
    scene.start()
    scene.end()


@slow
def test_who_is_told_to_end_commits_all_that_it_published(scene: Scene) -> None:
    scene.start(WRITE_BEHIND_MS="60000", WRITE_BEHIND_USERS="100000")  # nothing but the end has it commit
    scene.feed(1_500)
    scene.await_outputs(1_500)
    assert scene.pipeline.stop() == 0
    assert sum(committed(scene.pipeline).values()) == 1_500
    scene.start()
    scene.end()
    assert len(scene.outs()) == len(scene.pipeline.fed)
