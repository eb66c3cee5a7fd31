"""A deadline that holds, whatever the call does."""

from threading import Event

import pytest

from riskstream.workers.kafka.deadline import Deadline


def test_a_call_that_comes_back_has_been_made() -> None:
    made: list[int] = []
    deadline = Deadline()
    deadline.begin(lambda: made.append(1))(5)
    deadline.begin(lambda: made.append(2))(5)
    assert made == [1, 2]


def test_what_the_call_raises_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        Deadline().begin(lambda: 1 // 0)(5)


def test_a_call_that_hangs_is_left_behind_and_the_next_one_is_made() -> None:
    deadline, never, made = Deadline(), Event(), Event()
    with pytest.raises(TimeoutError):
        deadline.begin(never.wait)(0.05)
    deadline.begin(made.set)(5)
    assert made.is_set()
    never.set()


def test_what_was_begun_is_waited_for_later_and_in_any_order() -> None:
    made: list[int] = []
    deadline = Deadline()
    first, second = deadline.begin(lambda: made.append(1)), deadline.begin(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        second(5)
    first(5)
    assert made == [1]
