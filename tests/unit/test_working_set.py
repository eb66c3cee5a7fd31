"""Histories in memory: what is absorbed, what is written, what may be dropped."""

import numpy as np
import pytest

from riskstream.schemas.history import COMPLETE, UNKNOWN, Applied, Keys, decode_histories, encode_history
from riskstream.schemas.texts import Texts
from riskstream.workers.working_set import LogSpan, Partition, WorkingSet
from tests.support.facts import LAYOUT, facts, gather_known, is_in_memory, offsets_of, packed

KEYS = Keys.of("ns", "t", 0)
MARK = Applied(epoch=7, offset=50, since=COMPLETE).encode()


def fresh(capacity: int = 4, max_bytes: int = 1 << 20) -> tuple[WorkingSet, Partition]:
    """Partition 0, taken up with an empty Redis."""
    working_set = WorkingSet(LAYOUT, capacity, max_bytes)
    working_set.open(0, KEYS, None, LogSpan(0, 0))
    return working_set, working_set.partitions[0]


def absorb(working_set: WorkingSet, user: bytes, *offsets: int, repeats: tuple[int, ...] = ()) -> None:
    """A committed batch of one user's events; Redis holds nothing of users that are not in memory."""
    partition, rows = working_set.partitions[0], len(offsets)
    gathered = gather_known(working_set, [0] * rows, [user] * rows, facts(*offsets))
    working_set.absorb(gathered, np.isin(offsets, repeats))
    partition.position = offsets[-1] + 1


def kept(working_set: WorkingSet, user: bytes) -> list[int]:
    """The offsets of a user's history."""
    return list(map(int, working_set.history(working_set.partitions[0], user)[:, 0]))


def write(working_set: WorkingSet) -> None:
    """Redis takes everything."""
    partition = working_set.partitions[0]
    while found := working_set.write(partition):
        working_set.settle(partition, found)


def next_write(working_set: WorkingSet) -> tuple[str, list[int]]:
    """How the first user of the next write is written, R as a whole or A appended to, and which facts."""
    found = working_set.write(working_set.partitions[0])
    assert found
    mode = chr(found.modes[0])
    return mode, offsets_of(found.values[0][8 if mode == "R" else 0 :])


def test_a_believable_mark_is_where_reading_begins() -> None:
    working_set, _ = fresh()
    assert working_set.open(0, KEYS, MARK, LogSpan(0, 60)) == 50
    assert working_set.partitions[0].applied == Applied.decode(MARK)


@pytest.mark.parametrize("span", [LogSpan(51, 60), LogSpan(0, 49)], ids=["before the log", "after the committed"])
def test_histories_whose_mark_is_off_the_log_are_rebuilt_under_a_new_epoch(span: LogSpan) -> None:
    working_set, _ = fresh()
    assert working_set.open(0, KEYS, MARK, span) == span.log_start
    partition = working_set.partitions[0]
    working_set.load(partition, [b"u"], [encode_history(7, packed(1, 2))])
    assert not kept(working_set, b"u")
    assert partition.mark == MARK


def test_a_mark_that_is_none_is_replaced() -> None:
    working_set, partition = fresh()
    assert working_set.open(0, KEYS, b"garbage", LogSpan(3, 60)) == 3
    partition = working_set.partitions[0]
    assert partition.mark == b"garbage"
    assert Applied.decode(working_set.write(partition).applied).offset == 3  # type: ignore[union-attr]


def test_a_rebuild_believes_no_mark() -> None:
    working_set, _ = fresh()
    assert working_set.open(0, KEYS, MARK, LogSpan(0, 60), rebuild=True) == 0
    assert working_set.partitions[0].applied.epoch != 7


@pytest.mark.parametrize(
    ("complete", "log_start", "since"), [(True, 0, COMPLETE), (True, 1, UNKNOWN), (False, 0, UNKNOWN)]
)
def test_only_a_whole_log_gives_complete_histories(complete: bool, log_start: int, since: int) -> None:
    working_set = WorkingSet(LAYOUT, 4, 1 << 20, log_is_complete=complete)
    working_set.open(0, KEYS, None, LogSpan(log_start, 60))
    assert working_set.partitions[0].since == since


def test_a_row_sees_its_users_past_and_the_earlier_rows_of_its_batch() -> None:
    working_set, _ = fresh()
    absorb(working_set, b"u", 1, 2)
    gathered = gather_known(working_set, [0, 0, 0], [b"u", b"v", b"u"], facts(3, 4, 5))
    pasts = [
        offsets_of(gathered.facts[first:position].tobytes())
        for first, position in zip(gathered.first, gathered.position, strict=True)
    ]
    assert pasts == [[1, 2], [], [1, 2, 3]]
    assert offsets_of(gathered.facts[gathered.position].tobytes()) == [3, 4, 5]


def test_gathering_alone_changes_no_history() -> None:
    working_set, _ = fresh()
    absorb(working_set, b"u", 1)
    gather_known(working_set, [0], [b"u"], facts(2))
    assert kept(working_set, b"u") == [1]


