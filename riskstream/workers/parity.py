"""`riskstream parity`: scores that were served, held against the log that they are of."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from xxhash import xxh3_64_intdigest

from riskstream.models.domain import Domain
from riskstream.workers.exits import CHECK_FAILED, OK

if TYPE_CHECKING:
    from riskstream.models.dataset.parity import Parity, Scored

BATCH = 65_536
SHOWN = 6


class _Score(msgspec.Struct):
    """What is needed of a risk score."""

    event_id: str
    vector: str
    degraded: tuple[str, ...] = ()


def lines_of(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            yield from file


def scored(values: Iterable[bytes]) -> "Scored":
    """The scores in values as they are on the output topic. Raises DatasetError for what is none."""
    from riskstream.models.dataset.manifest import DatasetError
    from riskstream.models.dataset.parity import Scored

    decode = msgspec.json.Decoder(_Score).decode
    hashes, vectors, degraded = [np.empty(0, np.uint64)], list[str](), list[bool]()
    source = iter(values)
    while batch := list(islice(source, BATCH)):
        try:
            found = [decode(value) for value in batch]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DatasetError(f"not a risk score, one JSON object on a line: {error}") from error
        hashes.append(np.array([xxh3_64_intdigest(score.event_id.encode()) for score in found], np.uint64))
        vectors += [score.vector for score in found]
        degraded += [bool(score.degraded) for score in found]
    return Scored(np.concatenate(hashes).view(np.int64), vectors, np.array(degraded, bool))


def check_parity(path: Path, domain: Domain, scores: "Scored", console: Console) -> int:
    """Compare, print, and answer the exit code: 1 if a score is not of the vector that the log gives."""
    from riskstream.models.dataset.manifest import DatasetError, read_manifest
    from riskstream.models.dataset.parity import compare
    from riskstream.models.dataset.tables import read_facts, read_snapshots

    if read_manifest(path).feature_set != domain.features.id:
        raise DatasetError(f"data set {path}: made for another feature table; make it again with: riskstream dataset")
    facts = read_facts(path)
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()) as progress:
        measuring = progress.add_task("measure features", total=len(facts))
        found = compare(
            domain, facts, read_snapshots(path, domain), scores, lambda count: progress.advance(measuring, count)
        )
    console.print(f"{found.agree:,} of {found.scores:,} scores were made of the vectors that the log gives")
    if found.causes:
        console.print(parity_table(found))
    said = f"scores={found.scores} agree={found.agree} differ={found.differ} degraded={found.degraded}"
    console.print(f"parity: {said} unknown={found.unknown} unscored={found.unscored}")
    return OK if found.holds else CHECK_FAILED


def parity_table(found: "Parity") -> Table:
    """What is wrong with the events that were examined, and in which features."""
    table = Table("what explains the others", "events", "features that it changed")
    for cause in found.causes:
        shown = [f"{name} ({count:,})" for name, count in cause.features[:SHOWN]]
        more = len(cause.features) - len(shown)
        table.add_row(cause.fault, f"{cause.events:,}", ", ".join(shown) + (f" and {more} more" if more > 0 else ""))
    return table
