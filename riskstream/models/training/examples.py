"""Examples to learn from: a data set's rows as arrays, and what of them was known at a moment."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from riskstream.models.dataset.manifest import EXAMPLES, SPLITS, UNKNOWN, Dataset, DatasetError, Labels, read_manifest
from riskstream.models.domain import Domain

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Row k of each is example k, in order of time.

    `labels` int16 [n, columns]: of a binary or multi-class label the one column holds the class, of a multi-label one
    each column 0 or 1. `known_at`: when the label came to be known. `segments`: columns to look at parts by.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int16]
    event_time: Ints
    known_at: Ints
    amount: Ints
    user: NDArray[np.uint64]
    kind: NDArray[np.str_]  # of fraud; empty if honest or not told
    segments: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Any) -> "Examples":
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        segments = {name: values[rows] for name, values in self.segments.items()}
        return Examples(**{name: part[rows] for name, part in parts.items() if name != "segments"}, segments=segments)

    @cached_property
    def risky(self) -> NDArray[np.bool_]:
        """What a score of risk should tell: another class than the first, or any label."""
        risky: NDArray[np.bool_] = np.any(self.labels > 0, axis=1)
        return risky

    def as_known(self, cut: int, gap_ms: int) -> "Examples":
        """What a model made at `cut` could learn from: events old enough, and labels that had come by then."""
        old = self[self.event_time + gap_ms <= cut]
        labels = np.where((old.known_at <= cut)[:, np.newaxis], old.labels, np.int16(0))
        return Examples(**{**{field.name: getattr(old, field.name) for field in fields(old)}, "labels": labels})


@dataclass(frozen=True)
class TrainingData:
    """In time order, as in life: learn from the past, calibrate on what came next, be judged on what came last."""

    about: Dataset
    train: Examples
    calibration: Examples
    test: Examples

    @property
    def labels(self) -> Labels:
        return self.about.labels


def read_training_data(path: Path, domain: Domain) -> TrainingData:
    """The labelled rows of the data set at `path`. Raises DatasetError if it is not one for these features."""
    about = read_manifest(path)
    if (about.feature_set, tuple(about.features)) != (domain.features.id, domain.features.names):
        what = f"made with feature set {about.feature_set}, but this release's {domain.name} is {domain.features.id}"
        raise DatasetError(f"data set {path}: {what}; make it again with: riskstream dataset")
    try:
        table = pq.read_table(path / EXAMPLES)
        examples, split = _examples(table, about), _text(table["split"])
    except (KeyError, ValueError, OSError) as error:  # a pyarrow error is one of these
        raise DatasetError(f"data set {path}: {EXAMPLES}: {error}; make it again with: riskstream dataset") from error
    labelled = (examples.labels != UNKNOWN).all(axis=1)
    parts = {name: examples[(split == name) & labelled] for name in SPLITS[1:] if name != "gap"}
    for name, part in parts.items():
        if not part.risky.any() or part.risky.all():
            what = f"part {name} has {int(part.risky.sum())} risky examples of {len(part)}"
            raise DatasetError(f"data set {path}: {what}; a model needs both kinds: give a longer log or other cuts")
    return TrainingData(about, **parts)


def _examples(table: Any, about: Dataset) -> Examples:
    present = set(table.column_names)
    amount = table["amount"].to_numpy() if "amount" in present else np.zeros(table.num_rows)
    segments = {name: _text(table[name]) for name in ("country", "channel") if name in present}
    new = {True: "new", False: "known"}
    return Examples(
        features=np.column_stack([table[name].to_numpy() for name in about.columns]).astype(np.float32, copy=False),
        labels=np.column_stack([table[name].to_numpy() for name in about.labels.columns]).astype(np.int16),
        event_time=table["event_time"].to_numpy(),
        known_at=table["label_time"].fill_null(0).to_numpy(),
        amount=amount.astype(np.int64),
        user=table["user"].to_numpy(),
        kind=_text(table["kind"]) if "kind" in present else np.full(table.num_rows, ""),
        segments=segments | {"user": np.array([new[one] for one in table["new_user"].to_pylist()])},
    )


def _text(column: Any) -> NDArray[np.str_]:
    """A column of text, with codes or without; empty where there is none."""
    text: NDArray[np.str_] = column.cast("string").fill_null("").to_numpy().astype(str)
    return text
