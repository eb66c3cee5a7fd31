"""What happens to the input log itself."""

import signal
import time

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from tests.faults.conftest import NewScene
from tests.faults.scene import PARTITIONS, Rig, Scene, peak_mb

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
slow = pytest.mark.slow

INFLATED_MB, BASE_MB = 300, 400


@pytest.fixture
def admin(shared_rig: Rig) -> AdminClient:
    return AdminClient({"bootstrap.servers": shared_rig.stack.bootstrap_servers, "log_level": 3})


def under_way(lone_scene: NewScene, count: int, **environment: str) -> Scene:
    scene = lone_scene(**environment)
    scene.feed(count)
    scene.start()
    scene.await_outputs(count)
    return scene


@slow
def test_what_upstream_has_aborted_is_not_scored(lone_scene: NewScene) -> None:
    scene = under_way(lone_scene, 300)
    abort(scene, 300, 400)
    scene.feed(1_500)
    scene.end()


def abort(scene: Scene, since: int, until: int) -> None:
    """Some of the scene's records, written and taken back by a transactional producer."""
    producer = Producer({"bootstrap.servers": scene.pipeline.bootstrap, "transactional.id": scene.pipeline.name})
    producer.init_transactions(30)
    producer.begin_transaction()
    for partition, key, value in scene.records[since:until]:
        producer.produce(scene.pipeline.topics[0], value, key, partition)
    producer.flush(30)
    producer.abort_transaction(30)


@slow
@pytest.mark.parametrize("codec", ["gzip", "lz4"])
def test_a_batch_that_inflates(lone_scene: NewScene, codec: str) -> None:
    """Little on the wire, 300 MB in memory: dead letters, and no more memory than twice of it."""
    scene = under_way(lone_scene, 300)
    bomb(scene, codec)
    scene.feed(1_500)
    scene.await_outputs(len(scene.pipeline.fed), 120)
    peak = peak_mb(scene.pipeline.workers["a"].pid)
    scene.end()
    assert peak < BASE_MB + 2 * INFLATED_MB


@slow
def test_a_zstd_batch_above_what_a_client_takes(lone_scene: NewScene) -> None:
    """It is refused before it is inflated."""
    scene = under_way(lone_scene, 300)
    bomb(scene, "zstd")
    scene.feed(1_500)
    scene.halted("a record batch cannot be decompressed", f"{scene.pipeline.topics[0]}[1] at offset")


def bomb(scene: Scene, codec: str) -> None:
    """One batch on partition 1, of records with a megabyte of blanks each."""
    limits = {"message.max.bytes": 500_000_000, "batch.size": 500_000_000, "queue.buffering.max.kbytes": 1_000_000}
    config = {**limits, "compression.type": codec, "linger.ms": 5_000, "delivery.timeout.ms": 60_000}
    scene.pipeline.feed([(1, b"u1", b" " * (1 << 20))] * INFLATED_MB, **config)


@slow
def test_retention_overtakes_a_group_that_is_away(lone_scene: NewScene, admin: AdminClient) -> None:
    scene = under_way(lone_scene, 600)
    assert scene.pipeline.stop() == 0
    scene.feed(2_000)
    delete_below(admin, scene, 1, 200)
    scene.start()
    scene.halted("records were deleted before they were scored", "offsets skip --partition 1")


@slow
def test_retention_overtakes_a_worker_that_sleeps(lone_scene: NewScene, admin: AdminClient) -> None:
    scene = under_way(lone_scene, 600, SESSION_TIMEOUT_MS="60000", MAX_POLL_INTERVAL_MS="60000")
    worker = scene.pipeline.workers["a"]
    worker.send_signal(signal.SIGSTOP)
    scene.feed(2_000)
    delete_below(admin, scene, 1, 200)
    worker.send_signal(signal.SIGCONT)
    scene.halted("retention")


def delete_below(admin: AdminClient, scene: Scene, partition: int, more: int) -> None:
    """Delete all that partition 1 has, but for its last `more` records."""
    end = sum(record.partition == partition for record in scene.pipeline.fed)
    place = TopicPartition(scene.pipeline.topics[0], partition, end - more)
    for future in admin.delete_records([place]).values():
        future.result(20)


@slow
def test_partitions_are_added_under_a_worker(lone_scene: NewScene, admin: AdminClient) -> None:
    refresh = "topic.metadata.refresh.interval.ms=1000"
    scene = under_way(lone_scene, 300, KAFKA_COMMON_EXTRA=refresh)
    for future in admin.create_partitions([NewPartitions(scene.pipeline.topics[0], PARTITIONS + 1)]).values():
        future.result(20)
    scene.halted("was added to the input topic")


@slow
@pytest.mark.parametrize("away", [True, False], ids=["while no worker runs", "under a worker"])
def test_the_topic_is_deleted_and_made_again(lone_scene: NewScene, admin: AdminClient, away: bool) -> None:
    """Under the same name it is another log: offsets, histories and marks are of the old one."""
    scene = under_way(lone_scene, 600, KAFKA_COMMON_EXTRA="topic.metadata.refresh.interval.ms=1000")
    if away:
        assert scene.pipeline.stop() == 0
    for future in admin.delete_topics([scene.pipeline.topics[0]]).values():
        future.result(20)
    time.sleep(1.0)
    scene.pipeline.create_topic(scene.pipeline.topics[0])
    scene.feed(2_600)
    if away:
        scene.start()
    scene.halted("topic_id" if away else "has no committed offset any more")
