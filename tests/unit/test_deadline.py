"""A deadline that holds, whatever the call does."""

from threading import Event, Thread

import pytest

from riskstream.workers.kafka.deadline import Deadline, LeftBehind


class Stuck:
    """A call under way in another thread, 10 s of a deadline of 5 later."""

    def __init__(self) -> None:
        self.now = 0.0
        self.deadline = Deadline(lambda: self.now)
        self.goes_on, self._inside = Event(), Event()
        self.raised: list[BaseException] = []
        self._thread = Thread(target=self._run)
        self._thread.start()
        self._inside.wait(5)
        self.now = 10.0

    def _run(self) -> None:
        try:
            self.deadline.keep(self._call, 5)
        except BaseException as error:
            self.raised.append(error)

    def _call(self) -> None:
        self._inside.set()
        self.goes_on.wait(5)

    def comes_back(self) -> list[BaseException]:
        """What the call ended with."""
        self.goes_on.set()
        self._thread.join(5)
        return self.raised


@pytest.fixture
def stuck() -> Stuck:
    return Stuck()


def test_a_call_that_comes_back_has_been_made_and_is_not_late() -> None:
    made: list[int] = []
    deadline = Deadline(lambda: 0.0)
    deadline.keep(lambda: made.append(1), -1)
    deadline.keep(lambda: made.append(2), -1)
    assert made == [1, 2]
    assert not deadline.passed()


def test_what_the_call_raises_is_raised() -> None:
    deadline = Deadline()
    with pytest.raises(ZeroDivisionError):
        deadline.keep(lambda: 1 // 0, 5)
    assert not deadline.passed()


def test_a_call_in_time_is_waited_for(stuck: Stuck) -> None:
    stuck.now = 4.0
    assert not stuck.deadline.passed()
    assert stuck.comes_back() == []


def test_who_comes_back_too_late_but_before_anybody_looked_goes_on(stuck: Stuck) -> None:
    assert stuck.comes_back() == []
    assert not stuck.deadline.passed()


def test_who_was_left_behind_is_told_so_and_others_are_not(stuck: Stuck) -> None:
    assert stuck.deadline.passed()
    assert not stuck.deadline.passed()
    made: list[int] = []
    stuck.deadline.keep(lambda: made.append(1), 5)
    assert [type(error) for error in stuck.comes_back()] == [LeftBehind]
    assert made == [1]


def test_a_call_that_comes_back_while_the_next_one_is_made_does_not_end_its_deadline(stuck: Stuck) -> None:
    assert stuck.deadline.passed()
    seen: list[bool] = []

    def slow() -> None:
        stuck.comes_back()
        stuck.now = 20.0
        seen.append(stuck.deadline.passed())

    with pytest.raises(LeftBehind):
        stuck.deadline.keep(slow, 5)
    assert seen == [True]
