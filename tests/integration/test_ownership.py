"""Taking the state of a partition: where to read from, where to score from, and when not to start at all."""

from collections.abc import Callable, Iterator
from functools import partial
from unittest.mock import Mock

import pytest
from prometheus_client import CollectorRegistry

from riskstream.deploy.stack import LocalStack, RedisServer
from riskstream.schemas.history import UNKNOWN, Applied, Keys
from riskstream.workers.errors import Halt, OutcomeUnclear, StateLost, Unavailable
from riskstream.workers.kafka.offsets import Span
from riskstream.workers.metrics import Metrics
from riskstream.workers.ownership import Ownership
from riskstream.workers.working_set import Partition, WorkingSet
from tests.support.facts import LAYOUT
from tests.support.stores import quick_store

NewOwnership = Callable[..., Ownership]


@pytest.fixture
def flushed() -> list[Partition]:
    """What was written behind to the end."""
    return []


@pytest.fixture
def new_ownership(
    stack: LocalStack, unique_name: Callable[[str], str], flushed: list[Partition]
) -> Iterator[NewOwnership]:
    """Of a topic with two partitions."""
    keys, stores = partial(Keys.of, unique_name("ns"), "t"), []

    def make(url: str = stack.redis_url, degrade: bool = True) -> Ownership:
        stores.append(quick_store(url))
        working_set, metrics = WorkingSet(LAYOUT, 4, 1 << 20), Metrics(CollectorRegistry())
        return Ownership(working_set, stores[-1], metrics, flushed.extend, keys, 2, degrade)

    yield make
    for store in stores:
        store.close()


def score_from(ownership: Ownership) -> int:
    return ownership.working_set.partitions[0].live_from


def test_reading_begins_at_the_applied_mark_and_scoring_at_the_committed_offset(new_ownership: NewOwnership) -> None:
    ownership = new_ownership()
    ownership.store.client.set(ownership.keys(0).applied, Applied(7, 40, 0).encode())
    assert ownership.assigned({0: Span(0, 100, 60)}) == {0: 40}
    assert score_from(ownership) == 60


def test_a_group_that_lost_its_offsets_does_not_begin_anew(new_ownership: NewOwnership) -> None:
    """They expired, or the topic is another of the same name: all would be scored twice."""
    ownership = new_ownership()
    ownership.store.client.set(ownership.keys(0).applied, Applied(7, 40, 0).encode())
    with pytest.raises(Halt, match="no committed offset any more, yet it had come to 40"):
        ownership.assigned({0: Span(0, 100, None)})


def test_a_quiet_partition_has_a_mark_and_no_committed_offset(new_ownership: NewOwnership) -> None:
    ownership = new_ownership()
    ownership.store.client.set(ownership.keys(0).applied, Applied(7, 10, 0).encode())
    assert ownership.assigned({0: Span(10, 10, None)}) == {0: 10}


def test_an_empty_redis_is_rebuilt_from_the_start_of_the_log(new_ownership: NewOwnership) -> None:
    ownership = new_ownership()
    assert ownership.assigned({0: Span(10, 100, 60), 1: Span(0, 9, 9)}) == {0: 10, 1: 0}
    assert score_from(ownership) == 60


def test_a_group_without_offsets_begins_at_the_start_of_the_log(new_ownership: NewOwnership) -> None:
    ownership = new_ownership()
    assert ownership.assigned({0: Span(10, 100, None)}) == {0: 10}
    assert score_from(ownership) == 10


@pytest.mark.parametrize(
    ("committed", "mend"), [(9, "offsets skip --partition 0 --to 10"), (101, "kafka-consumer-groups --reset-offsets")]
)
def test_an_offset_that_the_log_does_not_have_halts(new_ownership: NewOwnership, committed: int, mend: str) -> None:
    with pytest.raises(Halt, match=rf"at offset {committed}, yet the log holds 10 to 100: .*{mend}"):
        new_ownership().assigned({0: Span(10, 100, committed)})


def test_what_an_operator_skipped_is_never_read_and_histories_are_partial_from_there_on(
    new_ownership: NewOwnership,
) -> None:
    ownership = new_ownership()
    ownership.store.client.set(ownership.keys(0).applied, Applied(7, 40, 0).encode())
    assert ownership.assigned({0: Span(0, 100, 60, "gaps=40-45,50-52")}) == {0: 45}
    partition = ownership.working_set.partitions[0]
    assert (partition.position, partition.since) == (45, UNKNOWN)
    partition.position, partition.since = 50, 7
    assert ownership.past_gaps([0]) == {0: 52}
    assert (partition.position, partition.since) == (52, UNKNOWN)
    assert ownership.past_gaps([0]) == {}


def test_a_partition_that_was_added_halts(new_ownership: NewOwnership) -> None:
    with pytest.raises(Halt, match=r"partition 2 was added.*RISKSTREAM_HISTORY_NAMESPACE"):
        new_ownership().assigned({2: Span(0, 100, None)})


def test_without_redis_scoring_begins_at_the_committed_offset_if_so_chosen(
    new_ownership: NewOwnership, private_redis: RedisServer
) -> None:
    private_redis.pause()
    ownership = new_ownership(private_redis.url)
    assert ownership.assigned({0: Span(0, 100, 60)}) == {0: 60}
    assert not ownership.working_set.partitions[0].whole
    with pytest.raises(Unavailable):
        new_ownership(private_redis.url, degrade=False).assigned({0: Span(0, 100, 60)})


def test_revoked_partitions_are_flushed_and_lost_ones_are_not(
    new_ownership: NewOwnership, flushed: list[Partition]
) -> None:
    ownership = new_ownership()
    ownership.assigned({0: Span(0, 9, 0), 1: Span(0, 9, 0)})
    ownership.revoked([0])
    ownership.lost([1])
    assert [partition.number for partition in flushed] == [0]
    assert not ownership.working_set.partitions


@pytest.mark.parametrize("error", [OutcomeUnclear("unacknowledged"), StateLost([0], "gone"), Unavailable("away")])
def test_a_revoked_partition_goes_even_if_it_cannot_be_flushed(new_ownership: NewOwnership, error: Exception) -> None:
    ownership = new_ownership()
    ownership.assigned({0: Span(0, 9, 0)})
    ownership.flush = Mock(side_effect=error)
    ownership.revoked([0])
    assert not ownership.working_set.partitions
