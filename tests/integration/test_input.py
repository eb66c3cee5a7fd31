"""The input against a real group: no batch holds a record of a partition that has gone, and none is passed over."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from confluent_kafka import Consumer, Message

from riskstream.workers.errors import Unavailable
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.kafka.input import Input
from riskstream.workers.kafka.offsets import Span
from riskstream.workers.settings import Settings, load_settings
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Pipeline
from tests.support.seen import until_logged

NewPipeline = Callable[..., Pipeline]
RECORDS = 300


@dataclass
class Positions:
    """The least an owner must know: what it owns and the next offset of each."""

    next: dict[int, int] = field(default_factory=dict)
    changes: int = 0
    failure: Exception | None = None

    def assigned(self, spans: Mapping[int, Span]) -> dict[int, int]:
        self.changes += 1
        if spans and (failure := self.failure):
            self.failure = None
            raise failure
        self.next.update((number, span.log_start) for number, span in spans.items())
        return {number: span.log_start for number, span in spans.items()}

    def revoked(self, partitions: list[int]) -> None:
        self.changes += 1
        for number in partitions:
            del self.next[number]

    lost = revoked

    def position(self, partition: int) -> int:
        return self.next[partition]


@pytest.fixture
def pipeline(new_pipeline: NewPipeline) -> Pipeline:
    """Two partitions full of small records; no worker."""
    pipeline = new_pipeline(partitions=2)
    pipeline.feed([(number % 2, b"k", b"%d" % number) for number in range(2 * RECORDS)])
    return pipeline


@pytest.fixture(params=["classic", "consumer"])
def settings(pipeline: Pipeline, request: pytest.FixtureRequest) -> Settings:
    return load_settings(
        bootstrap_servers=pipeline.bootstrap,
        group=pipeline.name,
        input_topic=pipeline.topics[0],
        group_protocol=request.param,
    )


@pytest.fixture
def owner() -> Positions:
    return Positions()


@pytest.fixture
def source(settings: Settings, owner: Positions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Input]:
    monkeypatch.setattr("riskstream.workers.kafka.input.Consumer", SlowConsumer)
    source = Input(settings, owner, on_error=lambda code: None)
    yield source
    source.close()


class SlowConsumer(Consumer):
    """The real one, but it dawdles after the first record of a batch, so that changes of ownership come just then."""

    dawdle_s = 0.0

    def poll(self, timeout: float = -1) -> Message | None:
        message = super().poll(timeout)
        time.sleep(self.dawdle_s if message else 0)
        return message


def take(source: Input, owner: Positions, most: int) -> Batch | None:
    """The next batch, which must go on exactly where the last one ended, and not straddle a change of ownership."""
    changes = owner.changes
    batch = source.take(most, 2.0)
    assert batch is None or owner.changes == changes
    for number, offset in zip(batch.partitions, batch.offsets, strict=True) if batch else ():
        assert owner.next[number] == offset
        owner.next[number] += 1
    return batch


def take_all(source: Input, owner: Positions) -> None:
    """Until both partitions are here and read to their ends."""
    deadline = time.monotonic() + 20
    while owner.next != {0: RECORDS, 1: RECORDS}:
        assert time.monotonic() < deadline, owner.next
        take(source, owner, 10 * RECORDS)


def join_group(settings: Settings) -> Consumer:
    """Another member of the group."""
    more = {"classic": {"partition.assignment.strategy": "cooperative-sticky"}, "consumer": {}}
    other = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": settings.group,
            "group.protocol": settings.group_protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **more[settings.group_protocol],
        }
    )
    other.subscribe([settings.input_topic])
    return other


def test_records_around_a_change_of_ownership_are_given_back(
    settings: Settings, source: Input, owner: Positions, monkeypatch: pytest.MonkeyPatch
) -> None:
    while take(source, owner, 1) is None or len(owner.next) < 2:
        pass
    monkeypatch.setattr(SlowConsumer, "dawdle_s", 0.2)
    other = join_group(settings)
    while len(owner.next) == 2:
        other.poll(0)
        take(source, owner, 2)
    other.close()
    monkeypatch.setattr(SlowConsumer, "dawdle_s", 0)
    take_all(source, owner)


def test_what_fails_while_partitions_come_is_raised_and_no_record_is_passed_over(
    settings: Settings, source: Input, owner: Positions
) -> None:
    owner.failure = Unavailable("not now")
    with pytest.raises(Unavailable, match="not now"):
        take_all(source, owner)
    source.seek(owner.assigned(source.spans(source.owned())))
    take_all(source, owner)


@pytest.fixture(params=["classic", "consumer"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_group_that_starts_at_the_latest_chooses_once(new_pipeline: NewPipeline, protocol: str) -> None:
    pipeline = new_pipeline(partitions=2, START="latest", GROUP_PROTOCOL=protocol)
    records = records_of(log_of(), 2, malformed_share=0)
    pipeline.feed(records[:20])
    pipeline.start("a")
    until_logged(pipeline, "state is taken", times=2, slot="a")
    pipeline.fed.clear()
    assert pipeline.stop("a") == 0
    pipeline.feed(records[20:40])
    pipeline.start("b")
    pipeline.assert_conserved(pipeline.outputs(30))
    assert pipeline.stop("b") == 0
