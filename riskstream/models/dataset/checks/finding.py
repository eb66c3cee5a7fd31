"""What a check found: a verdict, a sentence, and the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from riskstream.models.bundle import Reference
from riskstream.models.dataset.manifest import EXAMPLES, FEATURE, Dataset, DatasetError, read_manifest
from riskstream.models.domain import Domain

Verdict = Literal["pass", "warn", "fail"]
SHOWN = 12
"""Rows of evidence at most."""


class Finding(NamedTuple):
    """`columns` and `rows` are the evidence, worst first, without ids of users. `advice`: what to do about it."""

    verdict: Verdict
    said: str
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[Any, ...]] = ()
    advice: str = ""


@dataclass(frozen=True)
class Subject:
    """A data set under examination. `reference` is that of an earlier bundle, `sample` how many rows to recompute."""

    path: Path
    domain: Domain
    reference: Reference | None = None
    sample: int = 400
    seed: int = 1
    manifest: Dataset = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "manifest", read_manifest(self.path))

    @cached_property
    def frame(self) -> pl.DataFrame:
        """All columns but the features, in the order of the file. Raises DatasetError."""
        try:
            names = pl.scan_parquet(self.path / EXAMPLES).collect_schema().names()
            return pl.read_parquet(
                self.path / EXAMPLES, columns=[name for name in names if not name.startswith(FEATURE)]
            )
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DatasetError(f"{self.path / EXAMPLES}: {error}; make the data set again") from error

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        return dict(pl.scan_parquet(self.path / EXAMPLES).collect_schema())

    def feature(self, name: str) -> NDArray[np.float32]:
        """One feature's column, NaN where missing."""
        column = pl.read_parquet(self.path / EXAMPLES, columns=[FEATURE + name])[FEATURE + name]
        return column.cast(pl.Float32).fill_null(float("nan")).to_numpy()

    @property
    def features(self) -> list[str]:
        """The features that the file has, in its order."""
        return [name.removeprefix(FEATURE) for name in self.schema if name.startswith(FEATURE)]

    def rows_of(self, *splits: str) -> NDArray[np.int64]:
        chosen = self.frame.select(pl.col("split").cast(pl.String).is_in(splits)).to_series()
        return np.flatnonzero(chosen.to_numpy())

    def positives(self) -> dict[str, NDArray[np.bool_]]:
        """For each class but the first (of multi-label: each), which rows are known to be of it."""
        labels = self.manifest.labels
        if labels.kind == "multilabel":
            return {name: (self.frame[f"label_{name}"] == 1).to_numpy() for name in labels.classes}
        codes = self.frame["label"].to_numpy()
        return {name: codes == code for code, name in enumerate(labels.classes) if code}

    def labelled(self) -> NDArray[np.bool_]:
        """Which rows of train, calibration and test have a label."""
        inside = np.zeros(len(self.frame), bool)
        inside[self.rows_of("train", "calibration", "test")] = True
        known: NDArray[np.bool_] = inside & (self.frame[self.manifest.labels.columns[0]].to_numpy() >= 0)
        return known
