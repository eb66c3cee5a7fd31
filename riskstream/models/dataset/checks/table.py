"""Is the table what it says: columns, bounds, order, repeats, gaps, classes, delays?"""

import re
from typing import Any

import numpy as np
import pandera.errors
import pandera.polars as pap
import polars as pl

from riskstream.models.dataset.checks.finding import SHOWN, Finding, Subject
from riskstream.models.dataset.labels import DAY
from riskstream.models.dataset.manifest import EXAMPLES, FEATURE, SPLITS

FEW = 50  # examples of a class
MOVED = 0.1  # difference of missing rates
LARGEST = float(np.finfo(np.float32).max)
ABSENT, NO_NUMBERS, NO_ROWS = "the column is missing", "holds no numbers", "holds no rows"
NO_TABLE = (ABSENT, NO_NUMBERS, NO_ROWS)
"""Rules without which there is nothing to examine."""
RANGE = re.compile(r"(\d+)[-/](\d+)")


def columns(subject: Subject) -> Finding:
    """Names, types, nulls and bounds; of features, by their unit where it names a range such as 0-23."""
    failures = _failures(subject.frame, _schema(subject))
    absent = [name for name in subject.manifest.columns if name not in subject.schema]
    failures += [(name, ABSENT, 1, "") for name in absent]
    extra = [n for n in subject.schema if n.startswith(FEATURE) and n not in subject.manifest.columns]
    failures += [(name, "column is not in dataset.json", 1, "") for name in extra]
    if subject.frame.is_empty():
        failures.append((EXAMPLES, NO_ROWS, subject.manifest.rows, ""))
    for name in subject.features:
        if not subject.schema[FEATURE + name].is_numeric():
            failures.append((FEATURE + name, NO_NUMBERS, len(subject.frame), ""))
            continue
        frame = pl.DataFrame({FEATURE + name: subject.feature(name)})
        failures += _failures(frame, _feature_schema(subject, name))
    if not failures:
        said = f"{len(subject.schema)} columns of {len(subject.frame):,} rows are as dataset.json says"
        return Finding("pass", said)
    headers = ("column", "rule", "rows", "for example")
    said = ", ".join(f"{name}: {rule}" for name, rule, *_ in failures[:3])
    said = f"{len(failures)} rules are broken: {said}"
    return Finding("fail", said, headers, failures[:SHOWN], "make the data set again")


def _schema(subject: Subject) -> pap.DataFrameSchema:
    made, check = subject.manifest, pap.Check
    width = pl.Int8 if made.labels.kind == "multilabel" else pl.Int16
    highest = 1 if made.labels.kind == "multilabel" else len(made.labels.classes) - 1
    labels = {name: pap.Column(width, check.in_range(-1, highest)) for name in made.labels.columns}
    known = {
        "event_id": pap.Column(pl.String),
        "user": pap.Column(pl.UInt64),
        "partition": pap.Column(pl.Int32, check.ge(0)),
        "offset": pap.Column(pl.Int64, check.ge(0)),
        "event_time": pap.Column(pl.Int64, check.in_range(made.from_ms, made.until_ms)),
        "new_user": pap.Column(pl.Boolean),
        "label_time": pap.Column(pl.Int64, nullable=True),
        "split": pap.Column(pl.String, check.isin(SPLITS)),
    }
    return pap.DataFrameSchema(known | labels)


def _feature_schema(subject: Subject, name: str) -> pap.DataFrameSchema:
    units = {row.name: row.unit for row in subject.domain.features.rows}
    bounds = RANGE.fullmatch(units.get(name, ""))
    low, high = (float(bounds[1]), float(bounds[2])) if bounds else (-LARGEST, LARGEST)
    rule = f"within {bounds[0]}" if bounds else "finite"
    test = pap.Check(
        lambda data: data.lazyframe.select(pl.col(data.key).is_between(low, high) | pl.col(data.key).is_nan()),
        name=rule,
        error=rule,
    )
    return pap.DataFrameSchema({FEATURE + name: pap.Column(pl.Float32, test, nullable=True)})


