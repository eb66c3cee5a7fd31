"""`make mutants`: each mutation in a copy of the tree, and the verdict of the named fault that must notice it.

Ends with 1 if a mutant survives, or if a named fault fails without one.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from riskstream.deploy.stack.local import temporary_folder
from tests.faults.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
COUNTS = re.compile(r"\b(?:lost|doubled|reordered|torn|differing)=[1-9]\d*")
FAILED = re.compile(r"^E +(?:\w+: )?(.{1,60})", re.MULTILINE)
LIMIT_S = 420


class Run(NamedTuple):
    """What a test said. `verdict`: the judge's counts that are not zero, else the beginning of its failure."""

    passed: bool
    verdict: str


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutations whose mechanism contains one of these; unset: all")
    words = parser.parse_args(arguments).words
    chosen = [each for each in MUTATIONS if not words or any(word in each.mechanism for word in words)]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    console, table = Console(width=160), Table("mechanism taken out", "named fault", "verdict", box=None)
    survived = 0
    with temporary_folder() as folder, _copy(folder) as tree:
        console.print(f"first {len({each.caught_by for each in chosen})} faults with every mechanism in place ...")
        whole = run(tree, sorted({each.caught_by for each in chosen}))
        if not whole.passed:
            console.print(f"they fail by themselves: {whole.verdict}")
            return 1
        for number, mutation in enumerate(chosen, 1):
            console.print(f"{number} of {len(chosen)}: {mutation.mechanism} ...")
            with mutated(tree, mutation):
                told = run(tree, [mutation.caught_by])
            survived += told.passed
            table.add_row(mutation.mechanism, mutation.caught_by, "SURVIVED" if told.passed else told.verdict)
    console.print(table)
    console.print(f"mutants: {len(chosen)} caught={len(chosen) - survived} survived={survived}")
    return 1 if survived else 0


@contextmanager
def _copy(folder: Path) -> Iterator[Path]:
    tree = folder / "tree"
    for name in ("riskstream", "tests"):
        shutil.copytree(ROOT / name, tree / name)
    shutil.copy2(ROOT / "pyproject.toml", tree)
    yield tree


@contextmanager
def mutated(tree: Path, mutation: Mutation) -> Iterator[None]:
    """The tree with the mutation in it. ValueError if the text is not there exactly once."""
    file = tree / mutation.file
    before = file.read_text()
    if before.count(mutation.old) != 1:
        raise ValueError(f"{mutation.mechanism}: stands {before.count(mutation.old)} times in {mutation.file}")
    file.write_text(before.replace(mutation.old, mutation.new))
    try:
        yield
    finally:
        file.write_text(before)


def run(tree: Path, tests: Sequence[str]) -> Run:
    """Run these tests of a tree, each by its node below tests/faults."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tree / "temporary")]
    nodes = [f"tests/faults/{test}" for test in tests]
    try:
        done = subprocess.run(
            [*command, *nodes], cwd=tree, capture_output=True, text=True, timeout=LIMIT_S * len(tests), check=False
        )
    except subprocess.TimeoutExpired:
        return Run(False, f"not over after {LIMIT_S} s")
    if done.returncode > 1:
        raise RuntimeError(f"these tests cannot be run: {tests}\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}")
    first = done.stdout.partition("AssertionError: ")[2].partition("\n")[0]
    found = COUNTS.findall(first) or FAILED.findall(done.stdout)[:1]
    return Run(done.returncode == 0, " ".join(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
