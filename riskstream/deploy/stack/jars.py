"""Kafka's jars: fetched once by Maven coordinates, checked against hashes, kept in the user's cache.

`jars.lock` beside this file names each jar and its SHA-256. The cache may be shared by checkouts: a jar appears in it
under its final name only when it is whole and right.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track

from riskstream.deploy.stack.processes import StackError

KAFKA_VERSION = "4.3.1"
ROOTS = (("org.apache.kafka", "kafka_2.13", KAFKA_VERSION), ("org.slf4j", "slf4j-simple", "1.7.36"))
LOCK = Path(__file__).with_name("jars.lock")


class Jar(NamedTuple):
    """A line of the lock: the Maven coordinates of a jar and the hash of its bytes."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def class_path() -> list[Path]:
    """The jars of a Kafka broker in the cache; those that are missing are fetched first, with progress on stderr."""
    cache = cache_dir()
    jars = list(locked_jars())
    missing = [jar for jar in jars if not (cache / jar.file_name).exists()]
    if missing:
        fetch(missing, cache)
    return [cache / jar.file_name for jar in jars]


def cache_dir() -> Path:
    """Where the jars are kept, for all checkouts of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "riskstream" / "jars"


def locked_jars() -> Iterator[Jar]:
    for line in LOCK.read_text().splitlines():
        if line and not line.startswith("#"):
            coordinates, sha256 = line.split()
            group, artifact, version = coordinates.split(":")
            yield Jar(group, artifact, version, sha256)


def fetch(jars: list[Jar], cache: Path) -> None:
    """Bring the jars into the cache. Raises StackError when the network or a hash says no; a later try goes on."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StackError(f"cannot keep Kafka's jars in {cache}: {error}. Point XDG_CACHE_HOME elsewhere") from error
    console = Console(file=sys.stderr)
    console.print(f"Fetching Kafka {KAFKA_VERSION}, {len(jars)} jars, once: they stay in {cache}")
    with tempfile.TemporaryDirectory(dir=cache) as partial, ThreadPoolExecutor(6) as pool:
        done = pool.map(lambda jar: _fetch_one(jar, Path(partial), cache), jars)
        for _ in track(done, total=len(jars), description="Kafka's jars", console=console):
            pass


def _fetch_one(jar: Jar, partial: Path, cache: Path) -> None:
    from jgo.maven import MavenContext

    try:
        project = MavenContext(repo_cache=partial, timeout=60).project(jar.group, jar.artifact)
        file = project.at_version(jar.version).artifact().resolve()
    except Exception as error:
        raise StackError(
            f"could not fetch {jar.file_name} from Maven Central: {error}. Check the network (and HTTPS_PROXY) and try "
            "again; what has been fetched is kept"
        ) from error
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise StackError(f"{jar.file_name} has SHA-256 {found}, but {LOCK.name} says {jar.sha256}: not used")
    file.replace(cache / jar.file_name)


def lock() -> None:
    """Resolve ROOTS anew and write the lock; for those who change KAFKA_VERSION."""
    from jgo.maven import MavenContext
    from jgo.parse import Coordinate

    with tempfile.TemporaryDirectory() as partial:
        context = MavenContext(repo_cache=Path(partial), timeout=60)
        roots = [context.create_dependency(Coordinate(*root, scope="compile")) for root in ROOTS]
        named, needed = context.resolver.resolve(roots)
        artifacts = [each.artifact for each in [*named, *needed] if each.scope in ("compile", "runtime")]
        lines = sorted(
            f"{a.groupId}:{a.artifactId}:{a.version} {hashlib.sha256(a.resolve().read_bytes()).hexdigest()}"
            for a in artifacts
        )
    LOCK.write_text("\n".join(["# Written by `python -m riskstream.deploy.stack lock`.", *lines, ""]))
