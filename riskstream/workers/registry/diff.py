"""`riskstream model diff`: two bundles side by side, by what they say of themselves and of the events of a data set."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from riskstream.models.bundle import MANIFEST, Bundle, BundleError, Manifest, load_bundle
from riskstream.models.dataset.manifest import EXAMPLES, FEATURE, Dataset, DatasetError, read_manifest
from riskstream.models.model_diff import Comparison, Events, Judged, manifest_differences
from riskstream.models.policy import DECISIONS
from riskstream.models.scorer import Scorer
from riskstream.models.versions import difference, parse_label
from riskstream.workers.registry.operations import Registry, downloaded

CHUNK = 65_536


class OwnFeatures(NamedTuple):
    """A bundle's own word on its features: two of other releases may be compared too."""

    names: tuple[str, ...]
    id: str


def bundle_named(text: str, opened: Callable[[], Registry]) -> Bundle:
    """The bundle in a directory, or NAME@VERSION in the registry, which is opened only then."""
    label = parse_label(text)
    if label is None:
        return _load(Path(text))
    with downloaded(opened(), label) as (_, path):
        return _load(path)


def _load(path: Path) -> Bundle:
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise BundleError(f"bundle {path}: {MANIFEST}: {error}") from error
    return load_bundle(path, OwnFeatures(manifest.features, manifest.feature_set))


def read_events(path: Path, split: str) -> Events:
    """The part `split` of a data set, as models see it. Raises DatasetError."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    dataset = read_manifest(path)
    columns = [*dataset.columns, *dataset.labels.columns, "user"]
    table = pq.read_table(path / EXAMPLES, columns=columns, filters=pc.field("split") == split)
    if not len(table):
        raise DatasetError(f"data set {path}: no rows of {split}; it has {dataset.split_rows}")
    features = np.empty((len(table), len(dataset.features)), np.float32)
    for index, name in enumerate(dataset.features):
        features[:, index] = table[FEATURE + name].to_numpy()
    labels = np.stack([table[name].to_numpy() for name in dataset.labels.columns], axis=1)
    return Events(dataset.features, features, _risky(labels), table["user"].to_numpy())


def _risky(labels: NDArray[np.integer]) -> NDArray[np.int8]:
    """1 if any label is another than the first class or 0, -1 if it is unknown."""
    return np.where((labels > 0).any(axis=1), 1, np.where((labels < 0).any(axis=1), -1, 0)).astype(np.int8)


def check_same_features(path: Path, bundle: Bundle) -> None:
    dataset: Dataset = read_manifest(path)
    if bundle.manifest.feature_set != dataset.feature_set:
        what = f"feature set {dataset.feature_set}, but {bundle.label} was made for {bundle.manifest.feature_set}"
        raise DatasetError(f"data set {path}: {what}; make a data set with the release of that bundle")


def judged(bundle: Bundle, events: Events, advance: Callable[[float], None]) -> Judged:
    """Scores in chunks, so that memory is that of the events."""
    scorer, total = Scorer(bundle), len(events.features)
    scores = np.empty(total)
    for start in range(0, total, CHUNK):
        part = slice(start, start + CHUNK)
        scores[part] = scorer(events.features[part])
        advance(min(1.0, (start + CHUNK) / total))
    return Judged(scores, bundle.manifest.thresholds)


def manifests_table(first: Bundle, second: Bundle) -> Table:
    change = difference(first.manifest, second.manifest)
    title = f"differs in {change.what}: a {change.part} change" if change else "the same model"
    table = Table("", first.label, second.label, title=title, title_justify="left")
    for row in manifest_differences(first.manifest, second.manifest):
        table.add_row(*row)
    return table


def comparison_tables(first: Bundle, second: Bundle, found: Comparison) -> Iterator[Table]:
    """Agreement, decisions, quality, movers."""
    labels = first.label, second.label
    table = Table(title=f"Scores of {found.events:,} events", title_justify="left", show_header=False)
    table.add_row("correlation", f"{found.pearson:.4f}")
    table.add_row("rank correlation", f"{found.spearman:.4f}")
    table.add_row("PSI", f"{found.psi:.4f}")
    table.add_row("other decisions", f"{found.decisions.sum() - found.decisions.trace():,}")
    yield table
    yield _decisions_table(labels, found)
    yield _figures_table(labels, found)
    if found.movers:
        yield _movers_table(found)


def _decisions_table(labels: tuple[str, str], found: Comparison) -> Table:
    table = Table(f"{labels[0]} ↓  {labels[1]} →", *DECISIONS, title="Decisions", title_justify="left")
    for name, row in zip(DECISIONS, found.decisions.tolist(), strict=True):
        table.add_row(name, *(f"{count:,}" for count in row))
    return table


def _figures_table(labels: tuple[str, str], found: Comparison) -> Table:
    title = f"Quality on {found.known:,} events with a known label"
    table = Table("", *labels, "difference", "95 of 100 resamples", title=title, title_justify="left")
    for one in found.figures:
        ends = f"{one.low:+.4f} to {one.high:+.4f}"
        table.add_row(one.name, f"{one.first:.4f}", f"{one.second:.4f}", f"{one.difference:+.4f}", ends)
    if not found.figures:
        table.caption = "too few risky or too few honest ones to tell"
    return table


def _movers_table(found: Comparison) -> Table:
    title = "What sets the 1 % of events apart whose score moved most"
    table = Table("feature", "mean there", "elsewhere", "deviations apart", title=title, title_justify="left")
    for mover in found.movers:
        table.add_row(mover.feature, f"{mover.movers:.4g}", f"{mover.others:.4g}", f"{mover.apart:+.2f}")
    return table
