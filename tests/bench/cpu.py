"""CPU time: of this process with all its threads, and of others."""

import gc
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

MICRO = 1e6
PERIOD_S = 0.1
"""Of a CPU limit: what Linux and Kubernetes have."""
LOOK_S = 0.002
Work = Callable[[], int]
"""What is measured; it answers how many events it did."""


def cpu_us(work: Work, rounds: int) -> float:
    """CPU microseconds per event: the median over `rounds` calls of `work`.

    The whole process counts, so that a client library's threads do. One call before the first is not measured.
    """
    work()
    return statistics.median(_once(work) for _ in range(rounds))


def _once(work: Work) -> float:
    started = time.process_time()
    events = work()
    return MICRO * (time.process_time() - started) / events


def spent_s(pids: Sequence[int]) -> list[float]:
    """CPU seconds, user and system, that each of these processes has used so far. To the microsecond."""
    return [time.clock_gettime(_clock_of(pid)) for pid in pids]


def _clock_of(pid: int) -> int:
    """A process's CPU clock, as clock_getcpuclockid(3) makes it: /proc and psutil count hundredths of seconds."""
    return ~pid << 3 | 2


@dataclass
class _Quota:
    """CPU time that a process may use; it stands still from when there is none left until a period's share is there."""

    pid: int
    share: float
    left_s: float = 0.0

    def __post_init__(self) -> None:
        (self._used_s,) = spent_s([self.pid])

    def look(self, passed_s: float) -> None:
        (used_s,) = spent_s([self.pid])
        most_s = self.share * PERIOD_S
        filled_s = min(self.left_s + self.share * passed_s, most_s)
        self.left_s = filled_s - (used_s - self._used_s)
        self._used_s = used_s
        if self.left_s <= 0:
            os.kill(self.pid, signal.SIGSTOP)
        elif filled_s == most_s:
            os.kill(self.pid, signal.SIGCONT)


class Ration:
    """Each process may use CPU time of `share` of the time inside `kept`, as under a container's CPU limit.

    A process that waits for somebody loses nothing for a period. What one used too much it owes, the next time inside
    too.
    """

    def __init__(self, pids: Sequence[int], share: float) -> None:
        """Counts from now on."""
        self._quotas = [_Quota(pid, share) for pid in pids if share < 1]

    @contextmanager
    def kept(self) -> Iterator[None]:
        """The processes run when it begins and when it ends."""
        if not self._quotas:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._keep, args=[over])
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            for quota in self._quotas:
                os.kill(quota.pid, signal.SIGCONT)

    def _keep(self, over: threading.Event) -> None:
        looked = time.perf_counter()
        while not over.wait(LOOK_S):
            now = time.perf_counter()
            for quota in self._quotas:
                quota.look(now - looked)
            looked = now


def settle() -> None:
    """Collect now and keep what is left out of later collections, as a worker does at its start."""
    gc.collect()
    gc.freeze()
