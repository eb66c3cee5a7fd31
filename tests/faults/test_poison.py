"""What no retry can mend: the worker stops uncommitted, says what to do, and nothing half done is visible."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from confluent_kafka.admin import AdminClient

from riskstream.models.bundle import load_bundle, write_bundle
from riskstream.models.domain import load_domain
from tests.faults.conftest import NewScene

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
slow = pytest.mark.slow


@slow
def test_a_damaged_batch_halts_the_worker_there(new_scene: NewScene) -> None:
    scene = new_scene(HISTORY_CACHE_MB="8")
    scene.feed(600)
    segment = scene.rig.log / f"{scene.pipeline.topics[0]}-1" / f"{0:020}.log"
    with segment.open("r+b") as file:
        file.seek(-20, 2)
        byte = file.read(1)
        file.seek(-20, 2)
        file.write(bytes([byte[0] ^ 0xFF]))
    scene.start()
    scene.halted("damaged", scene.pipeline.topics[0])


@slow
def test_a_model_that_says_nan_is_rolled_back_by_an_operator(new_scene: NewScene, bundle: Path, tmp_path: Path) -> None:
    scene = new_scene()
    scene.feed(600)
    scene.start("a", BUNDLE=str(nan_bundle(bundle, tmp_path / "nan")))
    scene.halted("Roll back to a model that works")
    scene.start()
    scene.end()


@slow
def test_a_missing_dead_letter_topic_is_said_at_the_start(new_scene: NewScene) -> None:
    scene = new_scene()
    scene.feed(600)
    scene.start("a", DEAD_LETTER_TOPIC="nowhere")
    scene.halted("topics do not exist: nowhere", "riskstream topics create")
    scene.start()
    scene.end()


@slow
def test_a_dead_letter_topic_deleted_under_a_worker_ends_it_and_the_next_start_says_why(new_scene: NewScene) -> None:
    scene = new_scene(KAFKA_GIVE_UP_MS="10000")
    scene.feed(300)
    scene.start()
    scene.await_outputs(300)
    client = AdminClient({"bootstrap.servers": scene.pipeline.bootstrap})
    for future in client.delete_topics([scene.pipeline.topics[2]]).values():
        future.result(20)
    scene.pipeline.feed([(0, b"u1", b"{")])
    assert scene.pipeline.workers["a"].wait(90) in (1, 75), scene.last_words()
    scene.start()
    assert scene.pipeline.workers["a"].wait(60) == 1
    assert "topics do not exist" in scene.pipeline.log()


@slow
def test_a_half_written_bundle_is_no_start(new_scene: NewScene, bundle: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    for file in bundle.iterdir():
        data = file.read_bytes()
        (half / file.name).write_bytes(data[: len(data) // 2] if file.suffix == ".onnx" else data)
    scene = new_scene()
    scene.feed(300)
    worker = scene.pipeline.start("a", BUNDLE=str(half))
    assert worker.wait(60) == 2
    scene.start()
    scene.end()


def nan_bundle(source: Path, target: Path) -> Path:
    """The bundle with a leaf that is not a number; the smoke case, where everything is missing, does not reach it."""
    whole = load_bundle(source, load_domain("riskstream.models.payment").features)
    model = onnx.load_from_string(whole.model)
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "class_weights":
            weights = np.array(attribute.floats)
            weights[0::4] = np.nan
            del attribute.floats[:]
            attribute.floats.extend(weights.tolist())
    write_bundle(target, replace(whole, model=model.SerializeToString()))
    return target
