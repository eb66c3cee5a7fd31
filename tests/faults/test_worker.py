"""The worker's own world: its clock, its memory, a bug in what it runs."""

import json
from pathlib import Path

import pytest

from tests.faults.conftest import NewScene
from tests.faults.reading import read
from tests.faults.scene import PARTITIONS, Scene, peak_mb

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(240)]

HOUR = 3_600
CACHE_MB, MOST_MB = 64, 1_000
"""Of `HISTORY_CACHE_MB`, and of the whole worker with it, whatever waits in the topic."""


def test_the_clock_jumps_an_hour_back_and_forth(new_scene: NewScene, tmp_path: Path) -> None:
    scene = new_scene()
    jump = tmp_path / "jump"
    scene.pipeline.program = ("tests.faults.clock", str(jump))
    jump.write_text("0")
    scene.start()
    for number, seconds in enumerate((HOUR, 0, -HOUR, HOUR), 1):
        jump.write_text(str(seconds))
        scene.feed(number * 500)
        scene.await_outputs(number * 500)
    assert scene.end().degraded == 0
    clocks = scored_at(scene)
    assert max(clocks) - min(clocks) > HOUR * 1_900, "the clock did not jump"


def scored_at(scene: Scene) -> list[int]:
    scores = read(scene.pipeline.bootstrap, [(scene.pipeline.topics[1], PARTITIONS)])
    return [json.loads(score.value() or b"")["scored_at"] for score in scores]


def test_an_exception_in_scoring_ends_it_uncommitted_and_a_mended_release_goes_on(new_scene: NewScene) -> None:
    scene = new_scene()
    scene.feed(1_500)
    scene.start("a", DOMAIN="tests.support.failing_domain")
    assert scene.pipeline.workers.pop("a").wait(90) == 70, scene.last_words()
    assert "this is a bug" in scene.pipeline.log()
    scene.start()
    assert scene.end().degraded == 0


def test_memory_with_the_largest_messages_behind_a_long_outage(lone_scene: NewScene) -> None:
    """Ten times what it usually works off, each event as large as may be, and refused records of 16 MB among them."""
    scene = lone_scene(HISTORY_CACHE_MB=str(CACHE_MB), MAX_BATCH="4096")
    scene.records = [(number, key, padded(value)) for number, key, value in scene.records]
    scene.feed()
    scene.pipeline.feed([(number % PARTITIONS, b"u1", b" " * (15 << 20)) for number in range(30)])
    worker = scene.pipeline.start()
    scene.await_outputs(len(scene.pipeline.fed), 150)
    peak = peak_mb(worker.pid)
    scene.end()
    assert peak < MOST_MB


def padded(value: bytes | None) -> bytes | None:
    """The same JSON in 64 KB."""
    return value and value + b" " * (65_000 - len(value))
