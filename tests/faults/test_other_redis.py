"""Redis servers of a test's own: one that keeps its data, one whose disk is full, one that another takes over from."""

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from riskstream.deploy.stack import RedisServer
from tests.faults.conftest import NewScene
from tests.faults.scene import Scene

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(180)]


class DeafToLimits(RedisServer):
    """A write above the limit of its files fails, as on a full disk, and does not kill it."""

    def _prepare(self) -> list[str]:
        return ["/bin/sh", "-c", 'trap "" XFSZ; exec "$@"', "sh", *super()._prepare()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = DeafToLimits(tmp_path / "redis", append_only=True)
    server.start()
    yield server
    server.kill()


def under_way(new_scene: NewScene, server: RedisServer) -> Scene:
    scene = new_scene(REDIS_URL=server.url)
    scene.pipeline.redis_url = server.url
    scene.feed(1_500)
    scene.start()
    scene.await_outputs(1_500)
    return scene


def test_killed_with_its_data_on_disk(new_scene: NewScene, server: RedisServer) -> None:
    scene = under_way(new_scene, server)
    server.kill()
    server.start()
    scene.end()


def test_stopped_and_started_with_its_data_while_no_worker_runs(new_scene: NewScene, server: RedisServer) -> None:
    scene = under_way(new_scene, server)
    assert scene.pipeline.stop() == 0
    server.restart()
    scene.start()
    assert scene.end().degraded == 0
    assert '"read_from": 0' not in scene.pipeline.log().rpartition("worker is ready")[2], "it read the log anew"


def test_away_for_a_while(new_scene: NewScene, server: RedisServer) -> None:
    scene = under_way(new_scene, server)
    server.stop()
    scene.feed(2_500)
    scene.await_outputs(2_500)
    server.start()
    time.sleep(3)
    assert scene.end().degraded > 0


def test_its_disk_is_full(new_scene: NewScene, server: RedisServer) -> None:
    """It refuses all writes, and scores say so; once there is room again they are whole."""
    scene = under_way(new_scene, server)
    process = psutil.Process(server.pid)
    process.rlimit(psutil.RLIMIT_FSIZE, (4_096, resource.RLIM_INFINITY))
    scene.feed(2_500)
    scene.await_outputs(2_500)
    with redis.Redis.from_url(server.url) as client, pytest.raises(redis.exceptions.ResponseError, match="MISCONF"):
        client.set("a", "b")
    process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    time.sleep(4)
    scene.end()


def test_a_replica_that_misses_the_last_writes_takes_over(new_scene: NewScene, tmp_path: Path) -> None:
    scene = new_scene()
    replica = RedisServer(tmp_path / "replica")
    replica.start()
    with redis.Redis.from_url(replica.url) as client:
        client.replicaof("127.0.0.1", str(scene.rig.stack.redis.port))
        scene.feed(1_000)
        scene.start()
        scene.await_outputs(1_000)
        client.replicaof("NO", "ONE")
    scene.feed(2_000)
    scene.await_outputs(2_000)
    time.sleep(0.5)
    try:
        scene.rig.redis.target = replica.port
        scene.rig.redis.reset()
        scene.pipeline.redis_url = replica.url
        assert scene.end().degraded == 0
    finally:
        scene.rig.redis.target = scene.rig.stack.redis.port
        scene.rig.redis.reset()
        replica.kill()
