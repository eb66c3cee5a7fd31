"""How often something came back of late. What keeps coming back is waited for, longer each time, or given up."""

from collections import deque
from collections.abc import Callable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0


class Recurrence:
    """Counts events within the last `within_s` seconds."""

    def __init__(self, within_s: float, clock: Callable[[], float]) -> None:
        self._within_s = within_s
        self._clock = clock
        self._times: deque[float] = deque()

    def note(self) -> int:
        """It happened again; answers how often it did within the time, this one counted."""
        now = self._clock()
        self._times.append(now)
        while self._times[0] <= now - self._within_s:
            self._times.popleft()
        return len(self._times)


def pause_s(times: int) -> float:
    """How long to wait after something happened so many times: not at all after the first, then twice as long each."""
    return 0.0 if times < 2 else min(FIRST_PAUSE_S * 2.0 ** min(times - 2, 16), LONGEST_PAUSE_S)
