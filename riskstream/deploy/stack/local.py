"""The local stack as a whole: one Kafka broker and one Redis below one data folder."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from riskstream.deploy.stack.kafka import Broker
from riskstream.deploy.stack.redis import RedisServer

# Of this checkout: two checkouts share nothing.
HOME = Path(__file__).parents[3] / ".riskstream"


class LocalStack:
    """`with LocalStack(folder) as stack:` runs both servers. None is left after it, nor after a death of this process.

    What they have stored stays in the folder for the next start (Redis: with `append_only`). `optimised`: see Broker.
    """

    def __init__(
        self, data_dir: Path, *, daemon: bool = False, append_only: bool = False, optimised: bool = False
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.broker = Broker(self.data_dir / "kafka", daemon=daemon, optimised=optimised)
        self.redis = RedisServer(self.data_dir / "redis", daemon=daemon, append_only=append_only)

    @property
    def bootstrap_servers(self) -> str:
        return self.broker.bootstrap_servers

    @property
    def redis_url(self) -> str:
        return self.redis.url

    @property
    def environment(self) -> dict[str, str]:
        """The settings with which a worker finds this stack."""
        return {
            "RISKSTREAM_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "RISKSTREAM_REDIS_URL": self.redis_url,
        }

    def find(self) -> bool:
        """Take over the servers that an earlier starter left; True if both run."""
        return all([self.redis.find(), self.broker.find()])

    @property
    def any_running(self) -> bool:
        return self.redis.running or self.broker.running

    def start(self) -> None:
        """Start what does not run yet and wait until it answers. If that fails, none of it is left."""
        with ExitStack() as on_failure:
            for server in (self.redis, self.broker):
                if not server.running:
                    on_failure.callback(server.stop)
                    server.start()
            on_failure.pop_all()

    def stop(self) -> None:
        """End both in order."""
        self.broker.stop()
        self.redis.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self.stop()

    def kill(self) -> None:
        """End both at once, for data that nobody needs any more."""
        self.broker.kill()
        self.redis.kill()


@contextmanager
def temporary_folder(home: Path = HOME) -> Iterator[Path]:
    """A folder for the data of this run, deleted after it. What killed runs left behind is deleted too."""
    runs = home / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with _locked(runs, fcntl.LOCK_EX):  # nobody may take our folder for a left one before we hold it
            _delete_left_behind(runs)
            folder = Path(tempfile.mkdtemp(dir=runs))
            held.enter_context(_locked(folder))
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def _delete_left_behind(runs: Path) -> None:
    for old in runs.iterdir():
        with _locked(old) as free:
            if free:
                shutil.rmtree(old, ignore_errors=True)


@contextmanager
def temporary_stack(home: Path = HOME, *, optimised: bool = False) -> Iterator[LocalStack]:
    """A fresh stack whose data is deleted after it. Any number may run at once. `optimised`: see Broker."""
    with temporary_folder(home) as folder:
        stack = LocalStack(folder, optimised=optimised)
        try:
            stack.start()
            yield stack
        finally:
            stack.kill()


@contextmanager
def _locked(folder: Path, how: int = fcntl.LOCK_EX | fcntl.LOCK_NB) -> Iterator[bool]:
    """Whether the lock on the folder could be had; it is held inside, and the kernel drops it when we die."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
