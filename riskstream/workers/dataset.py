"""Data sets on the command line: made from files with a bar to watch, checked, and what came of it in words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from riskstream.models.domain import Domain
from riskstream.schemas.decode import Rules
from riskstream.workers.exits import CHECK_FAILED, OK

if TYPE_CHECKING:
    from riskstream.models.dataset.checks.finding import Subject
    from riskstream.models.dataset.labels import SplitPlan
    from riskstream.models.dataset.manifest import Dataset


STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red"}


@dataclass(frozen=True)
class Sources:
    """The files a data set is made of. Without labels they lie beside the events."""

    events: Sequence[Path]
    labels: Sequence[Path]
    profiles: Sequence[Path]
    mapping: Path | None


def make_dataset(domain: Domain, rules: Rules, sources: Sources, plan: "SplitPlan", out: Path) -> "Dataset":
    """Raises DatasetError, which says which file, key or column is wrong."""
    from riskstream.models.dataset.build import Ingredients, build
    from riskstream.models.dataset.ingest import Ingest, read_profiles
    from riskstream.models.dataset.label_files import LabelReader
    from riskstream.models.dataset.manifest import unused
    from riskstream.models.dataset.mapping import as_dict, read_mapping
    from riskstream.models.dataset.sources import files

    unused(out)
    mapping = read_mapping(sources.mapping, domain.event)
    reader = LabelReader(mapping.labels)
    ingest = Ingest(domain, rules, mapping, None if sources.labels else reader)
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns) as progress:
        reading = progress.add_task("read events", total=None)
        for path in files(sources.events):
            ingest.read(path, lambda count: progress.advance(reading, count))
        log, rejected = ingest.finish()
        for path in files(sources.labels):
            reader.read(path)
        table = reader.table(log.facts.columns["event_hash"], log.facts.event_time)
        snapshots = read_profiles(files(sources.profiles), domain)
        given = Ingredients(log, mapping.labels.labels, table, snapshots, rejected, as_dict(mapping))
        progress.update(reading, total=len(log) + rejected.num_rows)
        measuring = progress.add_task("measure features", total=len(log))
        return build(domain, given, plan, out, lambda count: progress.advance(measuring, count))


def summary(made: "Dataset", out: Path) -> Table:
    """What is in the data set, and what to look at next."""
    table = Table(title=f"Data set {out}", title_justify="left", show_header=False)
    parts = ", ".join(f"{name} {rows:,}" for name, rows in made.split_rows.items())
    delays = ", ".join(f"{name} {days:.1f}" for name, days in made.label_delay_days.items())
    days = made.cuts.gap_ms / 86_400_000
    lost = f"; {made.labels_without_event:,} are of no event: compare the ids" if made.labels_without_event else ""
    for name, value in {
        "events": f"{made.rows:,} from {_day(made.from_ms)} to {_day(made.until_ms)}, and {made.repeats:,} repeats",
        "rejected": f"{made.rejected:,}, see rejected.parquet" if made.rejected else "none",
        "parts": parts,
        "cuts": f"by {made.cuts.by}: train {_day(made.cuts.train)}, calibration {_day(made.cuts.calibration)}",
        "labels": f"{made.labels.kind}: {', '.join(made.labels.classes)}; mature after {days:.1f} days{lost}",
        "label delay": f"days: {delays}" if delays else "no label says more than the first class",
        "features": f"{len(made.features)}, feature set {made.feature_set}",
        "fingerprint": made.fingerprint[:16],
        "next": f"riskstream check {out}",
    }.items():
        table.add_row(name, value)
    return table


def _day(epoch_ms: int) -> str:
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%d}"


def check_dataset(subject: "Subject", out: Path | None, console: Console) -> int:
    """Print the findings, write them to the page `out`, and answer the exit code: 1 if a check fails."""
    from riskstream.models.dataset.checks.page import page
    from riskstream.models.dataset.checks.run import CHECKS, overall, run
    from riskstream.models.dataset.manifest import DatasetError

    results = []
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()) as progress:
        checking = progress.add_task("check", total=len(CHECKS))
        for result in run(subject):
            results.append(result)
            progress.advance(checking)
    table = Table(title=f"Checks of {subject.path}", title_justify="left")
    for header in ("", "check", "found"):
        table.add_column(header, overflow="fold")
    for check, finding in results:
        advice = f"\n[dim]{escape(finding.advice)}[/dim]" if finding.advice and finding.verdict != "pass" else ""
        table.add_row(f"[{STYLES[finding.verdict]}]{finding.verdict}", check.name, escape(finding.said) + advice)
    console.print(table)
    if out:
        try:
            out.write_text(page(subject.path.name, subject.manifest, results), encoding="utf-8")
        except OSError as error:
            raise DatasetError(f"{out}: {error.strerror}; choose another page with --out") from error
        console.print(f"the evidence is in {out}", markup=False)
    counts = Counter(finding.verdict for _, finding in results)
    said = " ".join(f"{verdict}={counts[verdict]}" for verdict in ("pass", "warn", "fail"))
    console.print(f"check: {said} verdict={overall(results)}")
    return CHECK_FAILED if counts["fail"] else OK
