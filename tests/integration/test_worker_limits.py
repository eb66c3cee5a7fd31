"""Where a worker stops: a partition that is nearly all refused, a slot that is taken, a log that is not what it was."""

import time
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from random import Random

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]
from redis import Redis

from riskstream.deploy.stack import LocalStack, RedisServer
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Pipeline, limit_records
from tests.support.seen import applied, committed, logged, until_logged

NewPipeline = Callable[..., Pipeline]


@pytest.fixture(scope="module")
def admin(stack: LocalStack) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.bootstrap_servers, "log_level": 4})


def refusal(pipeline: Pipeline) -> str:
    """What a worker says that does not start, or does not go on."""
    assert pipeline.start().wait(30) == 1
    return pipeline.log().split("error: ")[-1]


def test_too_many_dead_letters_in_a_row_halt_their_partition_and_no_other(new_pipeline: NewPipeline) -> None:
    pipeline = new_pipeline(MAX_DEAD_LETTERS_IN_A_ROW="50")
    pipeline.feed([(0, b"k", b"{")] * 80 + [(1, b"k", b"{")] * 40)
    pipeline.start()
    pipeline.outputs(most=40)
    pipeline.feed([record for record in records_of(log_of(), 3, malformed_share=0)[:400] if record[0] != 0])
    outs = pipeline.outputs(most=len(pipeline.fed) - 80)
    assert {out.partition for out in outs} == {1, 2}
    assert [line["partition"] for line in logged(pipeline, "partition halted: nearly everything is refused")] == [0]
    assert committed(pipeline)[0] < 0
    assert pipeline.stop() == 0


def test_of_two_workers_in_one_slot_one_stays_and_the_other_says_why_it_goes(new_pipeline: NewPipeline) -> None:
    pipeline = new_pipeline(partitions=2)
    pipeline.start("a", SLOT="same")
    pipeline.start("b", SLOT="same")
    records, batches = records_of(log_of(), 2), count()
    while all(worker.poll() is None for worker in pipeline.workers.values()):
        start = 20 * next(batches)
        assert start < len(records), "both stay"
        pipeline.feed(records[start : start + 20])
        time.sleep(0.2)
    gone = next(slot for slot, worker in pipeline.workers.items() if worker.poll() is not None)
    assert pipeline.workers.pop(gone).wait() == 1
    assert "another worker runs under the same RISKSTREAM_SLOT" in pipeline.log(gone)
    pipeline.assert_conserved(pipeline.outputs())
    assert pipeline.stop("ba"[gone == "b"]) == 0


def test_missing_topics_are_named(new_pipeline: NewPipeline) -> None:
    pipeline = new_pipeline(OUTPUT_TOPIC="not-there")
    assert refusal(pipeline) == "topics do not exist: not-there. Run `riskstream topics create`.\n"


def test_added_partitions_and_a_new_topic_of_the_same_name_are_refused(
    new_pipeline: NewPipeline, admin: AdminClient
) -> None:
    pipeline = new_pipeline(partitions=1)
    pipeline.start()
    until_logged(pipeline, "worker is ready")
    assert pipeline.stop() == 0
    more = [NewPartitions(topic, 2) for topic in (*pipeline.topics, pipeline.stats_topic)]
    for done in admin.create_partitions(more).values():
        done.result(20)
    assert "partitions is 2 here and 1 there" in refusal(pipeline)
    recreate(admin, pipeline)
    said = refusal(pipeline)
    assert "topic_id is" in said
    assert "Choose another RISKSTREAM_HISTORY_NAMESPACE" in said


def recreate(admin: AdminClient, pipeline: Pipeline) -> None:
    for done in admin.delete_topics([*pipeline.topics, pipeline.stats_topic]).values():
        done.result(20)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            return pipeline.create_topics()
        except KafkaException:
            time.sleep(0.1)  # it is still being deleted
    pytest.fail("the topics are not deleted")


