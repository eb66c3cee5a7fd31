"""A deadline that holds, whatever the call does."""

from threading import Event

import pytest

from riskstream.workers.kafka.deadline import Deadline


def test_a_call_that_comes_back_has_been_made() -> None:
    made: list[int] = []
    deadline = Deadline()
    deadline(lambda: made.append(1), 5)
    deadline(lambda: made.append(2), 5)
    assert made == [1, 2]


def test_what_the_call_raises_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        Deadline()(lambda: 1 // 0, 5)


def test_a_call_that_hangs_is_left_behind_and_the_next_one_is_made() -> None:
    deadline, never, made = Deadline(), Event(), Event()
    with pytest.raises(TimeoutError):
        deadline(never.wait, 0.05)
    deadline(made.set, 5)
    assert made.is_set()
    never.set()
