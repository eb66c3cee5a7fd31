"""The whole path on real Kafka and real Redis: records in, exactly one score or dead letter each out."""

import json
import time
from collections.abc import Callable

import pytest
import redis

from riskstream.deploy.stack import RedisServer
from tests.support.parity import assert_as_offline
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Comparable, Out, Pipeline, without_clock

NewPipeline = Callable[..., Pipeline]


def scored(pipeline: Pipeline, outs: list[Out]) -> dict[tuple[int, int], dict[str, object]]:
    return {out.of: json.loads(out.value or b"") for out in outs if out.topic == pipeline.topics[1]}


def run(pipeline: Pipeline, workers: int = 1) -> list[Out]:
    """Feed the usual log, run undisturbed workers until all is out."""
    pipeline.feed(records_of(log_of(), pipeline.partitions))
    for number in range(workers):
        pipeline.start(str(number))
    outs = pipeline.outputs()
    pipeline.assert_conserved(outs)
    return outs


def test_every_record_leaves_once_and_live_vectors_equal_offline_vectors(new_pipeline: NewPipeline) -> None:
    pipeline = new_pipeline()
    outs = run(pipeline)
    assert assert_as_offline(pipeline, outs) > 5
    assert 10 < len(outs) - len(scored(pipeline, outs)) < 200


@pytest.mark.parametrize(
    ("workers", "environment"),
    [
        (1, {"MAX_BATCH": "7"}),
        (2, {"MAX_BATCH": "256"}),
        (2, {"GROUP_PROTOCOL": "consumer"}),
        (1, {"MAX_BATCH": "1", "DELIVERY": "at_least_once"}),
    ],
)
def test_scores_do_not_depend_on_batches_workers_or_delivery(
    new_pipeline: NewPipeline, calm: Comparable, workers: int, environment: dict[str, str]
) -> None:
    assert without_clock(run(new_pipeline(**environment), workers)) == calm


def test_a_memory_far_too_small_changes_nothing(new_pipeline: NewPipeline) -> None:
    pipeline = new_pipeline(HISTORY_CACHE_MB="1", MAX_BATCH="500")
    pipeline.feed(records_of(log_of(events=20_000, users=8_000), pipeline.partitions))
    pipeline.start()
    outs = pipeline.outputs()
    pipeline.assert_conserved(outs)
    assert_as_offline(pipeline, outs)


def test_bad_records_keep_their_bytes_and_headers_and_say_why(new_pipeline: NewPipeline) -> None:
    pipeline = new_pipeline(partitions=1)
    good = records_of(log_of(), 1, malformed_share=0)[:5]
    bad = [(0, b"u1", b"{"), (0, b"u1", None), (0, b"other", good[0][2]), (0, b"u1", b"x" * 10_000_000)]
    records = [record for pair in zip(good, bad, strict=False) for record in pair]
    pipeline.feed([*records, good[-1]], headers=[("trace", b"\x00\xff")])
    pipeline.start()
    outs = pipeline.outputs()
    pipeline.assert_conserved(outs)
    dead = [out for out in outs if out.topic == pipeline.topics[2]]
    assert [(out.key, out.value) for out in dead] == [(key, value) for _, key, value in bad]
    reasons = [out.headers["__connect.errors.reason"].decode() for out in dead]
    assert reasons == ["not_json", "empty_value", "key_mismatch", "too_large"]
    assert {out.headers["trace"] for out in dead} == {b"\x00\xff"}


def test_kill_9_in_the_stream_loses_nothing_doubles_nothing_changes_nothing(
    new_pipeline: NewPipeline, calm: Comparable
) -> None:
    pipeline = new_pipeline(MAX_BATCH="20")
    pipeline.start("a")
    records = records_of(log_of(), pipeline.partitions)
    for round_, start in enumerate(range(0, len(records), 1_200)):
        pipeline.feed(records[start : start + 1_200])
        pipeline.outputs(most=start + 100 + 37 * round_)
        pipeline.kill("a")
        pipeline.start("a")
    outs = pipeline.outputs()
    pipeline.assert_conserved(outs)
    assert without_clock(outs) == calm


def test_an_emptied_redis_changes_nothing(
    new_pipeline: NewPipeline, private_redis: RedisServer, calm: Comparable
) -> None:
    pipeline = new_pipeline(redis_url=private_redis.url, MAX_BATCH="50", HISTORY_CACHE_MB="1", WRITE_BEHIND_MS="0")
    pipeline.start("a")
    records = records_of(log_of(), pipeline.partitions)
    for start in range(0, len(records), 1_000):
        pipeline.feed(records[start : start + 1_000])
        pipeline.outputs(most=start + 300)
        redis.Redis.from_url(private_redis.url).flushall()
    outs = pipeline.outputs()
    pipeline.assert_conserved(outs)
    assert without_clock(outs) == calm


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_workers_come_and_go_under_either_protocol(new_pipeline: NewPipeline, calm: Comparable, protocol: str) -> None:
    pipeline = new_pipeline(GROUP_PROTOCOL=protocol, MAX_BATCH="30")
    records = records_of(log_of(), pipeline.partitions)
    pipeline.start("a")
    pipeline.feed(records[:1_000])
    pipeline.outputs(most=500)
    pipeline.start("b")
    pipeline.feed(records[1_000:2_000])
    pipeline.outputs(most=1_500)
    assert pipeline.stop("a") == 0
    pipeline.feed(records[2_000:])
    outs = pipeline.outputs()
    pipeline.assert_conserved(outs)
    assert without_clock(outs) == calm


def test_redis_down_is_said_in_each_score_and_over_when_it_is_back(
    new_pipeline: NewPipeline, private_redis: RedisServer
) -> None:
    pipeline = new_pipeline(redis_url=private_redis.url, REDIS_GIVE_UP_MS="600", REDIS_TIMEOUT_MS="300")
    records = records_of(log_of(), pipeline.partitions, malformed_share=0)
    pipeline.start("a")
    pipeline.feed(records[:500])
    pipeline.outputs(most=500)
    private_redis.pause()
    pipeline.feed(records[500:1_000])
    pipeline.outputs(most=1_000)
    private_redis.resume()
    time.sleep(2)
    pipeline.feed(records[1_000:])
    outs = pipeline.outputs()
    pipeline.assert_conserved(outs)
    first_part = {(record.partition, record.offset) for record in pipeline.fed[:500]}
    degraded = {of for of, score in scored(pipeline, outs).items() if score["degraded"]}
    assert degraded
    assert not degraded & first_part
    last = {(record.partition, record.offset) for record in pipeline.fed[-500:]}
    assert not degraded & last, "scores are degraded although Redis is back"
