"""What keeps coming back is counted over its time, and waited for longer each time."""

from riskstream.workers.recurrence import Recurrence, pause_s


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_events_count_for_their_time() -> None:
    clock = Clock()
    recurrence = Recurrence(10, clock)
    assert [recurrence.note(), recurrence.note()] == [1, 2]
    clock.now += 9
    assert recurrence.note() == 3
    clock.now += 1
    assert recurrence.note() == 2


def test_the_first_time_is_not_waited_for_and_no_pause_is_longer_than_five_seconds() -> None:
    assert [pause_s(times) for times in (1, 2, 3, 4)] == [0, 0.1, 0.2, 0.4]
    assert pause_s(10**9) == 5
