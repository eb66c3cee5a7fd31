"""A deadline for native calls that may not keep their own, though nothing can end them.

Another thread watches. When the time is over, the one inside the call is left behind, and another begins anew with what
it did. Handing the call itself to another thread would cost each batch two changes of threads, a tenth of its latency
on busy cores.
"""

import time
from collections.abc import Callable
from threading import Lock


class LeftBehind(BaseException):
    """Raised where a call came back after all: its thread is to end and to touch nothing more."""


class Deadline:
    """Calls of one thread at a time; `passed` is asked by another."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._due: float | None = None
        self._calls = 0

    def keep(self, call: Callable[[], object], timeout_s: float) -> None:
        """Make the call. Raises what it raises, or LeftBehind if others have gone on without it."""
        with self._lock:
            self._calls += 1
            this, self._due = self._calls, self._clock() + timeout_s
        try:
            call()
        finally:
            with self._lock:
                if this != self._calls:
                    raise LeftBehind
                self._due = None

    def passed(self) -> bool:
        """Whether a call has taken too long. Who made it is left behind from now on."""
        with self._lock:
            if self._due is None or self._clock() < self._due:
                return False
            self._calls, self._due = self._calls + 1, None
            return True
