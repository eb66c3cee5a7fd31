"""kill -9 at named points of a batch: whatever was half done is done once, or not at all."""

import pytest

from tests.faults.conftest import NewScene
from tests.faults.proxy import (
    ADD_OFFSETS,
    ADD_PARTITIONS,
    END_TXN,
    EVALSHA,
    PRODUCE,
    TXN_OFFSET_COMMIT,
    Kind,
    Side,
    killing,
)

pytestmark = pytest.mark.faults
slow = pytest.mark.slow

POINTS = [
    pytest.param(ADD_PARTITIONS, "request", 0.0, id="after consume", marks=slow),
    pytest.param(PRODUCE, "response", 0.0, id="after produce", marks=slow),
    pytest.param(ADD_OFFSETS, "request", 0.0, id="before the offsets", marks=slow),
    pytest.param(TXN_OFFSET_COMMIT, "response", 0.0, id="after send_offsets", marks=slow),
    pytest.param(END_TXN, "request", 0.0, id="before the commit arrives", marks=slow),
    pytest.param(END_TXN, "request", 1.0, id="during the commit"),
    pytest.param(END_TXN, "response", 0.0, id="after the commit", marks=slow),
    pytest.param(EVALSHA, "request", 0.0, id="before the Redis write", marks=slow),
    pytest.param(EVALSHA, "request", 0.5, id="half-way through the Redis write"),
    pytest.param(EVALSHA, "response", 0.0, id="after the Redis write", marks=slow),
]


@pytest.mark.parametrize(("kind", "side", "share"), POINTS)
def test_a_worker_killed_at(new_scene: NewScene, kind: Kind, side: Side, share: float) -> None:
    scene = new_scene()
    scene.feed(1_500)
    pid = scene.start()
    proxy = scene.rig.redis if kind == EVALSHA else scene.rig.kafka
    rule = proxy.on(kind, side, killing(pid, share), skip=3)
    assert rule.hit.wait(60)
    scene.pipeline.kill()
    scene.start()
    scene.end()
