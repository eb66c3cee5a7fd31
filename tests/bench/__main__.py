"""`make bench`: measure and print, the default; `compare`: two results; `table`: a result as Markdown."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from riskstream.deploy.demo.model import ready_bundle
from riskstream.deploy.stack import temporary_stack
from riskstream.deploy.stack.local import HOME, temporary_folder
from riskstream.models.domain import load_domain
from tests.bench import aims, plan
from tests.bench.bundles import with_fewer_trees
from tests.bench.notes import notes
from tests.bench.pictures import draw
from tests.bench.results import FOLDER, ROOT, Result, Row, compare, file_name, load, save, this_machine
from tests.bench.tables import differences, tables, verdicts
from tests.bench.world import TREES, World

PREFIX = "RISKSTREAM_"
COMMANDS = ("run", "compare", "table", "figures")


def main(arguments: list[str]) -> int:
    given = _parse(arguments if arguments[:1] and arguments[0] in COMMANDS else ["run", *arguments])
    if given.command == "compare":
        return _say(differences(list(compare(load(given.before), load(given.after)))))
    if given.command == "table":
        return _say(report(load(given.result)))
    if given.command == "figures":
        return publish(load(given.result), ROOT)
    return run(given.quick, dict(given.set), given.only)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("run", help="measure")
    measure.add_argument("--quick", action="store_true", help="the main figures only, in less than a minute")
    measure.add_argument("--only", action="append", default=[], help="these measurements alone, by name")
    measure.add_argument("--set", action="append", default=[], type=_setting, metavar="NAME=VALUE",
                         help="a worker setting to measure with")  # fmt: skip
    two = commands.add_parser("compare", help="two results: before and after")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    commands.add_parser("table", help="a result as Markdown").add_argument("result", type=Path)
    commands.add_parser(
        "figures", help="the same with pictures into docs/performance.md, its sum into the README"
    ).add_argument("result", type=Path)
    return parser.parse_args(arguments)


def _setting(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.upper().removeprefix(PREFIX), value


def run(quick: bool, wanted: dict[str, str], only: list[str]) -> int:
    """Measure, print tables as they come, keep the result, end with the headline."""
    started, load_before = time.time(), os.getloadavg()
    rows: list[Row] = []
    with _world(wanted, optimised=not quick) as world:
        for measurement in plan.QUICK if quick else plan.WHOLE:
            if not only or measurement.__name__ in only:
                _measure(measurement, world, rows)
    result = Result(
        started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        seconds=round(time.time() - started, 1),
        quick=quick,
        settings=wanted,
        machine=this_machine(),
        load_before=load_before,
        load_after=os.getloadavg(),
        headline=aims.headline(rows),
        rows=rows,
    )
    path = FOLDER / file_name(time.localtime(started), quick)
    save(result, path)
    _say(report(result))
    print(f"kept in {path.relative_to(ROOT)}, {result.seconds:.0f} s")  # noqa: T201
    print("bench: " + " ".join(f"{name}={value:.2f}" for name, value in result.headline.items()))  # noqa: T201
    return 1 if any(row.section == "failed" for row in rows) else 0


@contextmanager
def _world(wanted: dict[str, str], *, optimised: bool) -> Iterator[World]:
    """`optimised`: a broker as in production, which takes a minute or two to become one."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]  # the settings of the shell are for other workers
    domain = load_domain("riskstream.models.payment")
    whole = ready_bundle(HOME / "bundles", Console(stderr=True))
    with temporary_folder() as folder, temporary_stack(optimised=optimised) as stack:
        cut = {
            trees: with_fewer_trees(whole, trees, folder / f"{trees}-trees", domain)
            for trees in (plan.FEWEST, plan.FEWER)
        }
        yield World(stack, folder, domain, {TREES: whole, **cut}, wanted)


def _measure(measurement: plan.Measurement, world: World, rows: list[Row]) -> None:
    """Adds its rows. What fails is named, and the rest goes on: a long run should not be lost."""
    started, before = time.monotonic(), len(rows)
    try:
        rows.extend(measurement(world, rows))
    except Exception as error:
        rows.append(
            Row(
                "failed",
                {"measurement": measurement.__name__, "why": f"{type(error).__name__}: {error}".splitlines()[0]},
                {},
            )
        )
    took = f"{measurement.__name__}: {len(rows) - before} rows in {time.monotonic() - started:.0f} s"
    print(took, file=sys.stderr, flush=True)  # noqa: T201


def report(result: Result) -> Iterator[str]:
    """Every table, the aims, and where and when it was."""
    yield from tables(result)
    yield from verdicts(list(aims.aims(result.rows)))
    machine = result.machine
    loads = [f"{load[0]:.1f}" for load in (result.load_before, result.load_after)]
    yield f"\n{result.started_at}, revision {machine.commit}; {machine.cores} cores of {machine.processor},"
    yield f"{machine.memory_gib:.0f} GiB; load average {loads[0]} before, {loads[1]} after; Python {machine.python},"
    yield ", ".join(f"{name} {version}" for name, version in machine.libraries.items())


def publish(result: Result, root: Path) -> int:
    """Put the report and pictures of it into docs/performance.md, and the notes into the README, between the marks."""
    page = root / "docs" / "performance.md"
    images = [f"![{path.stem}]({page.stem}/{path.name})" for path in draw(result.rows, page.parent / page.stem)]
    _replace(page, [*images, *report(result), ""])
    _replace(root / "README.md", list(notes(result)))
    return 0


def _replace(page: Path, lines: list[str]) -> None:
    begin, end = "<!-- figures -->", "<!-- end of figures -->"
    text = page.read_text()
    before, after = text[: text.index(begin)], text[text.index(end) :]
    page.write_text(before + "\n".join([begin, *lines]) + "\n" + after)


def _say(lines: Iterator[str]) -> int:
    for line in lines:
        print(line, flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
