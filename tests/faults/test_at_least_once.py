"""At least once: a crash may repeat what was not committed, in the same words; nothing is lost, state is whole."""

import time

import pytest
from confluent_kafka.admin import AdminClient

from tests.faults.conftest import NewScene
from tests.faults.proxy import EVALSHA, OFFSET_COMMIT, PRODUCE, Act, Kind, Side, cut, delayed, dropped, killing
from tests.faults.scene import Scene
from tests.support.pipeline import limit_records
from tests.support.seen import committed

pytestmark = pytest.mark.faults
slow = pytest.mark.slow


@pytest.fixture
def scene(new_scene: NewScene) -> Scene:
    return new_scene(DELIVERY="at_least_once", WRITE_BEHIND_MS="0")


POINTS = [
    pytest.param(PRODUCE, "request", id="before the scores arrive", marks=slow),
    pytest.param(PRODUCE, "response", id="after produce", marks=slow),
    pytest.param(OFFSET_COMMIT, "request", id="before the commit arrives", marks=slow),
    pytest.param(OFFSET_COMMIT, "response", id="after the commit", marks=slow),
    pytest.param(EVALSHA, "request", id="before the Redis write", marks=slow),
    pytest.param(EVALSHA, "response", id="after the Redis write", marks=slow),
]


@pytest.mark.parametrize(("kind", "side"), POINTS)
def test_a_worker_killed_at_least_once_at(scene: Scene, kind: Kind, side: Side) -> None:
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


def test_no_offset_is_committed_whose_score_was_not_acknowledged(new_scene: NewScene) -> None:
    scene = new_scene(DELIVERY="at_least_once", WRITE_BEHIND_MS="20")

    def lose_each(request: bytes) -> bytes:
        scene.rig.kafka.on(PRODUCE, "request", lose_each)
        return dropped(request)

    rule = scene.rig.kafka.on(PRODUCE, "request", lose_each, skip=3)
    scene.feed(1_500)
    scene.start()
    assert rule.hit.wait(60)
    time.sleep(1.0)  # many times what is waited for before offsets are committed
    scene.pipeline.kill()
    scene.rig.kafka.calm_down()
    scene.start()
    scene.end()


LINE = [
    pytest.param("request", cut, id="the line is cut before records"),
    pytest.param("response", cut, id="the line is cut with an acknowledgement"),
    pytest.param("response", dropped, id="an acknowledgement is lost"),
    pytest.param("request", delayed(1.5), id="records come late"),
]


@slow
@pytest.mark.parametrize(("side", "act"), LINE)
def test_batches_under_way(new_scene: NewScene, side: Side, act: Act) -> None:
    """Several are: their scores leave at once, and offsets are committed ten times a second."""
    scene = new_scene(DELIVERY="at_least_once", WRITE_BEHIND_MS="100", MAX_BATCH="5")
    scene.feed(2_000)
    scene.start()
    rule = scene.rig.kafka.on(PRODUCE, side, act, skip=3)
    assert rule.hit.wait(60)
    scene.end()


@slow
def test_whose_records_are_never_taken_gives_up_in_time(new_scene: NewScene) -> None:
    """Offsets could be committed all the while."""
    scene = new_scene(DELIVERY="at_least_once", KAFKA_GIVE_UP_MS="6000")
    scene.feed(300)
    scene.start()
    scene.await_outputs(300)
    limit_records(AdminClient({"bootstrap.servers": scene.pipeline.bootstrap}), scene.pipeline.topics[1], 64)
    scene.feed(600)
    assert scene.pipeline.workers.pop("a").wait(30) == 75, scene.last_words()
    assert sum(committed(scene.pipeline).values()) <= 300
