"""From a log with labels to a data set: features as of each event, labels as of each cut, parts, files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from riskstream.models.dataset import tables
from riskstream.models.dataset.event_log import EventLog
from riskstream.models.dataset.labels import DAY, Ints, LabelTable, SplitPlan, assign, known, plan_cuts
from riskstream.models.dataset.manifest import SPLITS, Cuts, Dataset, DatasetError, Labels, unused, write_manifest
from riskstream.models.dataset.vectors import NO_SNAPSHOTS, Advance, Snapshots, vectors
from riskstream.models.domain import Domain
from riskstream.models.offline import Vectors

QUANTILES = (5, 25, 50, 75, 95, 99)


@dataclass(frozen=True)
class Ingredients:
    """What a data set is made of. `rejected` has the columns of REJECTED_SCHEMA."""

    log: EventLog
    labels: Labels
    table: LabelTable
    snapshots: Snapshots = NO_SNAPSHOTS
    rejected: pa.Table = field(default_factory=tables.REJECTED_SCHEMA.empty_table)
    mapping: Mapping[str, Any] = field(default_factory=dict)


def build(domain: Domain, given: Ingredients, plan: SplitPlan, out: Path, advance: Advance = lambda _: None) -> Dataset:
    """Write the data set `out`, which must not exist yet, of a log with events; whole or not at all.

    Raises DatasetError.
    """
    unused(out)
    found = _vectors(domain, given, advance)
    facts = given.log.facts
    rows = np.flatnonzero(found.original < 0)
    rows = rows[np.lexsort((facts.offset[rows], facts.partition[rows], facts.event_time[rows]))]
    event, time, user = facts.columns["event_hash"][rows], facts.event_time[rows], facts.user[rows]
    delays = _delays(given, event, time)
    cuts = plan_cuts(plan, time, domain.features.spec.horizon_ms, given.table, delays)
    split = assign(plan, cuts, time, user)
    examples = tables.Examples(rows, split, known(given.table, event, time, split, cuts), found.features)
    dataset = _describe(domain, given, cuts, examples, delays)
    with tables.draft(out) as path:
        tables.write_all(path, domain, given, examples)
        write_manifest(path, dataset)
    return dataset


def _vectors(domain: Domain, given: Ingredients, advance: Advance) -> Vectors:
    try:
        return vectors(domain, given.log.facts, given.snapshots, advance)
    except ValueError as error:
        advice = "map the columns `partition` and `offset` to the log's own, or neither, to number the events by time"
        raise DatasetError(f"{error}: {advice}") from error


def _describe(domain: Domain, given: Ingredients, cuts: Cuts, examples: tables.Examples, delays_ms: Ints) -> Dataset:
    facts, rows = given.log.facts, examples.rows
    return Dataset(
        domain=domain.name,
        feature_set=domain.features.id,
        features=domain.features.names,
        labels=given.labels,
        cuts=cuts,
        fingerprint=fingerprint(given),
        rows=len(rows),
        repeats=len(facts) - len(rows),
        rejected=given.rejected.num_rows,
        from_ms=int(facts.event_time[rows[0]]),
        until_ms=int(facts.event_time[rows[-1]]),
        split_rows={name: int((examples.split == number).sum()) for number, name in enumerate(SPLITS)},
        label_delay_days={f"p{q}": float(np.percentile(delays_ms, q) / DAY) for q in QUANTILES if len(delays_ms)},
        labels_without_event=int((~np.isin(given.table.event_hash, facts.columns["event_hash"])).sum()),
        mapping=dict(given.mapping),
        created_by=f"riskstream {version('riskstream')}",
    )


def _delays(given: Ingredients, event_hash: Ints, event_time: Ints) -> Ints:
    """From event to known label, ms, of the labels that say more than the first class."""
    order = np.argsort(event_hash)
    table = given.table
    positive = (table.values > 0).any(axis=1)
    place = np.minimum(np.searchsorted(event_hash[order], table.event_hash[positive]), len(order) - 1)
    there = event_hash[order][place] == table.event_hash[positive]
    delays: Ints = (table.known_at[positive] - event_time[order][place])[there]
    return delays


def fingerprint(given: Ingredients) -> str:
    """The sha256 of all that the examples are made of, in log order, whatever order it was read in."""
    digest = hashlib.sha256()
    for rows in tables.log_order(given.log.facts):
        facts = given.log.facts[rows]
        for values in (facts.partition, facts.offset, facts.user, *(facts.columns[n] for n in sorted(facts.columns))):
            digest.update(np.ascontiguousarray(values).tobytes())
    for values in (given.table.event_hash, given.table.known_at, given.table.values, given.snapshots.user):
        digest.update(np.ascontiguousarray(values).tobytes())
    for profile in given.snapshots.profiles:
        digest.update(msgspec.json.encode(profile, order="sorted"))
    return digest.hexdigest()