def test_a_redis_that_was_away_at_the_start_is_checked_when_it_first_answers(
    new_pipeline: NewPipeline, private_redis: RedisServer
) -> None:
    with Redis.from_url(private_redis.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    private_redis.pause()
    pipeline = new_pipeline(private_redis.url, partitions=1, REDIS_TIMEOUT_MS="100", REDIS_GIVE_UP_MS="200")
    pipeline.feed(records_of(log_of(), 1)[:10])
    worker = pipeline.start()
    assert all(b"history_unavailable" in (out.value or b"") for out in pipeline.outputs(most=10))
    private_redis.resume()
    more = iter(records_of(log_of(), 1)[10:])
    while worker.poll() is None:  # one that comes right after a failure does not ask Redis again
        pipeline.feed([next(more)])
    assert worker.returncode == 1
    assert "Redis may evict histories: its maxmemory-policy is allkeys-lru" in pipeline.log()


def test_records_deleted_before_they_were_scored_halt_the_worker(new_pipeline: NewPipeline, admin: AdminClient) -> None:
    pipeline = new_pipeline(partitions=1)
    records = records_of(log_of(), 1)
    pipeline.feed(records[:10])
    pipeline.start()
    pipeline.outputs(most=10)
    assert pipeline.stop() == 0
    pipeline.feed(records[10:20])
    end = TopicPartition(pipeline.topics[0], 0, 15)
    admin.delete_records([end])[end].result(20)
    assert "would go on at offset 10, yet the log holds 15 to 20" in refusal(pipeline)


def test_sigterm_writes_everything_behind_so_that_a_restart_reads_nothing_again(new_pipeline: NewPipeline) -> None:
    pipeline = new_pipeline(WRITE_BEHIND_MS="60000", WRITE_BEHIND_USERS="1000000")
    pipeline.feed(records_of(log_of(), 3)[:300])
    pipeline.start()
    pipeline.outputs(most=300)
    began = time.monotonic()
    assert pipeline.stop() == 0
    assert time.monotonic() - began < 5
    assert applied(pipeline) == committed(pipeline)
    pipeline.start()
    taken = until_logged(pipeline, "state is taken", times=6)[3:]
    assert {line["partition"]: line["read_from"] for line in taken} == committed(pipeline)


@pytest.fixture
def narrow(new_pipeline: NewPipeline, admin: AdminClient) -> Pipeline:
    """Dead letters of more than 100,000 bytes are refused by the broker."""
    pipeline = new_pipeline(partitions=1, KAFKA_GIVE_UP_MS="1000")
    limit_records(admin, pipeline.topics[2], 100_000)
    return pipeline


def test_a_dead_letter_too_large_for_its_topic_leaves_without_its_value(narrow: Pipeline) -> None:
    narrow.feed([(0, b"k", b"x" * 60_000)], headers=[("trace", bytes(50_000))])
    narrow.start()
    (out,) = narrow.outputs()
    assert out.value is None
    assert out.headers["trace"] == bytes(50_000)
    assert len(out.headers["__connect.errors.value.sha256"]) == 64


def test_a_record_above_the_topics_limit_by_its_headers_or_its_key_costs_one_dead_letter(narrow: Pipeline) -> None:
    noise = Random(1)
    narrow.feed([(0, b"k", b"{")], headers=[("trace", noise.randbytes(150_000))] * 2)
    narrow.feed([(0, noise.randbytes(150_000), b"{")])
    narrow.feed([(0, b"k", b"{")])
    narrow.start()
    by_headers, by_key, whole = sorted(narrow.outputs(), key=lambda out: out.of)
    assert (by_headers.key, by_headers.value) == (b"k", None)
    assert by_headers.headers["__connect.errors.headers.count"] == b"2"
    assert "trace" not in by_headers.headers
    assert by_key.key is None
    assert by_key.headers["__connect.errors.key.sha256"] == sha256(narrow.fed[1].key or b"").hexdigest().encode()
    assert (whole.key, whole.value) == (b"k", b"{")


def test_dead_letters_that_the_topic_takes_one_by_one_do_not_sink_each_other(narrow: Pipeline) -> None:
    noise = Random(2)
    narrow.feed([(0, b"k", noise.randbytes(60_000)) for _ in range(5)])
    narrow.start()
    narrow.assert_conserved(narrow.outputs())


def test_a_topic_that_could_not_take_every_score_is_refused(new_pipeline: NewPipeline, admin: AdminClient) -> None:
    pipeline = new_pipeline(partitions=1)
    limit_records(admin, pipeline.topics[1], 4_000)
    assert "takes records of 4000 bytes, a worker needs 16384" in refusal(pipeline)
