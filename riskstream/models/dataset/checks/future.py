"""Do the features depend on what came later? They are made again, without the future and with another one."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from riskstream.models.dataset.checks.finding import SHOWN, Finding, Subject
from riskstream.models.dataset.lives import Lives
from riskstream.models.dataset.manifest import EXAMPLES
from riskstream.models.dataset.tables import read_facts, read_snapshots
from riskstream.models.dataset.vectors import Facts, Snapshots, vectors

USERS = 200
LATER = 50  # facts put after an event
Ints = NDArray[np.int64]
Vectors = NDArray[np.float32]
OTHER_TABLE = "the data set was made for another feature table: make it again with this one"


def made_again(subject: Subject) -> Finding:
    """The features of some users, made again from the facts by this feature table: bit for bit what the table says."""
    if subject.manifest.feature_set != subject.domain.features.id:
        said = f"feature set {subject.manifest.feature_set}, but the table here is {subject.domain.features.id}"
        return Finding("fail", said, advice=OTHER_TABLE)
    facts, snapshots = _some_users(subject)
    again = vectors(subject.domain, facts, snapshots).features
    written, rows = _written(subject, facts)
    found = _differences(subject, written, again[rows])
    if found:
        advice = "the column does not come from the feature table, or its window reaches into the future"
        said = f"{_named(found)} not what the facts before the event say"
        return Finding("fail", said, ("feature", "rows that differ", "of"), found[:SHOWN], advice)
    return Finding("pass", f"{len(rows):,} rows of {len(np.unique(facts.user))} users come out bit for bit the same")


def without_the_future(subject: Subject) -> Finding:
    """Events measured with all later facts dropped, and with facts of anybody in their place: nothing may change."""
    if subject.manifest.feature_set != subject.domain.features.id:
        return Finding("fail", "cannot be tried", advice=OTHER_TABLE)
    facts, snapshots = _some_users(subject)
    full = vectors(subject.domain, facts, snapshots)
    lives = Lives(subject.domain, facts, full.original)
    rng = np.random.default_rng(subject.seed)
    chosen = np.sort(rng.choice(len(facts), min(subject.sample, len(facts)), replace=False))
    events = facts[chosen]
    profiles = snapshots.at(snapshots.as_of(events.user, events.event_time, subject.domain.profile_max_age_ms))
    found: dict[str, int] = {}
    past = lives.past(chosen)
    others = [rng.choice(len(facts), min(LATER, len(facts))) for _ in chosen]
    for later in ([np.empty(0, np.int64)] * len(chosen), others):
        seen = lives.measure(past, chosen, later, profiles)
        for name, count, _ in _differences(subject, full.features[chosen], seen):
            found[name] = max(found.get(name, 0), count)
    if found:
        rows_shown = sorted(((name, count, len(chosen)) for name, count in found.items()), key=lambda row: -row[1])
        advice = "its function looks at other rows than the event's own: a feature may only use its Inputs row by row"
        said = f"{_named(rows_shown)} not the same with another future"
        return Finding("fail", said, ("feature", "rows that change", "of"), rows_shown[:SHOWN], advice)
    return Finding("pass", f"{len(chosen)} events, later facts dropped and shuffled: not a bit changes")


def _named(found: list[tuple[str, int, int]]) -> str:
    names, more = ", ".join(name for name, *_ in found[:3]), len(found) - 3
    return f"{names}{f' and {more} more' if more > 0 else ''} {'is' if len(found) == 1 else 'are'}"


def _some_users(subject: Subject) -> tuple[Facts, Snapshots]:
    """The facts of some users, those with labels first, as a log of their own."""
    rng = np.random.default_rng(subject.seed)
    user = subject.frame["user"].to_numpy()
    marked = np.unique(user[np.any(list(subject.positives().values()), axis=0)])
    some = [rng.permutation(group)[: USERS // 2] for group in (marked, np.unique(user))]
    users = np.unique(np.concatenate(some))
    snapshots = read_snapshots(subject.path, subject.domain)
    return read_facts(subject.path, users), snapshots


def _written(subject: Subject, facts: Facts) -> tuple[Vectors, Ints]:
    """The examples' vectors as the file has them, for those that are in `facts`, and their positions there."""
    columns = [*subject.manifest.columns]
    users = pl.Series(np.unique(facts.user))
    picked = pl.scan_parquet(subject.path / EXAMPLES).filter(pl.col("user").is_in(users.implode()))
    frame = picked.select("partition", "offset", *columns).collect()
    where = pl.DataFrame({"partition": facts.partition, "offset": facts.offset, "row": np.arange(len(facts))})
    joined = frame.join(where, on=["partition", "offset"], how="inner")
    written = np.ascontiguousarray(joined.select(columns).to_numpy(), dtype=np.float32)
    return written, joined["row"].to_numpy()


def _differences(subject: Subject, left: Vectors, right: Vectors) -> list[tuple[str, int, int]]:
    """Features with bits that differ, the most first; every NaN is alike."""
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    counts = (~same).sum(axis=0)
    names = subject.domain.features.names
    found = [(names[k], int(counts[k]), len(left)) for k in np.flatnonzero(counts)]
    return sorted(found, key=lambda row: -row[1])
