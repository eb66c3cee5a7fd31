"""The demo's sidecar: a process started as an operator would start it, and its reports as any reader has them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from riskstream.deploy.demo.workers import Worker
from riskstream.deploy.stack.processes import die_with_parent
from riskstream.schemas.drift import DriftReport, decode_report

MOST = 500  # reports at once
DAY_MS = 86_400_000
LATENESS_MS = 7_200_000
BY_DAY = {
    "RISKSTREAM_STATS_SEGMENT": "channel",
    "RISKSTREAM_STATS_SLOT_S": "3600",
    "RISKSTREAM_DRIFT_WINDOWS": "1d",
    "RISKSTREAM_DRIFT_LATENESS_S": str(LATENESS_MS // 1000),
}
"""For workers and sidecar: in the demo a month of event time runs by in seconds."""


@dataclass(frozen=True)
class Watched:
    """What the sidecar reported of all traffic, oldest window first, and what was scored in these windows' time."""

    reports: Sequence[DriftReport]
    scored: int

    @property
    def events(self) -> int:
        return sum(report.events for report in self.reports)

    @property
    def problems(self) -> list[str]:
        """Windows that do not hold the scored events. Fewer are well if the reports say that so many were not seen."""
        unseen = sum(report.unseen for report in self.reports)
        if self.scored - unseen <= self.events <= self.scored:
            return []
        return [f"the sidecar's windows hold {self.events} events, and {self.scored} were scored in their time"]


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

    def up_to(self, end_ms: int, wait_s: float) -> list[DriftReport]:
        """Those of all traffic, oldest window first, once they reach this event time; after `wait_s` what there is."""
        found: dict[int, DriftReport] = {}
        until = time.monotonic() + wait_s
        while max(found, default=0) < end_ms and (left := until - time.monotonic()) > 0:
            found |= {report.window_end: report for report in self.read(min(left, 0.5))}
        return [report for _, report in sorted(found.items())]
