"""Labels in files of their own, or in columns beside the events: what is known, and when it came to be known."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from riskstream.models.dataset.fields import to_epoch_ms
from riskstream.models.dataset.labels import DAY, NEVER, Ints, LabelTable
from riskstream.models.dataset.manifest import DatasetError
from riskstream.models.dataset.mapping import LabelMapping
from riskstream.models.dataset.sources import frames

SHOWN = 5


class LabelReader:
    """Takes frames with labels, and makes the table of them once the events are known."""

    def __init__(self, mapping: LabelMapping) -> None:
        self._mapping = mapping
        self._columns = mapping.columns or (mapping.column,)
        self._parts: list[tuple[Ints, Ints, NDArray[np.int16], NDArray[np.object_]]] = []

    @property
    def optional(self) -> tuple[str, ...]:
        """Columns that are used if they are there."""
        return (self._mapping.known_at.column or "", self._mapping.kind)

    @property
    def wanted(self) -> tuple[str, ...]:
        return (self._mapping.event_id, *self._columns, *self.optional)

    def is_in(self, frame: pl.DataFrame) -> bool:
        """Whether the labels lie beside the events."""
        return set(self._columns) <= set(frame.columns)

    def read(self, path: Path) -> None:
        """Take a file of labels. Raises DatasetError."""
        for frame in frames(path, self.wanted):
            if lost := [name for name in (self._mapping.event_id, *self._columns) if name not in frame.columns]:
                what = f"there is no column {lost[0]!r}, only {', '.join(frame.columns)}"
                raise DatasetError(f"{path}: labels: {what}; name it in the mapping's [labels]")
            try:
                self.take(frame, frame[self._mapping.event_id].cast(pl.String).to_list())
            except DatasetError as error:
                raise DatasetError(f"{path}: {error}") from error

    def take(self, frame: pl.DataFrame, event_ids: list[str | None]) -> None:
        """Take the labels of a frame; a row without a label says nothing. Raises DatasetError."""
        values = np.stack([self._codes(frame[name]) for name in self._columns], axis=1)
        known_at = self._known_at(frame)
        kind = np.full(len(frame), "", object)
        if self._mapping.kind in frame.columns:
            kind = frame[self._mapping.kind].cast(pl.String).fill_null("").to_numpy().astype(object)
        there = (values >= 0).all(axis=1) & np.array([event is not None for event in event_ids], bool)
        if known_at is not None:
            unknown = known_at == NEVER
            if (there & unknown & (values > 0).any(axis=1)).any():
                advice = "give them one, or set labels.delay_days"
                raise DatasetError(f"labels.known_at: labels without the time at which they became known: {advice}")
            there &= ~unknown  # that nothing is known is no label
        rows = np.flatnonzero(there)
        hashes = np.array([xxh3_64_intdigest(str(event_ids[k]).encode()) for k in rows.tolist()], np.uint64)
        at = np.full(len(rows), NEVER, np.int64) if known_at is None else known_at[rows]
        self._parts.append((hashes.view(np.int64), at, values[rows], kind[rows]))

    def table(self, event_hash: Ints, event_time: Ints) -> LabelTable:
        """All that was taken. A delay counts from the event; of events that are not there, from 1970."""
        if not self._parts:
            nothing = np.empty(0, np.int64)
            return LabelTable.of(nothing, nothing, np.empty((0, len(self._columns)), np.int16))
        event, at, values, kind = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        if self._mapping.delay_days is not None and (at == NEVER).any():
            order = np.argsort(event_hash, kind="stable")
            place = np.minimum(np.searchsorted(event_hash[order], event), len(order) - 1)
            there = event_hash[order][place] == event
            at = np.where(there, event_time[order][place], 0) + int(self._mapping.delay_days * DAY)
        return LabelTable.of(event, at, values, kind)

    def _codes(self, raw: pl.Series) -> NDArray[np.int16]:
        """The position of each label's class, -1 where there is none; of multi-label 0 or 1."""
        if raw.dtype.is_float():
            raw = raw.fill_nan(None)
            raw = raw.cast(pl.Int64) if (raw.fill_null(0) % 1 == 0).all() else raw
        if raw.dtype == pl.Boolean:
            raw = raw.cast(pl.Int8)
        classes = ("no", "yes") if self._mapping.columns else self._mapping.classes
        names = {name: code for code, name in enumerate(classes)}
        known = {str(code): code for code in range(len(classes))} | names
        known |= (
            {value: names[name] for value, name in self._mapping.values.items()} if not self._mapping.columns else {}
        )
        text = raw.cast(pl.String)
        codes = text.replace_strict(known, default=None, return_dtype=pl.Int16)
        if strange := text.filter(codes.is_null() & text.is_not_null()).unique().sort().head(SHOWN).to_list():
            where = f"labels.values: {raw.name!r} holds {', '.join(map(repr, strange))}"
            raise DatasetError(f"{where}; say which of the classes {', '.join(classes)} that is")
        return codes.fill_null(-1).to_numpy()

    def _known_at(self, frame: pl.DataFrame) -> Ints | None:
        """NEVER where it is missing; None if a delay is to be used."""
        column = self._mapping.known_at.column
        if column is None or column not in frame.columns:
            if self._mapping.delay_days is None:
                advice = "map the column that says when a label became known, or set labels.delay_days"
                raise DatasetError(f"labels.known_at: there is no column {column!r}: {advice}, 0 if at once")
            return None
        raw = frame[column]
        moments = to_epoch_ms(raw, self._mapping.known_at)
        if (moments.is_null() & raw.is_not_null()).any():
            what = f"{column!r} holds what is no time in the format {self._mapping.known_at.format!r}"
            raise DatasetError(f"labels.known_at: {what}; set labels.known_at.format")
        return moments.fill_null(NEVER).to_numpy()
