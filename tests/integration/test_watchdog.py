"""A partition that gives nothing, behind a broker that answers: seen, tried again, declared. And how a worker stands by
and ends when it is told twice."""

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from random import Random

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from riskstream.deploy.stack import RedisServer
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Pipeline
from tests.support.seen import committed, logged, until_logged

NewPipeline = Callable[..., Pipeline]
TAKES = 17_000_512
"""Bytes of an answer that the worker's client takes, the least that librdkafka allows beside our limits."""


def ready(pipeline: Pipeline, slot: str = "a") -> tuple[int, str]:
    port = until_logged(pipeline, "worker is ready", slot=slot)[-1]["health_port"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()


def test_a_batch_above_what_the_client_takes_is_declared_with_the_command_to_run(new_pipeline: NewPipeline) -> None:
    narrow = {"receive.message.max.bytes": TAKES, "fetch.max.bytes": TAKES - 512}
    pipeline = new_pipeline(partitions=1, STALL_MS="1000", KAFKA_CONSUMER_EXTRA=json.dumps(narrow))
    limit = ConfigEntry("max.message.bytes", "20000000", incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, pipeline.topics[0], incremental_configs=[limit])
    admin = AdminClient({"bootstrap.servers": pipeline.bootstrap})
    admin.incremental_alter_configs([topic])[topic].result(20)
    pipeline.feed(records_of(log_of(), 1, malformed_share=0)[:10])
    pipeline.feed([(0, b"u1", Random(1).randbytes(17_500_000))], message_max_bytes=20_000_000)
    pipeline.start()
    (told,) = until_logged(pipeline, "partition halted: nothing comes from it")
    assert (told["partition"], told["offset"], committed(pipeline)) == (0, 10, {0: 10})
    assert logged(pipeline, "nothing comes, the partition is begun anew")
    code, text = ready(pipeline)
    assert code == 503
    assert "riskstream offsets skip --partition 0" in text
    assert pipeline.stop() == 0


def test_a_worker_that_owns_nothing_stands_by_and_says_so(new_pipeline: NewPipeline) -> None:
    pipeline = new_pipeline(partitions=1)
    pipeline.start("a")
    until_logged(pipeline, "state is taken")
    pipeline.start("b")
    pipeline.feed(records_of(log_of(), 1)[:10])
    pipeline.outputs(most=10)
    until_logged(pipeline, "worker is ready", slot="b")
    answers = set()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answers = {ready(pipeline, slot)[1] for slot in "ab"}
        if all('"ok"' in answer for answer in answers) and len(answers) == 2:
            break
    assert sorted(json.loads(answer)["assigned"] for answer in answers) == [0, 1], answers


def test_who_is_told_twice_to_stop_ends_at_once(new_pipeline: NewPipeline, private_redis: RedisServer) -> None:
    slow = {"REDIS_TIMEOUT_MS": "30000", "REDIS_GIVE_UP_MS": "30000", "WRITE_BEHIND_MS": "60000"}
    pipeline = new_pipeline(private_redis.url, partitions=1, **slow)
    pipeline.feed(records_of(log_of(), 1)[:10])
    worker = pipeline.start()
    pipeline.outputs(most=10)
    private_redis.pause()
    worker.send_signal(signal.SIGTERM)
    time.sleep(1)  # it writes behind, which nobody answers
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(5) == 130
