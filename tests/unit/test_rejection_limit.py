"""Too many refused records in a row, or too large a share, stop their own partition and no other."""

from riskstream.workers.rejection_limit import AT_ONCE, RejectionLimit

BAD, GOOD = True, False


def rows(*refused: bool, partition: int = 0) -> list[tuple[int, bool]]:
    return [(partition, each) for each in refused]


def in_a_row(most: int) -> RejectionLimit:
    return RejectionLimit(most, most_share=1, window=10)


def share(most: float, window: int) -> RejectionLimit:
    return RejectionLimit(0, most_share=most, window=window)


def test_refused_records_in_a_row_reach_the_limit_over_batches() -> None:
    limit = in_a_row(3)
    assert limit.exceeded(rows(BAD, BAD)) == set()
    assert limit.exceeded(rows(BAD)) == {0}


def test_a_good_record_begins_a_new_row() -> None:
    assert in_a_row(3).exceeded(rows(BAD, BAD, GOOD, BAD, BAD)) == set()


def test_a_limit_that_was_passed_within_a_batch_counts() -> None:
    assert in_a_row(3).exceeded(rows(BAD, BAD, BAD, GOOD)) == {0}


def test_partitions_are_counted_apart() -> None:
    limit = in_a_row(3)
    mixed = [pair for two in zip(rows(BAD, BAD, BAD), rows(BAD, GOOD, BAD, partition=1), strict=True) for pair in two]
    assert limit.exceeded(mixed) == {0}


def test_zero_in_a_row_is_no_limit() -> None:
    assert in_a_row(0).exceeded(rows(*[BAD] * 1_000)) == set()


def test_a_share_above_the_limit_counts_once_the_window_is_full() -> None:
    limit = share(0.5, window=4)
    assert limit.exceeded(rows(BAD, BAD, BAD)) == set()
    assert limit.exceeded(rows(GOOD)) == {0}


def test_the_share_itself_is_allowed() -> None:
    assert share(0.5, window=4).exceeded(rows(*[BAD, GOOD] * 10)) == set()


def test_what_left_the_window_counts_no_more() -> None:
    limit = share(0.5, window=4)
    limit.exceeded(rows(BAD, BAD))
    assert limit.exceeded(rows(GOOD, GOOD, BAD, BAD, GOOD)) == set()
    assert limit.exceeded(rows(BAD)) == {0}


def test_the_whole_share_is_no_limit() -> None:
    assert share(1, window=10).exceeded(rows(*[BAD] * 100)) == set()


def test_a_cleared_limit_begins_anew() -> None:
    limit = RejectionLimit(3, most_share=0.5, window=4)
    limit.exceeded(rows(BAD, BAD))
    limit.clear()
    assert limit.exceeded(rows(BAD, BAD, GOOD, GOOD)) == set()


def test_batches_that_pass_count_as_their_records_do() -> None:
    limit = share(0.5, window=4)
    limit.exceeded(rows(BAD, BAD))
    limit.passed([0])
    assert limit.exceeded(rows(BAD)) == {0}
    limit.passed([0] * 9)
    assert limit.exceeded(rows(BAD, BAD)) == set()


def test_a_batch_that_passes_begins_a_new_row() -> None:
    limit = in_a_row(3)
    limit.exceeded(rows(BAD, BAD))
    limit.passed([0])
    assert limit.exceeded(rows(BAD, BAD)) == set()


def test_batches_that_passed_before_it_was_cleared_count_no_more() -> None:
    limit = share(0.5, window=4)
    limit.passed([0] * 3)
    limit.clear()
    assert limit.exceeded(rows(BAD, BAD, BAD)) == set()


def test_many_batches_that_pass_count_as_one() -> None:
    limit = share(0.5, window=2 * AT_ONCE)
    limit.exceeded(rows(*[BAD] * (AT_ONCE + 1)))
    for _ in range(AT_ONCE - 2):
        limit.passed([0, 1])
    assert limit.exceeded(rows(GOOD)) == {0}
    assert limit.exceeded(rows(GOOD, GOOD)) == set()
