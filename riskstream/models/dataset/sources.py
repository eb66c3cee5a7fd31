"""Files of foreign rows: Parquet, CSV and JSON lines, read a piece at a time as columns. What cannot be a row says why.

Nothing is guessed about a value from its neighbours: CSV is text throughout, and a JSON value of another type than
those around it is set aside as it is, for the contract to judge.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from riskstream.models.dataset.manifest import DatasetError
from riskstream.models.offline import CHUNK
from riskstream.schemas.dead_letter import Rejection
from riskstream.schemas.explain import REFUSALS

CSV_BLOCK = 1 << 23
SEPARATORS = ",;\t|"
EXACT_FLOAT = 2**53
PARQUET, CSV, JSON_LINES = (".parquet", ".pq"), (".csv",), (".jsonl", ".ndjson")


class Piece(NamedTuple):
    """Rows of a file, in order. `row` int64[n]: their numbers, from 0.

    `odd`: place in the piece -> column -> a value that its column of `frame` cannot hold, and that is null there.
    `refused`: numbers of rows that are in no piece, as they cannot be read at all. `lines`: what each row was on the
    wire, if it comes from there.
    """

    frame: pl.DataFrame
    row: NDArray[np.int64]
    odd: dict[int, dict[str, Any]]
    refused: dict[int, Rejection]
    lines: Sequence[bytes] | None = None


class Lines(NamedTuple):
    """Lines of a file, of which the first is row `first`."""

    first: int
    lines: list[bytes]


def table_pieces(path: Path) -> Iterator[Piece]:
    """The rows of a Parquet or CSV file, tens of thousands at a time. Raises DatasetError."""
    try:
        yield from _parquet(path) if path.suffix in PARQUET else _csv(path)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise DatasetError(f"{path}: {error}") from error


def line_pieces(path: Path) -> Iterator[Lines]:
    """The lines of a file, tens of thousands at a time, line ends cut off. Raises DatasetError."""
    first = 0
    try:
        with path.open("rb") as file:
            while lines := [line.rstrip(b"\r\n") for line in islice(file, CHUNK)]:
                yield Lines(first, lines)
                first += len(lines)
    except OSError as error:
        raise DatasetError(f"{path}: {error}") from error


def frames(path: Path, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The rows of a file that must be good as a whole, such as labels. Raises DatasetError. `names`: those of JSON."""
    if path.suffix not in JSON_LINES:
        for piece in table_pieces(path):
            for row, rejection in piece.refused.items():
                raise DatasetError(f"{path}: row {row}: {rejection.message}")
            yield piece.frame
        return
    for lines in line_pieces(path):
        try:
            objects = [msgspec.json.decode(line, type=dict[str, Any]) for line in lines.lines]
        except REFUSALS as error:
            raise DatasetError(f"{path}: must hold one JSON object on each line: {error}") from error
        frame, odd = columns_of_objects(objects, [name for name in names if any(name in each for each in objects)], {})
        for place, values in odd.items():
            line = lines.first + place + 1
            raise DatasetError(f"{path}: line {line}: {', '.join(values)}: of another type than in other lines")
        yield frame


def files(paths: Sequence[Path]) -> list[Path]:
    """The files themselves, and those in the directories. Raises DatasetError for what is none that can be read."""
    known = (*PARQUET, *CSV, *JSON_LINES)
    found: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.iterdir() if p.suffix in known) if path.is_dir() else [path]
        if not inside or not all(p.is_file() and p.suffix in known for p in inside):
            raise DatasetError(
                f"{path}: is no file, or no directory of files, named {', '.join('*' + s for s in known)}"
            )
        found += inside
    return found


def _parquet(path: Path) -> Iterator[Piece]:
    row = 0
    with pq.ParquetFile(path) as file:
        _named_once(path, file.schema_arrow.names)
        if wide := [field for field in file.schema_arrow if pa.types.is_decimal256(field.type)]:
            raise DatasetError(f"{path}: column {wide[0].name!r} is {wide[0].type}: write at most 38 digits")
        for batch in file.iter_batches(CHUNK):
            yield Piece(_frame(pa.Table.from_batches([batch])), np.arange(row, row + batch.num_rows), {}, {})
            row += batch.num_rows


