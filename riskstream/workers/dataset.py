"""From files to a data set, with a bar to watch; and what came of it, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from riskstream.models.domain import Domain
from riskstream.schemas.decode import Rules

if TYPE_CHECKING:
    from riskstream.models.dataset.labels import SplitPlan
    from riskstream.models.dataset.manifest import Dataset


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
    for name, value in {
        "events": f"{made.rows:,} from {_day(made.from_ms)} to {_day(made.until_ms)}, and {made.repeats:,} repeats",
        "rejected": f"{made.rejected:,}, see rejected.parquet" if made.rejected else "none",
        "parts": parts,
        "cuts": f"by {made.cuts.by}: train {_day(made.cuts.train)}, calibration {_day(made.cuts.calibration)}",
        "labels": f"{made.labels.kind}: {', '.join(made.labels.classes)}; mature after {days:.1f} days",
        "label delay": f"days: {delays}" if delays else "no label says more than the first class",
        "features": f"{len(made.features)}, feature set {made.feature_set}",
        "fingerprint": made.fingerprint[:16],
        "next": f"riskstream check {out}",
    }.items():
        table.add_row(name, value)
    return table


def _day(epoch_ms: int) -> str:
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%d}"
