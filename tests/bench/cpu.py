"""CPU time: of this process with all its threads, and of others."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence

import psutil

MICRO = 1e6


def cpu_us(work: Callable[[], int], rounds: int) -> float:
    """CPU microseconds per event: the median over `rounds` calls of `work`, which answers how many events it did.

    The whole process counts, so that a client library's threads do. One call before the first is not measured.
    """
    work()
    return statistics.median(_once(work) for _ in range(rounds))


def _once(work: Callable[[], int]) -> float:
    started = time.process_time()
    events = work()
    return MICRO * (time.process_time() - started) / events


def spent_s(pids: Sequence[int]) -> list[float]:
    """CPU seconds, user and system, that each of these processes has used so far."""
    return [sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids]


def settle() -> None:
    """Collect now and keep what is left out of later collections, as a worker does at its start."""
    gc.collect()
    gc.freeze()
