"""Redis loses everything, remembers too little, is full, is slow, is another one."""

import signal
import subprocess
import time
from collections.abc import Iterator
from typing import cast

import pytest
import redis

from tests.faults.conftest import NewScene
from tests.faults.scene import PARTITIONS, Rig, Scene
from tests.support.payments import log_of, records_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
slow = pytest.mark.slow


@pytest.fixture
def client(shared_rig: Rig) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(shared_rig.stack.redis_url) as client:
        yield client


def under_way(new_scene: NewScene, **environment: str) -> Scene:
    scene = new_scene(**environment)
    scene.feed(1_500)
    scene.start()
    scene.await_outputs(1_500)
    return scene


def test_emptied(new_scene: NewScene, client: "redis.Redis") -> None:
    scene = under_way(new_scene)
    client.flushall()
    assert scene.end().degraded == 0


@slow
def test_emptied_just_after_a_start(new_scene: NewScene, client: "redis.Redis") -> None:
    """The mark was read before, the histories are read after: the mark that comes with them tells."""
    scene = under_way(new_scene)
    assert scene.pipeline.stop() == 0
    scene.start("b")
    scene.await_words("state is taken", "b")
    client.flushall()
    assert scene.end().degraded == 0


@slow
def test_restored_from_an_older_copy(new_scene: NewScene, client: "redis.Redis") -> None:
    scene = new_scene()
    scene.feed(600)
    scene.start()
    scene.await_outputs(600)
    time.sleep(0.5)
    older = {key: cast(bytes, client.get(key)) for key in client.scan_iter(f"rs:*{scene.pipeline.name}/*")}
    scene.feed(1_500)
    scene.await_outputs(1_500)
    time.sleep(0.5)
    client.flushall()
    client.mset(older)
    assert scene.end().degraded == 0


@slow
@pytest.mark.parametrize("restart", [False, True])
def test_a_copy_from_a_time_between_two_restarts(new_scene: NewScene, client: "redis.Redis", restart: bool) -> None:
    """A failover to a replica that misses the last writes, with and without the worker's own restart."""
    scene = under_way(new_scene)
    mark = {key: cast(bytes, client.get(key)) for key in client.scan_iter(f"rs:*{scene.pipeline.name}/*")}
    scene.feed(2_500)
    scene.await_outputs(2_500)
    if restart:
        assert scene.pipeline.stop() == 0
    client.flushall()
    client.mset(mark)
    if restart:
        scene.start()
    assert scene.end().degraded == 0


@slow
def test_a_copy_whose_marks_are_older_than_its_histories(lone_scene: NewScene, client: "redis.Redis") -> None:
    """Such as a copy key by key makes while facts are written. One user has more facts since than a history holds."""
    scene, until = lone_scene(), 700
    scene.records = list(records_of(log_of(users=1), PARTITIONS))
    for more in (690, 715):
        work_off(scene, until)
        marks = {key: cast(bytes, client.get(key)) for key in client.scan_iter(f"rs:*{scene.pipeline.name}/*:applied")}
        work_off(scene, until + more)
        client.mset(marks)
        until += more + 50
    scene.start()
    scene.end()


def work_off(scene: Scene, until: int) -> None:
    scene.feed(until)
    scene.start()
    scene.await_outputs(until)
    assert scene.pipeline.stop() == 0


@slow
def test_full(new_scene: NewScene, client: "redis.Redis") -> None:
    scene = under_way(new_scene)
    client.config_set("maxmemory", "1mb")
    try:
        scene.feed(2_500)
        scene.await_outputs(2_500)
    finally:
        client.config_set("maxmemory", "0")
    time.sleep(3)
    scene.end()


@slow
@pytest.mark.parametrize("delay_s", [0.05, 0.2])
def test_slow(new_scene: NewScene, delay_s: float) -> None:
    scene = under_way(new_scene)
    scene.rig.redis.delay_s = delay_s
    assert scene.end().degraded == 0


@slow
def test_too_slow_to_be_of_use_is_declared(new_scene: NewScene) -> None:
    scene = under_way(new_scene)
    scene.rig.redis.delay_s = 2.0
    scene.feed(2_500)
    scene.await_outputs(2_500)
    scene.rig.redis.delay_s = 0.0
    time.sleep(3)
    assert scene.end().degraded > 0


@slow
def test_a_redis_that_may_forget_is_refused(new_scene: NewScene, client: "redis.Redis") -> None:
    scene = new_scene()
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        scene.start()
        assert scene.pipeline.workers["a"].wait(60) == 1
        assert "config set maxmemory-policy noeviction" in scene.pipeline.log()
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    scene.start()
    scene.end()


@slow
def test_a_deleted_history_is_whole_again_with_the_next_restart_of_redis(
    new_scene: NewScene, client: "redis.Redis"
) -> None:
    """Not promised: one key deleted behind everybody's back cannot be told from a user without a history."""
    scene = under_way(new_scene)
    time.sleep(0.5)
    victims = list(client.scan_iter(f"rs:*{scene.pipeline.name}/*:u:*"))[:3]
    client.delete(*victims)
    scene.feed(2_500)
    scene.await_outputs(2_500)
    client.flushall()
    assert scene.end().degraded == 0, "the worker's memory had them all the time"


@slow
def test_a_worker_stopped_between_two_redis(new_scene: NewScene, client: "redis.Redis") -> None:
    scene = under_way(new_scene)
    worker: subprocess.Popen[bytes] = scene.pipeline.workers["a"]
    worker.send_signal(signal.SIGSTOP)
    client.flushall()
    scene.start("b")
    scene.feed(2_000)
    scene.await_outputs(2_000)
    worker.send_signal(signal.SIGCONT)
    assert scene.end().degraded == 0
