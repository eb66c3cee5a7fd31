"""A sidecar of a pipeline's own, as a process, and what it published, read with plain clients."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from riskstream.deploy.stack.processes import die_with_parent
from riskstream.schemas.drift import DriftReport, decode_report
from tests.support.pipeline import Pipeline


@dataclass
class Sidecar:
    """`environment` are settings of the sidecar; `process` is the instance that was started last."""

    pipeline: Pipeline
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        client = AdminClient({"bootstrap.servers": self.pipeline.bootstrap, "log_level": 4})
        new = [NewTopic(name, 1, 1, config={"cleanup.policy": "compact"}) for name in self.topics]
        for future in client.create_topics(new).values():
            future.result(20)

    @property
    def topics(self) -> tuple[str, str]:
        return f"reports-{self.pipeline.name}", f"state-{self.pipeline.name}"

    @property
    def group(self) -> str:
        return f"drift-{self.pipeline.name}"

    def start(self, name: str = "sidecar", **environment: str) -> subprocess.Popen[bytes]:
        reports, state = self.topics
        settings = {
            "BOOTSTRAP_SERVERS": self.pipeline.bootstrap,
            "BUNDLE": str(self.pipeline.bundle),
            "SLOT": name,
            "GROUP": self.pipeline.name,
            "INPUT_TOPIC": self.pipeline.topics[0],
            "STATS_TOPIC": self.pipeline.stats_topic,
            "DRIFT_GROUP": self.group,
            "DRIFT_TOPIC": reports,
            "DRIFT_STATE_TOPIC": state,
            "DRIFT_PORT": "0",
            **self.pipeline.environment,
            **self.environment,
            **environment,
        }
        with self.log_path(name).open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "riskstream.workers", "drift"],
                env={**os.environ, **{f"RISKSTREAM_{key}": value for key, value in settings.items()}},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one call into the kernel
            )
        self.started.append(self.process)
        return self.process

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()

    def log_path(self, name: str = "sidecar") -> Path:
        return self.pipeline.logs / f"{self.pipeline.name}-{name}.log"

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def versions(self) -> dict[bytes, list[bytes]]:
        """All committed reports by key, every one that was ever published."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.pipeline.bootstrap,
                "group.id": "reports-reader",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(self.topics[0], 0, 0)])
        found: dict[bytes, list[bytes]] = defaultdict(list)
        while (message := consumer.poll(10)) is not None and not message.error():
            found[message.key() or b""].append(message.value() or b"")
        consumer.close()
        return found

    def reports(self) -> list[DriftReport]:
        """The last of each key, windows in order."""
        last = [decode_report(values[-1]) for values in self.versions().values()]
        return sorted(last, key=lambda report: (report.window_end, report.length_ms, report.segment or ""))

    def wait_for(self, enough: Callable[[list[DriftReport]], bool], timeout_s: float = 40) -> list[DriftReport]:
        deadline = time.monotonic() + timeout_s
        while not enough(reports := self.reports()):
            assert self.process is None or self.process.poll() is None, self.log_path().read_text()[-3_000:]
            assert time.monotonic() < deadline, f"{len(reports)} reports\n{self.log_path().read_text()[-3_000:]}"
            time.sleep(0.3)
        return reports
