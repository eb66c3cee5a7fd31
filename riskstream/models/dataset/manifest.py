"""A data set: a directory with what a model learns from, one row per event as it was known at that event.

    examples.parquet  in order of (event_time, partition, offset): label, split, and a float32 column for each feature
    facts.parquet     the log itself as numbers, repeats included, in order of (partition, offset): the features can be
                      computed again from it, which is what the checks do
    profiles.parquet  the snapshots of profiles that the features were made with; absent if there were none
    rejected.parquet  rows of the source that are no events, with the reasons of the dead letters
    dataset.json      what it is and what it was made of

Users are hashes in all of them. A label of -1 is unknown. Nothing here needs the files that it was made of.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

EXAMPLES, FACTS, PROFILES, REJECTED, MANIFEST = (
    "examples.parquet",
    "facts.parquet",
    "profiles.parquet",
    "rejected.parquet",
    "dataset.json",
)
Split = Literal["warm", "train", "gap", "calibration", "test"]
SPLITS: tuple[Split, ...] = ("warm", "train", "gap", "calibration", "test")
UNKNOWN = -1
FEATURE = "f_"
"""What a feature's column is called: this, then the feature's name."""


class DatasetError(ValueError):
    """The data set cannot be made or read; the message names the file, the key or the column, and what to do."""


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be predicted. Of a binary or multi-class label the first class is what an event without one is.

    `binary`, `multiclass`: the column `label` holds the position in `classes`. `multilabel`: a column `label_NAME` of
    0 and 1 for each.
    """

    kind: Literal["binary", "multiclass", "multilabel"] = "binary"
    classes: Annotated[tuple[str, ...], Meta(min_length=1)] = ("honest", "fraud")

    def __post_init__(self) -> None:
        if (self.kind != "multilabel" and len(self.classes) < 2) or (self.kind == "binary" and len(self.classes) != 2):
            raise ValueError(f"{self.kind} labels cannot have the classes {self.classes}")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"label_{name}" for name in self.classes) if self.kind == "multilabel" else ("label",)


class Cuts(msgspec.Struct, frozen=True, kw_only=True):
    """Moments of the split, epoch ms: a part ends `gap_ms` before its cut, and knows only the labels known at it.

    Split by user, parts differ in users instead: all have the same cut.
    """

    by: Literal["time", "user"] = "time"
    warm_until: int
    train: int
    calibration: int
    test: int
    gap_ms: int

    def of(self, split: str) -> int:
        """When what is known of the rows of `split` was known. Rows before and between the parts: as for train."""
        return {"calibration": self.calibration, "test": self.test}.get(split, self.train)


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """dataset.json. Only grows: a later field has a default, unknown fields pass.

    `fingerprint` is the sha256 over events, profiles and labels in log order: the same content gives the same, from
    whatever files it came. `label_delay_days` are quantiles of the time from event to known label.
    """

    format: Literal[1] = 1
    domain: str
    feature_set: str
    features: tuple[str, ...]
    labels: Labels
    cuts: Cuts
    fingerprint: str
    rows: int
    repeats: int
    rejected: int
    from_ms: int
    until_ms: int
    split_rows: dict[str, int]
    label_delay_days: dict[str, float]
    labels_without_event: int = 0
    mapping: dict[str, Any] = {}
    created_by: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the features in examples.parquet, in the order of the model's input."""
        return tuple(FEATURE + name for name in self.features)


def read_manifest(path: Path) -> Dataset:
    """What the data set at `path` says of itself. Raises DatasetError."""
    try:
        return msgspec.json.decode((path / MANIFEST).read_bytes(), type=Dataset)
    except OSError as error:
        raise DatasetError(
            f"data set {path}: {MANIFEST}: {error.strerror}; make one with: riskstream dataset"
        ) from error
    except msgspec.DecodeError as error:
        raise DatasetError(f"data set {path}: {MANIFEST}: {error}; make it again with: riskstream dataset") from error


def unused(path: Path) -> None:
    """Raises DatasetError if there is something at `path`."""
    if path.exists():
        raise DatasetError(f"data set {path}: already exists, and a data set never changes; choose another directory")


def write_manifest(path: Path, dataset: Dataset) -> None:
    (path / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(dataset), indent=2))