def _failures(frame: pl.DataFrame, schema: pap.DataFrameSchema) -> list[tuple[Any, ...]]:
    """Column, rule, number of rows, and a value, for each rule that does not hold."""
    text = frame.with_columns(pl.col("split").cast(pl.String)) if "split" in frame.columns else frame
    try:
        schema.validate(text, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases.group_by("column", "check", maintain_order=True)
        found = cases.agg(pl.len(), pl.col("failure_case").cast(pl.String).first()).rows()
        return [(row[3], ABSENT, 1, "") if row[1] == "column_in_dataframe" else row for row in found]
    return []


def order(subject: Subject) -> Finding:
    """Rows in order of (event_time, partition, offset), each place and each event once."""
    place = subject.frame.select("event_time", "partition", "offset")
    before = place.shift(1)
    later, tie = place["event_time"] > before["event_time"], place["event_time"] == before["event_time"]
    same = tie & (place["partition"] == before["partition"])
    sorted_ = later | (tie & (place["partition"] > before["partition"])) | (same & (place["offset"] > before["offset"]))
    unsorted = int((~sorted_.fill_null(value=True)).sum())
    events = len(subject.frame) - subject.frame["event_id"].n_unique()
    places = len(place) - place.select("partition", "offset").n_unique()
    rows = (("rows out of order", unsorted), ("repeated event ids", events), ("repeated places", places))
    if not any(count for _, count in rows):
        return Finding("pass", f"{len(place):,} rows in order of time, every event once")
    said = ", ".join(f"{count:,} {name}" for name, count in rows if count)
    return Finding(
        "fail", said, ("what", "rows"), rows, "an example given twice is learnt twice: make the data set again"
    )


def missing(subject: Subject) -> Finding:
    """How often each feature is missing, in train and in test: a model learns what is missing, too."""
    train, test = subject.rows_of("train"), subject.rows_of("test")
    rates = []
    for name in subject.features:
        gone = np.isnan(subject.feature(name))
        rates.append(
            (name, float(gone[train].mean()) if len(train) else 1.0, float(gone[test].mean()) if len(test) else 1.0)
        )
    noise = 4 * np.sqrt(0.25 / max(1, min(len(train), len(test))))
    moved = [row for row in rates if abs(row[1] - row[2]) > max(MOVED, noise)]
    empty = [row for row in rates if row[1] == 1.0]
    worst = sorted(rates, key=lambda row: -max(abs(row[1] - row[2]), row[1] == 1.0))[:SHOWN]
    shown = [(name, f"{before:.1%}", f"{after:.1%}") for name, before, after in worst]
    headers = ("feature", "missing in train", "in test")
    if not moved and not empty:
        return Finding("pass", f"at most {max(row[1] for row in rates):.0%} of a feature are missing", headers, shown)
    said = f"{len(empty)} features are never there, {len(moved)} are missing at another rate in test than in train"
    return Finding(
        "warn", said, headers, shown, "look where they come from; profiles need --profiles, with their times"
    )


def classes(subject: Subject) -> Finding:
    """Enough examples of each class in each part."""
    frame, parts = subject.frame, ("train", "calibration", "test")
    positives, known = subject.positives(), subject.labelled()
    rows = []
    for part in parts:
        inside = np.zeros(len(frame), bool)
        inside[subject.rows_of(part)] = True
        total = int((inside & known).sum())
        for name, positive in positives.items():
            count = int((inside & positive).sum())
            rows.append((part, name, count, total, f"{count / total:.3%}" if total else ""))
    headers = ("part", "class", "examples", "of", "share")
    least = min(row[2] for row in rows)
    if least == 0 or any(row[3] == 0 for row in rows):
        return Finding("fail", "a part has no example of a class", headers, rows, "give more days or other shares")
    if least < FEW:
        what = f"only {least} examples of a class in a part: figures will be uncertain"
        return Finding("warn", what, headers, rows, "give more days, or read the confidence intervals")
    return Finding("pass", f"at least {least:,} examples of each class in each part", headers, rows)


def label_delay(subject: Subject) -> Finding:
    """How long labels take to become known; none before its event."""
    frame = subject.frame
    positive = np.any(list(subject.positives().values()), axis=0)
    days = ((frame["label_time"] - frame["event_time"]) / DAY).to_numpy()[positive]
    days = days[~np.isnan(days)]
    if not len(days):
        return Finding("warn", "no label says more than the first class", advice="look at the labels and their classes")
    rows = [(f"{q} %", f"{np.percentile(days, q):.2f}") for q in (0, 5, 25, 50, 75, 95, 100)]
    headers = ("quantile", "days from event to label")
    if early := int((days < 0).sum()):
        advice = "the times of labels or events are in another zone or unit than the mapping says"
        return Finding("fail", f"{early:,} labels were known before their event", headers, rows, advice)
    if days.max() == 0:
        advice = "if they were not, say when they became known (labels.known_at) or after how long (labels.delay_days)"
        return Finding("warn", "all labels were known at once", headers, rows, advice)
    return Finding("pass", f"half of the labels known after {np.median(days):.1f} days", headers, rows)
