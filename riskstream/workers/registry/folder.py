"""The embedded registry's folder: one writer at a time, and the bundles that may run, laid out for workers.

ROOT/bundles/NAME/VERSION/   a bundle that is approved or live; there are no others
"""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from riskstream.models.versions import Label
from riskstream.workers.errors import Unavailable

LOCK, BUNDLES = "lock", "bundles"
PATIENCE_S = 30.0
POLL_S = 0.05


def runnable_path(root: Path, label: Label) -> Path:
    return root / BUNDLES / label.name / label.version


@contextmanager
def locked(root: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Alone with the registry; the system takes the lock back from whoever dies. Raises Unavailable after a while."""
    root.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience_s
    with (root / LOCK).open("a") as file:
        while not _taken(file.fileno()):
            if time.monotonic() >= deadline:
                raise Unavailable(f"registry {root}: in use by another command for {patience_s:g} s; try again")
            time.sleep(POLL_S)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def publish(root: Path, label: Label, bundle: Path) -> None:
    """Let workers find a copy of `bundle`; at once or not at all."""
    path = runnable_path(root, label)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as draft:
        shutil.copytree(bundle, Path(draft, path.name)).rename(path)


def withdraw(root: Path, label: Label) -> None:
    """Workers find it no more. A running one keeps what it has loaded."""
    path = runnable_path(root, label)
    if path.exists():
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as grave:
            path.rename(Path(grave, path.name))
