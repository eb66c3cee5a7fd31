"""What a run found: rows of numbers, the machine they were found on, and how two runs compare."""

import os
import platform
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

LIBRARIES = ("confluent-kafka", "redis", "hiredis", "onnxruntime", "numpy", "numba", "msgspec", "xxhash")
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".riskstream" / "bench"

Label = str | int | float


class Row(msgspec.Struct, frozen=True):
    """One measurement: in which section, of what, and what was found. Units are in the names of what was found."""

    section: str
    of: dict[str, Label]
    found: dict[str, float]


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with what it ran."""

    processor: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    libraries: dict[str, str]
    commit: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A run. Load averages are of one, five and fifteen minutes, before and after: others' work beside ours shows."""

    started_at: str
    seconds: float
    quick: bool
    settings: dict[str, str]
    machine: Machine
    load_before: tuple[float, ...]
    load_after: tuple[float, ...]
    headline: dict[str, float]
    rows: list[Row]


class Difference(NamedTuple):
    """One number in two results; `ratio` is the second over the first."""

    section: str
    of: str
    what: str
    before: float
    after: float

    @property
    def ratio(self) -> float:
        return self.after / self.before if self.before else float("nan")


def this_machine() -> Machine:
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        kernel=platform.release(),
        python=platform.python_version(),
        libraries={name: version(name) for name in LIBRARIES},
        commit=_commit(),
    )


def save(result: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result, enc_hook=float), indent=1))


def load(path: Path) -> Result:
    """Raises msgspec.DecodeError for what is no result, OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Result)


def file_name(started: time.struct_time, quick: bool) -> str:
    return time.strftime("%Y%m%d-%H%M%S", started) + ("-quick" if quick else "") + ".json"


def compare(before: Result, after: Result) -> Iterator[Difference]:
    """Every number that both have, the headline first."""
    for what in before.headline:
        if what in after.headline:
            yield Difference("headline", "", what, before.headline[what], after.headline[what])
    known = {_key(row): row for row in before.rows}
    for row in after.rows:
        earlier = known.get(_key(row))
        for what in row.found if earlier else ():
            if earlier and what in earlier.found:
                yield Difference(row.section, shown(row.of), what, earlier.found[what], row.found[what])


def shown(of: dict[str, Label]) -> str:
    return " ".join(f"{name}={label}" for name, label in of.items())


def _key(row: Row) -> tuple[str, str]:
    return row.section, shown(dict(sorted(row.of.items())))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    """The revision that was measured, `+` for changes beside it; empty outside of a checkout."""
    told = [
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
        for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "riskstream"])
    ]
    return told[0] + ("+" if told[1] else "")
