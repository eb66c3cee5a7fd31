"""A worker that sleeps while another takes over, and wakes in the middle of what it was doing."""

import os
import signal
import time
from functools import partial

import pytest

from riskstream.workers.exits import INTERRUPTED, OK
from tests.faults.conftest import NewScene
from tests.faults.proxy import END_TXN, MGET, TXN_OFFSET_COMMIT, Held
from tests.faults.scene import Scene

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]
slow = pytest.mark.slow

# So long that the broker does not end a sleeper's transaction by itself: what fences it must be something else.
LONG_MS = "60000"


def under_way(lone_scene: NewScene, **environment: str) -> tuple[Scene, int]:
    scene = lone_scene(TRANSACTION_TIMEOUT_MS=LONG_MS, **environment)
    scene.feed(1_500)
    return scene, scene.start()


@pytest.mark.parametrize("protocol", ["classic", pytest.param("consumer", marks=slow)])
def test_one_that_wakes_before_its_offsets_are_sent(lone_scene: NewScene, protocol: str) -> None:
    """The group's metadata, which go with the offsets, tell the broker that the batch is another's by now."""
    scene, pid = under_way(lone_scene, GROUP_PROTOCOL=protocol)
    asleep = Held(partial(os.kill, pid, signal.SIGSTOP))
    scene.rig.kafka.on(TXN_OFFSET_COMMIT, "request", asleep, skip=3)
    assert asleep.reached.wait(60)
    scene.start("b")
    assert scene.await_committed()
    os.kill(pid, signal.SIGCONT)
    asleep.released.set()
    scene.end()


@slow
def test_one_that_wakes_while_it_reads_and_learns_that_it_was_expelled(lone_scene: NewScene) -> None:
    """By the time of its commit the client has no generation: only the metadata taken with the batch fence it."""
    scene, pid = under_way(lone_scene, REDIS_TIMEOUT_MS=LONG_MS, REDIS_GIVE_UP_MS=LONG_MS)
    asleep = Held(partial(os.kill, pid, signal.SIGSTOP))
    scene.rig.redis.on(MGET, "request", asleep, skip=4)
    assert asleep.reached.wait(60)
    scene.start("b")
    assert scene.await_committed()
    os.kill(pid, signal.SIGCONT)
    time.sleep(4.0)  # some heartbeats
    asleep.released.set()
    scene.end()


@slow
def test_a_commit_that_arrives_while_another_takes_over(lone_scene: NewScene) -> None:
    """The next owner waits until it is settled how far the group has come."""
    scene, pid = under_way(lone_scene)
    on_its_way = Held(partial(os.kill, pid, signal.SIGSTOP))
    scene.rig.kafka.on(END_TXN, "request", on_its_way, skip=3)
    assert on_its_way.reached.wait(60)
    scene.start("b")
    scene.await_committed(15)  # in vain, if the other waits as it must
    on_its_way.released.set()
    time.sleep(1.0)
    os.kill(pid, signal.SIGCONT)
    scene.end()


@slow
@pytest.mark.parametrize("seconds", [1.0, 5.0, 12.0], ids=["a moment", "beyond its session", "beyond its transaction"])
def test_stopped_for(lone_scene: NewScene, seconds: float) -> None:
    scene = lone_scene(TRANSACTION_TIMEOUT_MS="10000")
    scene.feed(1_500)
    pid = scene.start()
    asleep = Held(partial(os.kill, pid, signal.SIGSTOP))
    scene.rig.kafka.on(TXN_OFFSET_COMMIT, "response", asleep, skip=3)
    assert asleep.reached.wait(60)
    asleep.released.set()
    scene.start("b")
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)
    scene.end()


@slow
def test_slower_than_the_group_allows(new_scene: NewScene) -> None:
    """A batch that takes longer than max.poll.interval.ms is given back and comes again."""
    scene = new_scene(MAX_POLL_INTERVAL_MS="10000", REDIS_TIMEOUT_MS=LONG_MS, REDIS_GIVE_UP_MS=LONG_MS)
    scene.feed(1_500)
    scene.start()
    slow_read = Held()
    scene.rig.redis.on(MGET, "request", slow_read, skip=4)
    assert slow_read.reached.wait(60)
    time.sleep(13.0)
    slow_read.released.set()
    assert scene.end().degraded == 0


@slow
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_told_to_end_in_the_middle_of_a_batch(new_scene: NewScene, again: bool) -> None:
    scene = new_scene()
    scene.feed(1_500)
    pid = scene.start()
    rule = scene.rig.kafka.on(TXN_OFFSET_COMMIT, "request", Held(partial(os.kill, pid, signal.SIGTERM)), skip=3)
    assert isinstance(rule.act, Held)
    assert rule.act.reached.wait(60)
    if again:
        time.sleep(0.5)  # one that comes at once may be taken for the same
        os.kill(pid, signal.SIGTERM)
    rule.act.released.set()
    assert scene.pipeline.workers["a"].wait(30) == (INTERRUPTED if again else OK), scene.last_words()
    del scene.pipeline.workers["a"]
    scene.start()
    scene.end()


@slow
def test_one_three_and_one_again(new_scene: NewScene) -> None:
    scene = new_scene()
    scene.feed(500)
    scene.start()
    for until in (1_000, 1_500):
        for slot in "bc":
            scene.start(slot)
        time.sleep(4.0)
        scene.feed(until)
        for slot in "bc":
            assert scene.pipeline.stop(slot, 40) == 0
        scene.feed(until + 250)
    assert scene.end().degraded == 0
