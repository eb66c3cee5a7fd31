"""A place that cannot be read: the worker halts there, an operator skips it, the gap is on record and stays a gap."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from riskstream.deploy.stack import LocalStack
from riskstream.workers.cli import app
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Out, Pipeline
from tests.support.seen import committed, until_logged

NewPipeline = Callable[..., Pipeline]


def offsets(pipeline: Pipeline, *arguments: str) -> tuple[int, str]:
    """The exit code of `riskstream offsets ...` and all that it said."""
    done = CliRunner().invoke(app, ["offsets", *arguments], env=pipeline.variables(COLUMNS="200"))
    return done.exit_code, done.output


@pytest.fixture
def damaged(stack: LocalStack, new_pipeline: NewPipeline) -> Pipeline:
    """Three batches of 20 on one partition; a byte of the second is not what it was."""
    pipeline = new_pipeline(partitions=1)
    records = records_of(log_of(), 1, malformed_share=0)
    for start in (0, 20, 40):
        pipeline.feed(records[start : start + 20])
    damage(stack.broker.data_dir / "log" / f"{pipeline.topics[0]}-0" / f"{0:020}.log", offset=20)
    return pipeline


def damage(segment: Path, offset: int) -> None:
    data, at = segment.read_bytes(), 0
    while struct.unpack_from(">q", data, at)[0] != offset:
        at += 12 + struct.unpack_from(">i", data, at + 8)[0]
    with segment.open("r+b") as file:
        file.seek(at + 12 + struct.unpack_from(">i", data, at + 8)[0] - 5)
        file.write(bytes([data[file.tell()] ^ 0xFF]))


def halted(pipeline: Pipeline) -> str:
    assert pipeline.start().wait(30) == 1
    del pipeline.workers["a"]
    return pipeline.log().split("error: ")[-1]


def scored(outs: list[Out]) -> list[int]:
    return [out.of[1] for out in outs if out.topic.startswith("out-")]


def test_a_damaged_batch_is_skipped_on_record_and_never_read_again(damaged: Pipeline) -> None:
    said = halted(damaged)
    assert "at offset 20: a record batch is damaged" in said
    assert "`riskstream offsets skip --partition 0 --reason ...`" in said
    assert committed(damaged) == {0: 20}, "what came before is scored"

    code, said = offsets(damaged, "skip", "--partition", "0", "--reason", "disk of broker 1", "--by", "ops")
    assert (code, committed(damaged)) == (1, {0: 20}), "nobody said yes"
    assert "20 offsets, 20 to 39" in said
    code, said = offsets(damaged, "skip", "--partition", "0", "--reason", "disk of broker 1", "--by", "ops", "--yes")
    assert code == 0, said
    assert committed(damaged) == {0: 40}
    assert "20-39" in offsets(damaged, "show")[1]

    damaged.start()
    outs = damaged.outputs(most=41)
    assert sorted(scored(outs)) == [*range(20), *range(40, 60)]
    (gap,) = (out for out in outs if out.topic.startswith("dead-"))
    told = {name.removeprefix("__connect.errors."): value for name, value in gap.headers.items()}
    assert (gap.partition, gap.key, gap.value, gap.of) == (0, None, None, (0, 20))
    assert (told["reason"], told["exception.message"]) == (b"skipped", b"disk of broker 1")
    assert (told["skipped.end"], told["skipped.by"]) == (b"40", b"ops")
    later = [out for out in outs if out.of[1] >= 40]
    assert all(b"history_partial" in (out.value or b"") for out in later)
    code, said = offsets(damaged, "skip", "--partition", "0", "--reason", "again", "--yes")
    assert (code, "is running" in said) == (1, True)
    assert damaged.stop() == 0

    forget_histories(damaged)
    damaged.start()
    damaged.feed(records_of(log_of(), 1, malformed_share=0)[60:70])
    assert len(damaged.outputs(30, most=51)) == 51, "histories are rebuilt from the log, around the gap"
    assert [line["read_from"] for line in until_logged(damaged, "state is taken")][-1] == 0
    assert damaged.stop() == 0


def forget_histories(pipeline: Pipeline) -> None:
    with redis.Redis.from_url(pipeline.redis_url) as client:
        client.delete(*client.scan_iter(f"rs:{{{pipeline.name}/*", 1_000))


def test_what_can_be_read_is_only_skipped_by_name(new_pipeline: NewPipeline) -> None:
    pipeline = new_pipeline(partitions=2)
    pipeline.feed(records_of(log_of(), 2)[:10])
    code, said = offsets(pipeline, "skip", "--partition", "0", "--reason", "why", "--yes")
    assert (code, "can be read at offset 0" in said) == (1, True)
    code, said = offsets(pipeline, "skip", "--partition", "0", "--to", "999", "--reason", "why", "--yes")
    assert (code, "--to must be from 1 to" in said) == (1, True)
    assert offsets(pipeline, "skip", "--partition", "0", "--to", "2", "--reason", "why", "--yes")[0] == 0
    assert committed(pipeline)[0] == 2
    pipeline.start()
    assert min(out.of[1] for out in pipeline.outputs(most=8) if out.of[0] == 0 and out.key) == 2
    assert pipeline.stop() == 0
