"""The thread in which the loop runs, and the one that watches it: the main thread, which also hears signals at once."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

from riskstream.workers.kafka.deadline import LeftBehind

LOOK_S = 0.5

Ended = SimpleQueue[BaseException | None]


def run_watched(run: Callable[[], None], is_stuck: Callable[[], bool], begin_anew: Callable[[], None]) -> None:
    """`run` until it returns; raises what it raises. When it `is_stuck`, it is left behind in its thread, and after
    `begin_anew` it runs in another."""
    while not _ended(run, is_stuck):
        begin_anew()


def _ended(run: Callable[[], None], is_stuck: Callable[[], bool]) -> bool:
    ended: Ended = SimpleQueue()
    Thread(target=_run, args=(run, ended), name="loop", daemon=True).start()
    while True:
        try:
            error = ended.get(timeout=LOOK_S)
        except Empty:
            if is_stuck():
                return False
        else:
            if error is not None:
                raise error
            return True


def _run(run: Callable[[], None], ended: Ended) -> None:
    error: BaseException | None = None
    try:
        run()
    except LeftBehind:
        return  # nobody waits for it, and an error that is kept would keep the producer, for the next thread to close
    except BaseException as raised:  # whatever it is, the main thread ends with it
        error = raised
    ended.put(error)