def _frame(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(table)


def _csv(path: Path) -> Iterator[Piece]:
    """All columns as text; empty is missing. The separator is the one that divides the header most."""
    with path.open("rb") as file:
        separator, names = _header(file.readline().decode("utf-8-sig"))
    if not names:
        raise DatasetError(f"{path}: has no header with the names of its columns")
    _named_once(path, names)
    broken: dict[int, Rejection] = {}

    def refuse(row: Any) -> str:
        what = f"the row has {row.actual_columns} values for {row.expected_columns} columns"
        broken[row.number - 2] = Rejection("invalid_value", "", what)  # the header is row 1
        return "skip"

    reader = pa.csv.open_csv(
        path,
        pa.csv.ReadOptions(block_size=CSV_BLOCK, use_threads=False),  # threads would not count rows
        pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=refuse),
        pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary())),
    )
    row = 0
    for batch in reader:
        numbers, refused = _numbers(row, batch.num_rows, broken)
        row += batch.num_rows + len(refused)
        yield _text_piece(batch, numbers, refused)


def _header(line: str) -> tuple[str, list[str]]:
    """The separator, and the names of the columns."""
    found = {separator: next(csv.reader([line], delimiter=separator), []) for separator in SEPARATORS}
    separator = max(SEPARATORS, key=lambda each: len(found[each]))
    return separator, found[separator]


def _named_once(path: Path, names: Sequence[str]) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DatasetError(f"{path}: column {twice[0]!r} is there more than once: rename it or leave it out")


def _numbers(row: int, count: int, broken: dict[int, Rejection]) -> tuple[NDArray[np.int64], dict[int, Rejection]]:
    """The numbers of `count` good rows from `row` on, and the broken ones among and after them, which are taken."""
    numbers: list[int] = []
    refused: dict[int, Rejection] = {}
    while len(numbers) < count or row in broken:
        if row in broken:
            refused[row] = broken.pop(row)
        else:
            numbers.append(row)
        row += 1
    return np.array(numbers, np.int64), refused


def _text_piece(batch: pa.RecordBatch, numbers: NDArray[np.int64], refused: dict[int, Rejection]) -> Piece:
    good = np.ones(batch.num_rows, bool)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        for place in _undecodable(column):
            refused[int(numbers[place])] = Rejection("bad_encoding", name, "the value is not UTF-8")
            good[place] = False
    table = pa.Table.from_batches([batch]).filter(good)
    texts = {name: table[name].cast(pa.string()) for name in table.column_names}
    frame = _frame(pa.table(texts)).with_columns(pl.all().replace("", None))
    return Piece(frame, numbers[good], {}, refused)


def _undecodable(column: pa.Array) -> list[int]:
    try:
        column.cast(pa.string())
    except pa.ArrowInvalid:
        return [place for place, value in enumerate(column.to_pylist()) if not _is_utf8(value)]
    return []


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


KINDS: dict[type, Any] = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64, str: pl.String}


def columns_of_objects(
    objects: Sequence[dict[str, Any]], names: Sequence[str], types: Mapping[str, type]
) -> tuple[pl.DataFrame, dict[int, dict[str, Any]]]:
    """JSON objects as columns, and the odd values: place -> column -> value.

    A column is of the type in `types`, or else of the commonest; whole numbers pass for floats among floats.
    """
    odd: dict[int, dict[str, Any]] = {}
    columns = {name: _column([each.get(name) for each in objects], name, types.get(name), odd) for name in names}
    return pl.DataFrame(columns), odd


def _column(values: list[Any], name: str, common: type | None, odd: dict[int, dict[str, Any]]) -> pl.Series:
    counts = Counter(map(type, values))
    counts.pop(type(None), None)
    if common is None:
        common = next((kind for kind, _ in counts.most_common() if kind in KINDS), str)
        common = float if common is int and float in counts else common
    if counts.keys() - {common} or common is int:
        for place, value in enumerate(values):
            if value is not None and not _fits(value, common):
                odd.setdefault(place, {})[name] = value
                values[place] = None
    if common is float:
        values = [None if value is None else float(value) for value in values]
    return pl.Series(name, values, KINDS[common])


def _fits(value: Any, kind: type) -> bool:
    if type(value) is int:
        return -(2**63) <= value < 2**63 if kind is int else kind is float and abs(value) <= EXACT_FLOAT
    return type(value) is kind
