"""What runs in a watched thread ends as if it ran here; what is stuck goes on in another."""

import gc
import threading
import weakref
from threading import Event

import pytest

from riskstream.workers.errors import Halt
from riskstream.workers.kafka.deadline import LeftBehind
from riskstream.workers.watched import run_watched


def never() -> bool:
    return False


def nothing() -> None: ...


def test_what_returns_has_run_once_in_a_thread_of_its_own() -> None:
    ran: list[threading.Thread] = []
    run_watched(lambda: ran.append(threading.current_thread()), never, nothing)
    assert len(ran) == 1
    assert ran[0] is not threading.current_thread()


@pytest.mark.parametrize("error", [Halt("no"), ZeroDivisionError(), KeyboardInterrupt()])
def test_what_it_raises_is_raised_here(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        run_watched(fail, never, nothing)
    assert raised.value is error


def test_what_is_stuck_is_left_behind_and_begun_anew() -> None:
    for_ever, happened = Event(), []

    def run() -> None:
        happened.append("run")
        if len(happened) == 1:
            for_ever.wait(20)

    run_watched(run, lambda: len(happened) == 1, lambda: happened.append("anew"))
    for_ever.set()
    assert happened == ["run", "anew", "run"]


def test_who_is_not_to_begin_anew_gives_up() -> None:
    for_ever = Event()

    def give_up() -> None:
        raise Halt("for too long")

    def run() -> None:
        for_ever.wait(20)

    with pytest.raises(Halt, match="for too long"):
        run_watched(run, lambda: True, give_up)
    for_ever.set()


class Client:
    """Something that is closed when nobody has it any more."""


def test_what_a_stuck_call_worked_on_goes_with_its_own_thread() -> None:
    comes_back, threads = Event(), list[threading.Thread]()
    clients = list["weakref.ref[Client]"]()

    def run() -> None:
        threads.append(threading.current_thread())
        if len(threads) == 1:
            client = Client()
            clients.append(weakref.ref(client))
            comes_back.wait(20)
            raise LeftBehind

    gc.disable()
    try:
        run_watched(run, lambda: len(threads) == 1, nothing)
        comes_back.set()
        threads[0].join(5)
        assert clients[0]() is None
    finally:
        gc.enable()
