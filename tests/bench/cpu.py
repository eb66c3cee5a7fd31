"""CPU time: of this process with all its threads, and of others."""

import gc
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

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


@contextmanager
def rationed(pids: Sequence[int], share: float, period_s: float = 0.05) -> Iterator[None]:
    """Inside, each process runs for `share` of each period and stands still for the rest, one after the other."""
    if share == 1.0:
        yield
        return
    over = threading.Event()

    def ration() -> None:
        while not over.is_set():
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
                time.sleep(share * period_s)
                os.kill(pid, signal.SIGSTOP)
            time.sleep((1 - share * len(pids)) * period_s)

    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    thread = threading.Thread(target=ration)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def settle() -> None:
    """Collect now and keep what is left out of later collections, as a worker does at its start."""
    gc.collect()
    gc.freeze()