def test_repeats_are_no_facts() -> None:
    working_set, _ = fresh()
    absorb(working_set, b"u", 1, 2, 3, repeats=(2,))
    assert kept(working_set, b"u") == [1, 3]
    assert next_write(working_set)[1] == [1, 3]


def test_a_long_history_keeps_its_capacity_and_is_then_written_as_a_whole() -> None:
    working_set, _ = fresh(capacity=4)
    absorb(working_set, b"u", 1)
    write(working_set)
    absorb(working_set, b"u", 2, 3, 4, 5)
    assert kept(working_set, b"u") == [1, 2, 3, 4, 5], "trimmed before the slack is used"
    absorb(working_set, b"u", 6)
    assert kept(working_set, b"u") == [3, 4, 5, 6]
    assert next_write(working_set) == ("R", [3, 4, 5, 6])


def test_a_write_is_the_same_until_it_is_settled() -> None:
    working_set, partition = fresh()
    absorb(working_set, b"u", 1)
    first = working_set.write(partition)
    absorb(working_set, b"u", 2)
    assert first
    assert working_set.write(partition) is first
    working_set.settle(partition, first)
    second = working_set.write(partition)
    assert second
    assert second.expected == first.applied
    assert next_write(working_set) == ("A", [2])


def test_what_was_written_is_what_is_read() -> None:
    working_set, partition = fresh()
    absorb(working_set, b"u", 1, 2)
    whole = working_set.write(partition)
    assert whole
    working_set.settle(partition, whole)
    stored = decode_histories([bytes(whole.values[0])], LAYOUT, partition.applied)
    assert (offsets_of(stored.facts.tobytes()), stored.exact.tolist()) == ([1, 2], [True])


def test_nothing_new_is_nothing_to_write() -> None:
    working_set, partition = fresh()
    absorb(working_set, b"u", 1)
    write(working_set)
    assert working_set.write(partition) is None


def test_a_key_that_was_gone_is_written_as_a_whole() -> None:
    working_set, partition = fresh()
    absorb(working_set, b"u", 1)
    write(working_set)
    absorb(working_set, b"u", 2)
    refused = working_set.write(partition)
    assert refused
    working_set.rewrite(partition)
    assert next_write(working_set) == ("R", [1, 2])


def test_a_value_that_is_not_exact_is_written_as_a_whole() -> None:
    working_set, _ = fresh()
    working_set.open(0, KEYS, MARK, LogSpan(0, 50))
    working_set.load(working_set.partitions[0], [b"u"], [encode_history(7, packed(1, 1, 60))])
    absorb(working_set, b"u", 50)
    assert next_write(working_set) == ("R", [1, 50])


def test_a_past_that_could_not_be_read_is_known_as_such_and_stops_the_writing() -> None:
    working_set, partition = fresh()
    numbers, users = np.zeros(1, np.int64), Texts.of([b"u"])
    gathered = working_set.gather(working_set.find(numbers, users), np.zeros(1, np.int64), numbers, users, facts(1))
    assert gathered.unread.tolist() == [0]
    working_set.absorb(gathered, np.zeros(1, np.bool_))
    partition.position = 2
    assert working_set.write(partition) is None


def test_a_row_without_a_seat_that_nobody_told_of_is_a_bug() -> None:
    working_set, _ = fresh()
    numbers, users = np.zeros(1, np.int64), Texts.of([b"u"])
    with pytest.raises(IndexError, match="without a seat"):
        working_set.gather(working_set.find(numbers, users), np.empty(0, np.int64), numbers, users, facts(1))


def test_what_redis_does_not_hold_yet_stays_in_memory() -> None:
    working_set, partition = fresh(max_bytes=1_000)  # two users and a half
    users = (b"settled", b"unsettled", b"pending")
    absorb(working_set, b"settled", 1)
    write(working_set)
    absorb(working_set, b"unsettled", 2)
    assert working_set.write(partition)
    absorb(working_set, b"pending", 3)
    working_set.evict()
    assert [user for user in users if is_in_memory(working_set, 0, user)] == [b"unsettled", b"pending"]


def test_the_least_recently_used_leave_until_the_bound_holds() -> None:
    working_set, _ = fresh(max_bytes=20_000)
    for number in range(100):
        absorb(working_set, b"u%d" % number, number)
    absorb(working_set, b"u0", 100)
    write(working_set)
    working_set.evict()
    assert working_set.size <= 20_000
    assert is_in_memory(working_set, 0, b"u0")
    assert not is_in_memory(working_set, 0, b"u1")


def test_a_batch_larger_than_the_bound_is_written_and_then_leaves() -> None:
    working_set, partition = fresh(max_bytes=1_000)
    for number in range(100):
        absorb(working_set, b"u%d" % number, number)
    working_set.evict()
    assert partition.whole
    write(working_set)
    working_set.evict()
    assert working_set.size <= 1_000


def test_facts_that_redis_does_not_take_are_let_go_at_twice_the_bound() -> None:
    working_set, partition = fresh(max_bytes=1_000)
    absorb(working_set, b"u0", 0)
    assert working_set.write(partition)
    for number in range(1, 100):
        absorb(working_set, b"u%d" % number, number)
    working_set.evict()
    assert not partition.whole
    assert working_set.size <= 1_000
    assert working_set.write(partition) is None
