"""The judge is judged: each way to break a promise is seen, under its own heading, with the place."""

from collections.abc import Sequence

import pytest

from tests.faults import judge
from tests.faults.judge import Ends, Verdict
from tests.faults.reading import Seen
from tests.faults.segments import Batch, Commit, Transaction

pytestmark = pytest.mark.faults

ENDS = Ends({0: 0}, {0: 4})


def out(
    of: int, offset: int | None = None, digest: int = 1, degraded: tuple[str, ...] = (), partition: int = 0
) -> Seen:
    return Seen("scores", partition, of if offset is None else offset, (0, of), digest, True, degraded, f"v{digest}")


GOOD = [out(0), out(1), out(2), out(3)]


def counts(outs: Sequence[Seen]) -> dict[str, int]:
    verdict = Verdict()
    judge.conservation(verdict, ENDS, outs)
    judge.order(verdict, outs)
    judge.determinism(verdict, outs, GOOD)
    return {heading: count for heading, count in verdict.counts.items() if count}


@pytest.mark.parametrize(
    ("outs", "expected"),
    [
        (GOOD, {}),
        (GOOD[:3], {"lost": 1}),
        ([*GOOD, out(3, 4)], {"doubled": 1}),
        ([*GOOD, out(9, 4)], {"doubled": 1, "differing": 1}),
        ([out(1, 0), out(0, 1), out(2), out(3)], {"reordered": 1}),
        ([*GOOD[:3], out(3, partition=1)], {"reordered": 1}),
        ([*GOOD[:3], out(3, digest=2)], {"differing": 1}),
        ([*GOOD[:3], out(3, digest=2, degraded=("history_unavailable",))], {}),
    ],
)
def test_outputs(outs: Sequence[Seen], expected: dict[str, int]) -> None:
    assert counts(outs) == expected


@pytest.mark.parametrize(
    ("again", "differing"), [(out(1, 4), 0), (out(1, 4, digest=2), 1), (out(1, 4, partition=1), 1)]
)
def test_a_repetition(again: Seen, differing: int) -> None:
    verdict = Verdict()
    assert judge.first_ones(verdict, [*GOOD, again]) == GOOD
    assert verdict.counts["differing"] == differing


def transaction(producer: int, first: int, last: int) -> Transaction:
    return Transaction(producer, 0, [Batch(first, last, producer, 0, True, False, False, 1, b"")], committed=True)


A, B = transaction(1, 0, 1), transaction(2, 3, 4)
WRITTEN = {(0, 0): ("scores[0]", A), (0, 1): ("scores[0]", A), (0, 2): ("scores[0]", B), (0, 3): ("scores[0]", B)}


@pytest.mark.parametrize(
    ("commits", "torn"),
    [
        ([Commit(1, {0: 2}), Commit(2, {0: 4})], 0),
        ([Commit(1, {0: 2})], 1),  # the last outputs have no commit
        ([Commit(1, {0: 3}), Commit(2, {0: 4})], 1),  # a step takes an output of another transaction
        ([Commit(1, {0: 2}), Commit(2, {0: 4}), Commit(1, {0: 2})], 1),  # back
        ([Commit(1, {0: 2}), Commit(-1, {0: 4})], 3),  # outside of a transaction
    ],
)
def test_transactions(commits: Sequence[Commit], torn: int) -> None:
    verdict = Verdict()
    judge.atomicity(verdict, ENDS, commits, WRITTEN)
    assert verdict.counts["torn"] == torn, verdict.explanation()


def test_a_consumer_that_was_told_something_else() -> None:
    verdict = Verdict()
    judge.steadiness(verdict, {("scores", 0): (3, 77)}, {("scores", 0): (3, 78)})
    assert verdict.counts["differing"] == 1


def test_a_transaction_left_open() -> None:
    verdict = Verdict()
    judge.dangling(verdict, ["scores-0: producer 1 from offset 7"])
    assert not verdict.holds
    assert verdict.explanation() == ["torn: a transaction was left open: scores-0: producer 1 from offset 7"]
