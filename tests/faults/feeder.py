"""The upstream: a process of its own that feeds simulated payments at a rate until it is ended by SIGTERM.

It survives broker restarts (idempotent, retried without end). Each delivery report is a line "partition offset" of the
trace file; a record whose fate is unknown at the end may lie in the topic all the same, which is the truth.
"""

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from confluent_kafka import Producer

from riskstream.models.simulation import SimulationConfig, simulate
from riskstream.workers.simulate import Message, messages

CHUNK, CHUNK_DAYS, CHUNKS = 30_000, 5, 90
START_MS = 1_735_689_600_000  # 2025-01-01 UTC
MALFORMED_SHARE = 0.01


def payments(seed: int, users: int) -> Iterator[Message]:
    """Payments and some malformed records, the same for a seed: five days of event time a chunk, the same customers."""
    for number in range(CHUNKS):
        config = SimulationConfig(
            seed=seed * 1_000 + number,
            users=users,
            events=CHUNK,
            days=CHUNK_DAYS,
            start_ms=START_MS + number * CHUNK_DAYS * 86_400_000,
            repeat_share=0.01,
            disorder_share=0.02,
        )
        yield from messages(simulate(config), MALFORMED_SHARE, config.seed)


class Feeder:
    """Sends what is due and writes the trace."""

    def __init__(self, bootstrap: str, topic: str, trace: TextIO) -> None:
        self._topic, self._trace = topic, trace
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.timeout.ms": 0,
                "message.max.bytes": 17_000_000,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 0,
            }
        )
        self.stopping = False

    def run(self, records: Iterator[Message], rate: float) -> int:
        """Feed until told to stop; what was sent is then flushed. Answers how many records have no known fate."""
        begin, sent = time.monotonic(), 0
        while not self.stopping:
            due = int((time.monotonic() - begin) * rate)
            # After a broker was away, what piled up comes in one burst, as it would from real services.
            while sent < due and not self.stopping:
                record = next(records)
                self._produce(record)
                sent += 1
            self._producer.poll(0.005)
        return self._producer.flush(90)

    def _produce(self, record: Message) -> None:
        while True:
            try:
                self._producer.produce(self._topic, record.value, record.key, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _delivered(self, error: Any, message: Any) -> None:
        if error is None:
            self._trace.write(f"{message.partition()} {message.offset()}\n")


def main(arguments: str) -> int:
    given = json.loads(arguments)
    with Path(given["trace"]).open("w", buffering=1) as trace:
        feeder = Feeder(given["bootstrap"], given["topic"], trace)
        signal.signal(signal.SIGTERM, lambda *_: setattr(feeder, "stopping", True))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return 1 if feeder.run(payments(given["seed"], given["users"]), given["rate"]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
