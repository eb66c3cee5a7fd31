"""The demo's scoring workers: processes started as an operator would start them, by settings in the environment."""

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from riskstream.deploy.stack.processes import die_with_parent

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
LAST_LINES = 20


class WorkerError(Exception):
    """A worker did not do what it should; the message has the end of its log."""


@dataclass
class Worker:
    """One process and its log."""

    slot: str
    log: Path
    process: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raises WorkerError if it runs no more."""
        if (code := self.process.poll()) is not None:
            raise WorkerError(f"{self.slot} ended with exit code {code}.\n{self.last_words}")

    @property
    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([f"The end of the log of {self.slot}:", *(lines or ["(nothing)"])])

    @property
    def partitions(self) -> int:
        """How many it is ready to score; 0 also while it starts."""
        port = self.health_port
        if port is None or _get(port, "/readyz") is None:
            return 0
        found = re.search(r"^riskstream_assigned_partitions (\S+)$", _get(port, "/metrics") or "", re.MULTILINE)
        return int(float(found[1])) if found else 0

    @property
    def health_port(self) -> int | None:
        """Its log names the port once it serves."""
        for line in self.log.read_text(errors="replace").splitlines():
            if '"health_port"' in line:
                return int(json.loads(line)["health_port"])
        return None

    @property
    def page(self) -> str | None:
        """Where a browser finds it, once it serves."""
        port = self.health_port
        return None if port is None else f"http://127.0.0.1:{port}"

    def wait(self) -> None:
        """Until it has ended, as it was told to; by force if it takes too long."""
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Workers:
    """Some workers; `with` ends them. They die with this process, even by kill -9 (Linux)."""

    def __init__(self, slots: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        """`environment` is added to this process's."""
        self._slots = slots
        self._folder = folder
        self._environment = {**os.environ, **environment, "RISKSTREAM_HEALTH_PORT": "0"}
        self._workers: list[Worker] = []

    def __enter__(self) -> Self:
        try:
            for slot in self._slots:
                self._workers.append(self._start(slot))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        self.stop()

    def _start(self, slot: str) -> Worker:
        log = self._folder / f"{slot}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "riskstream.workers", "worker"],
                env={**self._environment, "RISKSTREAM_SLOT": slot},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # a Ctrl-C is for the demo, which ends its workers in order
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one call into the kernel
            )
        return Worker(slot, log, process)

    def wait_until_ready(self, partitions: int) -> None:
        """Until they share so many partitions. Raises WorkerError if one ends, or if it takes too long."""
        deadline = time.monotonic() + READY_WITHIN_S
        while 0 in (owned := [worker.partitions for worker in self._workers]) or sum(owned) != partitions:
            self.check()
            if time.monotonic() > deadline:
                shares = ", ".join(f"{worker.slot} has {n}" for worker, n in zip(self._workers, owned, strict=True))
                late = f"of {partitions} partitions {shares} after {READY_WITHIN_S:.0f} s"
                raise WorkerError(f"the workers are not ready: {late}.\n{self.last_words}")
            time.sleep(0.1)

    def check(self) -> None:
        """Raises WorkerError if one of them runs no more."""
        for worker in self._workers:
            worker.check()

    def stop(self) -> None:
        """End all, at the same time; those that have ended already are left as they are."""
        running = [worker for worker in self._workers if worker.process.poll() is None]
        for worker in running:
            worker.process.terminate()
        for worker in running:
            worker.wait()

    @property
    def problems(self) -> list[str]:
        """Of workers that were stopped: those that did not end well."""
        ended = [(worker.slot, worker.process.poll()) for worker in self._workers]
        return [f"worker {slot} ended with exit code {code}" for slot, code in ended if code]

    @property
    def last_words(self) -> str:
        return "\n".join(worker.last_words for worker in self._workers)

    def cpu_seconds(self) -> float:
        """Of all of them, since they started."""
        times = [psutil.Process(worker.process.pid).cpu_times() for worker in self._workers]
        return float(sum(each.user + each.system for each in times))

    def memory_mib(self) -> list[float]:
        return [psutil.Process(worker.process.pid).memory_info().rss / 2**20 for worker in self._workers]


def _get(port: int, path: str) -> str | None:
    """The page, None unless all is well."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
