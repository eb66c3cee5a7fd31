"""A whole log at once: the vectors the live workers made, or will make, bit for bit, by the same functions.

Training and backfill use this. It differs from a worker only in where a user's facts come from: the log itself.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.domain import Domain
from riskstream.models.history import aggregate

CHUNK = 65_536


class Vectors(NamedTuple):
    """Per event of the log, in the log's order: its features, and the index of the event it repeats, -1 if new."""

    features: NDArray[np.float32]
    original: NDArray[np.int64]


class Log(NamedTuple):
    """A piece of a topic: events with their places, and what is known of them since, such as a fraud label."""

    events: Sequence[Any]
    partitions: NDArray[np.int32]
    offsets: NDArray[np.int64]
    labels: Mapping[str, NDArray[Any]]


def replay(
    domain: Domain,
    events: Sequence[Any],
    partitions: NDArray[np.int32],
    offsets: NDArray[np.int64],
    profiles: Sequence[Any] | None = None,
) -> Vectors:
    """The vectors of a complete log, given in any order. `profiles` are those found at the time, None for none."""
    columns = domain.columns(events)
    codes: dict[str, int] = {}
    users = np.array([codes.setdefault(event.user_id, len(codes)) for event in events], np.int64)
    order, first = by_user(users, partitions, offsets)
    facts = domain.facts(columns, offsets)[order]
    aggregates = aggregate(domain.features.spec, facts, first, np.arange(len(events)))
    values, original = np.empty_like(aggregates.values), np.empty_like(aggregates.original)
    values[order] = aggregates.values
    original[order] = np.where(aggregates.original < 0, -1, order[aggregates.original])
    found = domain.profiles(profiles or [None] * len(events))
    return Vectors(domain.features.assemble(columns, values, found), original)


def by_user(
    users: NDArray[np.integer[Any]], partitions: NDArray[np.int32], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order that puts each user's events of a partition together by offset, and for each row the user's first.

    Any number may stand for a user. Raises ValueError when a place, partition and offset, comes twice.
    """
    order = np.lexsort((offsets, users, partitions))
    user, partition = users[order], partitions[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (user[1:] != user[:-1]) | (partition[1:] != partition[:-1])
    if (~begins[1:] & (np.diff(offsets[order]) == 0)).any():
        raise ValueError("a log holds one partition and offset twice")
    first = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    return order, first


def write_log(path: Path, event: type[msgspec.Struct], pieces: Iterable[Log]) -> None:
    """Write a log as Parquet: a column per event field, `partition`, `offset`, and the labels; a piece at a time."""
    import pyarrow.parquet as pq

    writer = None
    try:
        for piece in pieces:
            table = _table(event, piece)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table, row_group_size=CHUNK)
        if writer is None:
            raise ValueError("a log needs at least one piece, which may be empty")
    finally:
        if writer is not None:
            writer.close()


def _table(event: type[msgspec.Struct], piece: Log) -> Any:
    import pyarrow as pa

    columns = {
        field.name: pa.array([getattr(e, field.name) for e in piece.events], arrow_type(field.type))
        for field in msgspec.structs.fields(event)
    }
    columns |= {"partition": pa.array(piece.partitions, pa.int32()), "offset": pa.array(piece.offsets, pa.int64())}
    return pa.table(columns | {name: pa.array(values) for name, values in piece.labels.items()})


def arrow_type(annotation: Any) -> Any:
    """The column type of a scalar field: the same for every piece, even one whose values are all missing."""
    import pyarrow as pa

    types = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "string": pa.string()}
    schema = msgspec.json.schema(annotation)
    choices = [choice.get("type") for choice in schema.get("anyOf", [schema])]
    known = [types[choice] for choice in choices if choice in types]
    if len(known) != 1:
        raise TypeError(f"a log holds whole numbers, floats, booleans and text, not {annotation}")
    return known[0]


def read_log(path: Path, event: type[msgspec.Struct]) -> Iterator[Log]:
    """Read what `write_log` wrote, at most CHUNK events at a time, validated as if they came over the wire."""
    import pyarrow.parquet as pq

    fields = set(event.__struct_fields__)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(CHUNK):
            known = [name for name in batch.schema.names if name in fields]
            labels = [name for name in batch.schema.names if name not in fields | {"partition", "offset"}]
            yield Log(
                msgspec.convert(batch.select(known).to_pylist(), list[event]),  # type: ignore[valid-type]
                batch["partition"].to_numpy(),
                batch["offset"].to_numpy(),
                {name: batch[name].to_numpy(zero_copy_only=False) for name in labels},
            )
