"""The broker dies, is restarted, does not answer."""

import os
import signal
import time

import pytest

from tests.faults.conftest import NewScene
from tests.faults.proxy import END_TXN, calling

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("after_ms", [0, 1, 2, 4, 8])
def test_a_broker_killed_while_it_commits(new_scene: NewScene, after_ms: int) -> None:
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
