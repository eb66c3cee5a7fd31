"""A deadline for native calls that may not keep their own."""

from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread

Call = Callable[[], object]
Answer = SimpleQueue[BaseException | None]
Calls = SimpleQueue[tuple[Call, Answer] | None]
Wait = Callable[[float], None]


class Deadline:
    """Runs calls one after another in a thread of its own, which is left behind when a call does not come back."""

    def __init__(self) -> None:
        self._calls: Calls | None = None

    def begin(self, call: Call) -> Wait:
        """Does not wait. What is answered does, for so many seconds: it raises what the call raises, or TimeoutError;
        then nobody may believe in anything that the call works on."""
        if self._calls is None:
            self._calls = Calls()
            Thread(target=_serve, args=(self._calls,), name="deadline", daemon=True).start()
        answer: Answer = SimpleQueue()
        self._calls.put((call, answer))
        return partial(self._wait, answer)

    def _wait(self, answer: Answer, timeout_s: float) -> None:
        try:
            error = answer.get(timeout=timeout_s)
        except Empty:
            if self._calls is not None:  # nobody who waited before has left the thread behind
                self._calls.put(None)  # should the call ever come back, its thread ends
                self._calls = None
            raise TimeoutError(f"a call did not return within {timeout_s} s") from None
        if error is not None:
            raise error


def _serve(calls: Calls) -> None:
    while (item := calls.get()) is not None:
        call, answer = item
        error: BaseException | None = None
        try:
            call()
        except BaseException as raised:
            error = raised
        answer.put(error)
        del item, call, answer, error  # what a call works on is not kept alive here until the next one
