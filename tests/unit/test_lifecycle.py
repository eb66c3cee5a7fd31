"""States follow from the history, for every reader alike."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskstream.models.lifecycle import BEFORE, Change, State, fold

START = datetime(2026, 11, 1, tzinfo=UTC)


def change(seq: int, version: str, to: State, by: str = "ada", minutes: int = 0) -> tuple[str, Change]:
    at = START + timedelta(minutes=minutes)
    return f"{seq}.{by}", Change(seq=seq, at=at, by=by, version=version, to=to, why="")


def test_a_version_is_proposed_until_somebody_says_otherwise() -> None:
    assert fold(["1.0.0"], []).states == {"1.0.0": "proposed"}


def test_a_whole_life() -> None:
    history = fold(
        ["1.0.0"], [change(1, "1.0.0", "approved"), change(2, "1.0.0", "live"), change(3, "1.0.0", "retired")]
    )
    assert history.states == {"1.0.0": "retired"}
    assert [step.change.to for step in history.steps] == ["approved", "live", "retired"]


ALL = [(before, to) for before in BEFORE for to in BEFORE if to != "proposed"]
PATHS: dict[State, list[State]] = {
    "proposed": [], "approved": ["approved"], "live": ["approved", "live"], "retired": ["retired"],
}  # fmt: skip


@pytest.mark.parametrize(("before", "to"), ALL)
def test_a_state_is_only_reached_from_those_before_it(before: State, to: State) -> None:
    changes = [change(seq, "1.0.0", state) for seq, state in enumerate([*PATHS[before], to], start=1)]
    history = fold(["1.0.0"], changes)
    assert (history.overruled == []) == (before in BEFORE[to])
    assert history.states["1.0.0"] == (to if before in BEFORE[to] else before)


def test_another_live_version_sends_the_first_back_to_approved() -> None:
    steps = [change(1, "1.0.0", "approved"), change(2, "1.1.0", "approved"), change(3, "1.0.0", "live")]
    history = fold(["1.0.0", "1.1.0"], [*steps, change(4, "1.1.0", "live")])
    assert history.states == {"1.0.0": "approved", "1.1.0": "live"}
    assert history.steps[-1].replaced == "1.0.0"


def test_of_two_at_once_the_earlier_holds_in_whatever_order_they_are_read() -> None:
    both = [change(1, "1.0.0", "approved", "bob", minutes=1), change(1, "1.0.0", "approved", "ada", minutes=0)]
    for order in permutations(both):
        history = fold(["1.0.0"], order)
        assert [step.change.by for step in history.steps] == ["ada"]
        assert [change.by for change in history.overruled] == ["bob"]


def test_a_change_of_a_version_that_is_gone_is_overruled() -> None:
    assert len(fold([], [change(1, "1.0.0", "approved")]).overruled) == 1


WANTED = st.tuples(st.sampled_from(["1.0.0", "1.1.0"]), st.sampled_from(["approved", "live", "retired"]))


@given(st.permutations(range(8)), st.lists(WANTED, min_size=8, max_size=8))
def test_every_reader_comes_to_the_same_end_and_at_most_one_is_live(
    order: list[int], wanted: list[tuple[str, State]]
) -> None:
    changes = [change(1 + n // 2, version, to, by=f"{n}") for n, (version, to) in enumerate(wanted)]
    history = fold(["1.0.0", "1.1.0"], changes)
    assert fold(["1.0.0", "1.1.0"], [changes[n] for n in order]) == history
    assert list(history.states.values()).count("live") <= 1
