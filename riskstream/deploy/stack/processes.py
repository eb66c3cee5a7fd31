"""One local server process: how it is started, found again, paused, killed and ended, and when it dies by itself."""

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
# Below the range from which systems take the ports of outgoing connections: a server that is down for a moment
# can then not lose its port to a client, nor a client that tries to reconnect be connected to itself.
_PORTS = range(20_000, 32_000)


class StackError(Exception):
    """The local stack cannot do what was asked; the message says why and what to do next."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StackError("found no free port on 127.0.0.1 between 20000 and 32000: end some servers and try again")


class Server(ABC):
    """A server that listens on 127.0.0.1 and keeps its data, log and pid file in one folder.

    With `daemon=False` it dies together with the thread that started it, even by kill -9 (Linux; elsewhere only
    `stop` ends it), so start it from the main thread. With `daemon=True` it stays until `stop`.
    """

    name: str
    program: str  # what the system calls its process
    start_timeout = 60.0
    stop_timeout = 20.0

    def __init__(self, data_dir: Path, *, daemon: bool = False) -> None:
        self.data_dir = data_dir.absolute()
        self.daemon = daemon
        self._process: psutil.Process | None = None
        self._child: subprocess.Popen[bytes] | None = None  # the same process, when we are who started it

    @abstractmethod
    def _prepare(self) -> list[str]:
        """Write what the server needs into the data folder and return its command line."""

    @abstractmethod
    def _is_ready(self, log: str) -> bool:
        """Whether the server answers; `log` is what it has written since this start."""

    @property
    @abstractmethod
    def port(self) -> int:
        """The port for clients, the same over restarts."""

    @property
    def log_file(self) -> Path:
        return self.data_dir / f"{self.name}.log"

    @property
    def pid(self) -> int:
        return int(self._alive().pid)

    @property
    def running(self) -> bool:
        """Whether the process exists (a paused one does)."""
        return self._process is not None and is_alive(self._process)

    def start(self) -> None:
        """Start and wait until the server answers. Raises StackError with the end of the log if it does not."""
        if self.running or self.find():
            raise StackError(f"{self.name} of {self.data_dir} runs already as process {self.pid}")
        self._forget()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = self._prepare()
        with self.log_file.open("ab") as log:
            start_of_log = log.tell()
            self._child = subprocess.Popen(
                command,
                cwd=self.data_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the starter, which ends its servers in order
                preexec_fn=None if self.daemon else die_with_parent(),  # noqa: PLW1509 - one call into the kernel
            )
        self._process = psutil.Process(self._child.pid)
        self._pid_file.write_text(str(self._child.pid))
        try:
            self._wait_until_ready(start_of_log)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it in order, by force if it takes too long. Does nothing when it does not run."""
        if self._process is not None and is_alive(self._process):
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(self.stop_timeout)
            except psutil.TimeoutExpired:
                self._process.kill()
        self._forget()

    def kill(self) -> None:
        """SIGKILL: no goodbye, nothing flushed. Returns when the process is gone."""
        if self._process is not None and is_alive(self._process):
            self._process.kill()
        self._forget()

    def pause(self) -> None:
        """SIGSTOP: the process keeps its connections and answers nobody until `resume`."""
        self._alive().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self._alive().send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop if it runs, then start again with the same port and data."""
        self.stop()
        self.start()

    def find(self) -> bool:
        """Take over the process that an earlier starter left running; False if there is none.

        The pid file alone proves nothing, its number may be a stranger's by now: ours is the program and works here.
        """
        try:
            process = psutil.Process(int(self._pid_file.read_text()))
            ours = process.name() == self.program and Path(process.cwd()) == self.data_dir.resolve()
        except (OSError, ValueError, psutil.Error):
            return False
        if ours and is_alive(process):
            self._process = process
            return True
        return False

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / f"{self.name}.pid"

    def _alive(self) -> psutil.Process:
        if self._process is None or not is_alive(self._process):
            raise StackError(f"{self.name} of {self.data_dir} does not run; its log is {self.log_file}")
        return self._process

    def _forget(self) -> None:
        if self._process is not None:
            self._process.wait()
        if self._child is not None:
            self._child.wait()
        self._process = self._child = None
        self._pid_file.unlink(missing_ok=True)

    def _wait_until_ready(self, start_of_log: int) -> None:
        deadline = time.monotonic() + self.start_timeout
        while not self._is_ready(self._log_since(start_of_log)):
            late = time.monotonic() > deadline
            if late or not self.running:
                failure = f"was not ready in {self.start_timeout:.0f} s" if late else "ended while starting"
                last_words = self._log_since(start_of_log).splitlines()[-15:]
                raise StackError("\n".join([f"{self.name} {failure}. The end of {self.log_file}:", *last_words]))
            time.sleep(0.05)

    def _log_since(self, start: int) -> str:
        with self.log_file.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")


def is_alive(process: psutil.Process) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def die_with_parent() -> Callable[[], None] | None:
    """What a child does before it becomes the server: ask the kernel for SIGKILL at its parent's death."""
    if _LIBC is None:
        return None
    prctl, parent = _LIBC.prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the request: no signal will come
            os._exit(1)

    return ask
