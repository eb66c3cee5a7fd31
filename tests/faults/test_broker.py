"""The broker dies, is restarted, does not answer."""

import os
import signal
import time

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


@pytest.mark.skipif("RISKSTREAM_BROKER_KILL" not in os.environ, reason="known of Kafka: see docs/guarantees.md")
@pytest.mark.parametrize("after_ms", [0, 1, 2, 4, 8])
def test_killed_while_it_commits(new_scene: NewScene, after_ms: int) -> None:
    """A lone broker that is killed between a commit and its markers may forget them, and the group waits for ever."""
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
