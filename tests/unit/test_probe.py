"""A probe ends, whatever becomes of its reader."""

from threading import Event
from typing import Any

import pytest
from confluent_kafka import KafkaError

from riskstream.workers.kafka import probe as module
from riskstream.workers.kafka.probe import probe
from riskstream.workers.settings import load_settings


class Damaged:
    """What a reader gives that meets a damaged batch."""

    def error(self) -> KafkaError:
        return KafkaError(KafkaError._BAD_MSG)


class Reader:
    """Meets one, and then cannot be closed before it is let go."""

    released, closed = Event(), Event()

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def assign(self, places: object) -> None:
        pass

    def poll(self, timeout_s: float) -> Damaged:
        return Damaged()

    def close(self) -> None:
        self.released.wait(5)
        self.closed.set()


def test_a_reader_that_cannot_be_closed_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Consumer", Reader)
    monkeypatch.setattr(module, "CLOSE_S", 0.05)
    assert probe(load_settings(), 0, 7) == "error"
    assert not Reader.closed.is_set()
    Reader.released.set()
