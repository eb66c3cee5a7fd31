"""The loop's own decisions, with everything around it faked: when it waits, and when it gives up."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from riskstream.schemas.facts import COMMON_WORDS, FactLayout
from riskstream.workers.errors import Aborted, Fenced, Halt, OutcomeUnclear, StateLost, Unavailable
from riskstream.workers.health import Status
from riskstream.workers.loop import FENCED_LEAST, FENCED_MOST, FENCED_WITHIN_S, Loop, Pace
from riskstream.workers.metrics import Metrics
from riskstream.workers.rejection_limit import RejectionLimit
from riskstream.workers.working_set import WorkingSet


@dataclass
class Clock:
    """Only sleeping makes time pass."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Source:
    """An input without partitions: each look does what the test says."""

    def __init__(self, look: Callable[[], None]) -> None:
        self.look = look

    def take(self, most: int, timeout_s: float) -> None:
        self.look()

    def owned(self) -> list[int]:
        return []

    def spans(self, partitions: Sequence[int]) -> dict[int, Any]:
        return {}

    def seek(self, starts: Mapping[int, int]) -> None:
        pass

    def lags(self, positions: Mapping[int, int]) -> dict[int, int]:
        return {}


@dataclass
class Output:
    told: list[str]

    def open(self) -> None:
        self.told.append("opened")

    def publish(self, records: object, offsets: object, group: object) -> None:
        raise AssertionError("nothing is published here")

    def settle(self) -> None:
        raise AssertionError("nothing is published here")


@dataclass
class Ownership:
    told: list[str]
    known = True

    def take_state(self, spans: object, cause: str, rebuild: object) -> dict[int, int]:
        self.told.append(cause)
        return {}


class Join:
    def write_behind(self) -> None:
        pass


class Told(Exception):
    """The test has seen enough."""


def failing(error: Exception, times: int = 10**9) -> Callable[[], None]:
    left = iter(range(times))

    def look() -> None:
        raise error if next(left, None) is not None else Told

    return look


def looping(look: Callable[[], None], give_up_s: float = 60.0) -> tuple[Loop, Clock, list[str]]:
    """A loop, the clock by which it sleeps, and what it does of note."""
    clock, told = Clock(), list[str]()
    loop = Loop(
        cast(Any, Source(look)),
        Output(told),
        cast(Any, Ownership(told)),
        cast(Any, None),
        cast(Any, Join()),
        WorkingSet(FactLayout("t", 1, COMMON_WORDS), 4, 1 << 20),
        RejectionLimit(0, 1, 10),
        Status(),
        Metrics(CollectorRegistry()),
        Pace(10, 0.1, give_up_s, 60.0),
        clock,
        clock.sleep,
    )
    return loop, clock, told


def ended(look: Callable[[], None], give_up_s: float = 60.0) -> tuple[BaseException, Clock]:
    """What the loop ends with, and the clock by which it slept."""
    loop, clock, _ = looping(look, give_up_s)
    with pytest.raises((Told, Halt, Unavailable, Aborted)) as raised:
        loop.run()
    return raised.value, clock


@pytest.mark.parametrize("error", [Unavailable("away"), Aborted("too large"), OutcomeUnclear("no answer")])
def test_what_does_not_go_away_is_given_up_in_time_and_not_tried_in_a_hot_circle(error: Exception) -> None:
    end, clock = ended(failing(error), give_up_s=60)
    assert isinstance(end, Unavailable)
    assert 60 <= clock.now - 100 < 63
    assert 30 < len(clock.slept) < 300


def test_what_goes_away_is_forgotten() -> None:
    end, clock = ended(failing(Unavailable("away"), times=3))
    assert isinstance(end, Told)
    assert len(clock.slept) == 3


def test_state_that_is_lost_once_is_taken_at_once() -> None:
    assert ended(failing(StateLost([0], "mark_differs"), times=1))[1].slept == [0]


def test_state_that_is_lost_again_and_again_is_waited_for_longer_each_time() -> None:
    _, clock = ended(failing(StateLost([0], "mark_differs"), times=200))
    assert clock.slept[1] < clock.slept[3] < clock.slept[5]
    assert clock.now - 100 > 200  # more than a second each, in the long run
    assert max(clock.slept) <= 5


def test_who_is_fenced_again_and_again_in_a_minute_shares_its_slot() -> None:
    end, _ = ended(failing(Fenced("epoch"), times=FENCED_MOST))
    assert isinstance(end, Halt)
    assert "RISKSTREAM_SLOT" in str(end)
    assert isinstance(ended(failing(Fenced("epoch"), times=FENCED_LEAST - 1))[0], Told)


def test_two_that_fence_each_other_are_not_equally_patient() -> None:
    slept = {len(ended(failing(Fenced("epoch"), times=FENCED_MOST))[1].slept) for _ in range(100)}
    assert slept == set(range(FENCED_LEAST - 1, FENCED_MOST))


def test_who_is_fenced_again_and_again_does_not_open_at_once() -> None:
    _, clock = ended(failing(Fenced("epoch"), times=FENCED_MOST))
    assert clock.slept[0] == 0
    assert 0 < sum(clock.slept) < FENCED_WITHIN_S


def test_who_is_stuck_again_and_again_gives_up_in_time() -> None:
    loop, clock, _ = looping(lambda: None)
    with suppress(Unavailable):
        for _ in range(1_000):
            loop.begin_anew()
    assert 60 <= clock.now - 100 < 63


def test_after_a_call_that_did_not_come_back_there_are_new_producers_and_state_is_taken_anew() -> None:
    loop, _, told = looping(failing(Unavailable("away"), times=0))
    with pytest.raises(Told):
        loop.run()
    loop.begin_anew()
    with pytest.raises(Told):
        loop.run()
    assert told == ["opened", "start", "opened", "unclear"]
