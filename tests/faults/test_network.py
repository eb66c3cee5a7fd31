"""The line between a worker and its servers is cut, held up, or loses what matters most."""

import time

import pytest

from tests.faults.conftest import NewScene
from tests.faults.proxy import (
    ADD_OFFSETS,
    END_TXN,
    EVALSHA,
    FIND_COORDINATOR,
    MGET,
    PRODUCE,
    TXN_OFFSET_COMMIT,
    Act,
    Kind,
    Side,
    cut,
    delayed,
    dropped,
    refused,
)
from tests.faults.scene import TRANSACTION_MS, Scene

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
slow = pytest.mark.slow

LONG_S = TRANSACTION_MS / 1000 + 2
NOT_ALLOWED = 30  # GROUP_AUTHORIZATION_FAILED: the transaction can only be aborted

KAFKA = [
    pytest.param(END_TXN, "response", dropped, id="the answer to a commit is lost", marks=slow),
    pytest.param(END_TXN, "response", cut, id="the line is cut with the answer to a commit"),
    pytest.param(END_TXN, "request", delayed(1.0), id="a commit comes late", marks=slow),
    pytest.param(END_TXN, "request", delayed(LONG_S), id="a commit comes after its transaction", marks=slow),
    pytest.param(END_TXN, "request", cut, id="the line is cut before a commit", marks=slow),
    pytest.param(TXN_OFFSET_COMMIT, "response", dropped, id="the answer to the offsets is lost", marks=slow),
    pytest.param(TXN_OFFSET_COMMIT, "request", delayed(LONG_S), id="offsets come after their transaction", marks=slow),
    pytest.param(ADD_OFFSETS, "response", dropped, id="the answer to the group is lost", marks=slow),
    pytest.param(ADD_OFFSETS, "response", refused(NOT_ALLOWED), id="a batch is refused once", marks=slow),
    pytest.param(PRODUCE, "request", delayed(1.5), id="a batch's records come late", marks=slow),
]
REDIS = [
    pytest.param(EVALSHA, "response", cut, id="the answer to a write is lost"),
    pytest.param(EVALSHA, "request", cut, id="a write is lost", marks=slow),
    pytest.param(EVALSHA, "response", delayed(1.0), id="the answer to a write comes too late", marks=slow),
    pytest.param(MGET, "response", cut, id="the answer to a read is lost", marks=slow),
]


@pytest.mark.parametrize(("kind", "side", "act"), KAFKA)
def test_between_worker_and_broker(new_scene: NewScene, kind: Kind, side: Side, act: Act) -> None:
    scene = started(new_scene)
    rule = scene.rig.kafka.on(kind, side, act, skip=3)
    assert rule.hit.wait(60)
    scene.end()


@pytest.mark.parametrize(("kind", "side", "act"), REDIS)
def test_between_worker_and_redis(new_scene: NewScene, kind: Kind, side: Side, act: Act) -> None:
    scene = started(new_scene)
    rule = scene.rig.redis.on(kind, side, act, skip=3 if kind == EVALSHA else 0)
    assert rule.hit.wait(60)
    assert scene.end().degraded == 0


@slow
def test_resets_of_every_line(new_scene: NewScene) -> None:
    scene = started(new_scene)
    for wave in range(1, 6):
        scene.await_outputs(wave * 250)
        scene.rig.kafka.reset()
        scene.rig.redis.reset()
    assert scene.end().degraded == 0


@slow
@pytest.mark.parametrize("count", [1, 7, 100, 5_000])
def test_an_answer_cut_short(new_scene: NewScene, count: int) -> None:
    scene = started(new_scene)
    scene.await_outputs(300)
    scene.rig.kafka.cut_after(count)
    scene.rig.redis.cut_after(count)
    assert scene.end().degraded == 0


@slow
@pytest.mark.parametrize("seconds", [1.0, 4.0, LONG_S])
def test_nothing_passes_for_a_while(new_scene: NewScene, seconds: float) -> None:
    scene = started(new_scene)
    scene.await_outputs(300)
    scene.rig.kafka.stall()
    time.sleep(seconds)
    scene.rig.kafka.resume()
    scene.end()


@slow
def test_a_call_that_does_not_come_back(new_scene: NewScene) -> None:
    """Without its group's coordinator librdkafka waits, whatever the timeout (its issue 5456)."""
    scene = new_scene()
    opened: list[bytes] = []

    def lose_the_first_of_a_producer(request: bytes) -> bytes:
        of_group = request.endswith(b"\0")
        if of_group and len(opened) >= 2:
            return b""
        opened.extend([] if of_group else [request])
        scene.rig.kafka.on(FIND_COORDINATOR, "request", lose_the_first_of_a_producer)
        return request

    scene.rig.kafka.on(FIND_COORDINATOR, "request", lose_the_first_of_a_producer)
    scene.feed(2_000)
    scene.start()
    scene.await_words("does not come back from a call")
    scene.end()


def started(new_scene: NewScene) -> Scene:
    scene = new_scene()
    scene.feed(2_000)
    scene.start()
    return scene
