"""Files to a log with labels: read, mapped, judged, gathered. What is refused is kept with its place and reason."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from riskstream.models.dataset.event_log import Batch, EventLog, Gather
from riskstream.models.dataset.fields import Translate
from riskstream.models.dataset.json_lines import JsonLines
from riskstream.models.dataset.label_files import LabelReader
from riskstream.models.dataset.manifest import DatasetError
from riskstream.models.dataset.mapping import Mapping, Place
from riskstream.models.dataset.sources import JSON_LINES, Piece, frames, table_pieces
from riskstream.models.dataset.tables import REJECTED_SCHEMA
from riskstream.models.dataset.validity import Judge
from riskstream.models.dataset.vectors import Advance, Snapshots
from riskstream.models.domain import Domain
from riskstream.schemas.dead_letter import Rejection
from riskstream.schemas.decode import Rules


class Ingested(NamedTuple):
    """The good events; the rest with reasons, in the columns of REJECTED_SCHEMA."""

    log: EventLog
    rejected: pa.Table


class Ingest:
    """Takes the files of events, one after the other. Labels beside the events go to `labels`, if there is one."""

    def __init__(self, domain: Domain, rules: Rules, mapping: Mapping, labels: LabelReader | None) -> None:
        self._translate = Translate(domain.event, mapping)
        self._judge = Judge(domain.event, rules)
        self._json = JsonLines(rules, self._judge, None if mapping.fields else self._translate.types)
        self._labels = labels
        self._place = mapping.place
        self._gather = Gather(domain, (mapping.place or Place()).partitions)
        self._rejected: list[tuple[int, int | None, int | None, str, str, str]] = []
        self._rows = 0  # of the files before

    def read(self, path: Path, advance: Advance = lambda _: None) -> None:
        """Take a file. Raises DatasetError for what is wrong with the file as a whole."""
        rows = 0
        source = (
            self._json.pieces(path, self._translate.needed(), self._beside())
            if path.suffix in JSON_LINES
            else table_pieces(path)
        )
        for piece in source:
            if lost := self._translate.missing(piece.frame.columns):
                raise DatasetError("\n".join(f"{path}: {problem}" for problem in lost))
            self._take(path, piece)
            rows += len(piece.row) + len(piece.refused)
            advance(len(piece.row) + len(piece.refused))
        self._rows += rows

    def finish(self) -> Ingested:
        """All that was taken. Raises DatasetError if there was no event among it."""
        if not len(log := self._gather.log()):
            raise DatasetError(f"the source has no good event, {self._refusals()}")
        columns = zip(*sorted(self._rejected), strict=True) if self._rejected else [()] * len(REJECTED_SCHEMA)
        arrays = [pa.array(values, kind.type) for values, kind in zip(columns, REJECTED_SCHEMA, strict=True)]
        return Ingested(log, pa.table(arrays, schema=REJECTED_SCHEMA))

    def _refusals(self) -> str:
        """How many rows were rejected, and mostly why."""
        counts = Counter((reason, field, said) for *_, reason, field, said in self._rejected)
        why = [
            f"\n{field or 'the row'}: {reason} in {count:,} rows: {said}"
            for (reason, field, said), count in counts.most_common(3)
        ]
        return f"{len(self._rejected):,} rows were rejected{''.join(why)}"

    def _beside(self) -> list[str]:
        """Columns beside the event's own that a JSON object may have."""
        place = [self._place.partition or "", self._place.offset or ""] if self._place else ["partition", "offset"]
        return [*place, *(self._labels.wanted if self._labels else ())]

    def _take(self, path: Path, piece: Piece) -> None:
        place = self._places(path, piece)
        fields = self._translate(piece.frame, piece.row, piece.odd)
        verdict = self._judge(fields, piece.lines)
        good = verdict.place
        partition, offset = (None, None) if place is None else (place[0][good], place[1][good])
        self._gather.add(Batch(verdict.fields, partition, offset))
        if self._labels is not None and self._labels.is_in(piece.frame):
            self._labels.take(piece.frame[good], verdict.fields["event_id"])
        for row, rejection in piece.refused.items():
            self._reject(row, None, None, rejection)
        for at, rejection in verdict.rejections.items():
            at_partition, at_offset = (None, None) if place is None else (int(place[0][at]), int(place[1][at]))
            self._reject(int(piece.row[at]), at_partition, at_offset, rejection)

    def _reject(self, row: int, partition: int | None, offset: int | None, why: Rejection) -> None:
        self._rejected.append((self._rows + row, partition, offset, why.reason, why.field, why.message))

    def _places(self, path: Path, piece: Piece) -> tuple[NDArray[np.int32], NDArray[np.int64]] | None:
        """Partitions and offsets, if the mapping names them, or columns of these names are there."""
        names = ("partition", "offset")
        if self._place is not None:
            if self._place.partition is None or self._place.offset is None:
                return None
            names = (self._place.partition, self._place.offset)
        if self._place is None and not set(names) <= set(piece.frame.columns):
            return None
        try:
            partition, offset = (piece.frame[name].cast(pl.Int64) for name in names)
        except pl.exceptions.PolarsError as error:
            raise DatasetError(f"{path}: place: {str(error).splitlines()[0]}") from error
        if not all(
            column.is_between(0, most).all(ignore_nulls=False)
            for column, most in ((partition, 2**31 - 1), (offset, 2**63 - 1))
        ):
            raise DatasetError(f"{path}: place: {' and '.join(names)} must be whole numbers from 0 in every row")
        return partition.to_numpy().astype(np.int32), offset.to_numpy()


def read_profiles(paths: Sequence[Path], domain: Domain) -> Snapshots:
    """The profiles in files with `user_id` and the profile's own fields, a row for each time one was written.

    Raises DatasetError.
    """
    users: list[int] = []
    profiles: list[Any] = []
    names = domain.profile.__struct_fields__
    for path in paths:
        for frame in frames(path, ("user_id", *names)):
            if lost := {"user_id", "computed_at"} - set(frame.columns):
                raise DatasetError(f"{path}: profiles need the columns {' and '.join(sorted(lost))}")
            if frame["user_id"].has_nulls():
                raise DatasetError(f"{path}: user_id: a profile has none")
            rows = frame.select(name for name in names if name in frame.columns).to_dicts()
            try:
                # Not strict: CSV has numbers as text.
                profiles += msgspec.convert(rows, list[domain.profile], strict=False)  # type: ignore[name-defined]
            except msgspec.ValidationError as error:
                raise DatasetError(f"{path}: not a profile: {error}") from error
            users += [xxh3_64_intdigest(str(user).encode()) for user in frame["user_id"].to_list()]
    return Snapshots.of(np.array(users, np.uint64), profiles)
