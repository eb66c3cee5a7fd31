"""The demo's sidecar: a process started as an operator would start it, and its reports as any reader has them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from riskstream.deploy.demo.workers import Worker
from riskstream.deploy.stack.processes import die_with_parent
from riskstream.schemas.drift import DriftReport, decode_report

MOST = 500  # reports at once


@contextmanager
def running_sidecar(folder: Path, environment: Mapping[str, str]) -> Iterator[Worker]:
    """`environment` is added to this process's. Ends with the block."""
    log = folder / "sidecar.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "riskstream.workers", "drift"],
            env={**os.environ, **environment, "RISKSTREAM_DRIFT_PORT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - one call into the kernel
        )
    sidecar = Worker("sidecar", log, process)
    try:
        yield sidecar
    finally:
        process.terminate()
        sidecar.wait()


class Reports:
    """The topic of reports from its beginning, committed ones only."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "demo-reports",  # asked for by the client; nothing is stored under it
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        self._consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])

    def __enter__(self) -> "Reports":
        return self

    def __exit__(self, *reason: object) -> None:
        self._consumer.close()

    def read(self, wait_s: float) -> list[DriftReport]:
        """Those of all traffic that came meanwhile."""
        found: list[DriftReport] = []
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0 and not found:
            for message in self._consumer.consume(MOST, min(left, 0.2)):
                if error := message.error():
                    raise KafkaException(error)
                report = decode_report(message.value() or b"")
                if report.segment is None:
                    found.append(report)
        return found
