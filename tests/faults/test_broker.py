"""The broker dies, is restarted, does not answer."""

import os
import resource
import signal
import time

import psutil
import pytest

from tests.faults.conftest import NewScene
from tests.faults.proxy import END_TXN, calling
from tests.faults.scene import TRANSACTION_MS, Scene

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(300)]


def under_way(new_scene: NewScene) -> Scene:
    scene = new_scene()
    scene.feed(1_500)
    scene.start()
    scene.await_outputs(1_500)
    scene.feed(2_500)
    return scene


def test_restarted(new_scene: NewScene) -> None:
    scene = under_way(new_scene)
    scene.rig.stack.broker.restart()
    scene.end()


@pytest.mark.parametrize("seconds", [2.0, TRANSACTION_MS / 1000 + 3, 30.0])
def test_paused(new_scene: NewScene, seconds: float) -> None:
    scene = under_way(new_scene)
    scene.rig.stack.broker.pause()
    time.sleep(seconds)
    scene.rig.stack.broker.resume()
    scene.end()


def test_the_disk_of_the_broker_is_full(new_scene: NewScene) -> None:
    """It ends itself; workers wait, and go on when it is back with room."""
    scene = under_way(new_scene)
    broker = scene.rig.stack.broker
    process = psutil.Process(broker.pid)
    process.rlimit(psutil.RLIMIT_FSIZE, (4_096, resource.RLIM_INFINITY))
    process.wait(60)
    broker.kill()
    time.sleep(2.0)
    broker.start()
    scene.end()


@pytest.mark.parametrize("after_ms", [0, 1, 2, 4, 8])
def test_killed_while_it_commits(new_scene: NewScene, after_ms: int) -> None:
    scene = new_scene()
    broker = scene.rig.stack.broker
    scene.feed(1_500)
    scene.start()

    def kill() -> None:
        time.sleep(after_ms / 1000)
        os.kill(broker.pid, signal.SIGKILL)

    rule = scene.rig.kafka.on(END_TXN, "request", calling(kill), skip=5)
    assert rule.hit.wait(60)
    time.sleep(0.5)
    broker.kill()
    broker.start()
    scene.end()
