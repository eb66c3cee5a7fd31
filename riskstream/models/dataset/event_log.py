"""A log on its way into a data set: batches of fields come in, arrays of numbers stay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from riskstream.models.dataset.vectors import Facts
from riskstream.models.domain import Domain
from riskstream.schemas.partitioner import partitions_of

SLICES = ("country", "channel")
"""Event fields that examples keep as text, where the event has them: results are broken down by them."""

Ints = NDArray[np.int64]


class Batch(NamedTuple):
    """Good events: a sequence per event field; and their places in the log, None when the log has none."""

    fields: Mapping[str, Sequence[Any]]
    partition: NDArray[np.int32] | None
    offset: Ints | None


@dataclass(frozen=True)
class EventLog:
    """All good events, in the order in which they were read. `text`: event_id, and SLICES as far as there are any."""

    facts: Facts
    text: Mapping[str, pa.ChunkedArray]

    def __len__(self) -> int:
        return len(self.facts)


class Gather:
    """Takes batches and makes the log of them. `partitions` is for events without a place of their own."""

    def __init__(self, domain: Domain, partitions: int) -> None:
        self._domain, self._partitions = domain, partitions
        self._slices = [name for name in SLICES if name in domain.event.__struct_fields__]
        self._columns: dict[str, list[NDArray[Any]]] = {}
        self._text: dict[str, list[pa.Array]] = {name: [] for name in ("event_id", *self._slices)}
        self._users: list[NDArray[np.uint64]] = []
        self._places: list[tuple[NDArray[np.int32], Ints | None]] = []

    def add(self, batch: Batch) -> None:
        keys = [user.encode() for user in batch.fields["user_id"]]
        for name, values in self._domain.columns.of(batch.fields).items():
            self._columns.setdefault(name, []).append(values)
        self._users.append(np.array([xxh3_64_intdigest(key) for key in keys], np.uint64))
        self._text["event_id"].append(pa.array(batch.fields["event_id"], pa.large_string()))
        for name in self._slices:
            self._text[name].append(pa.array(batch.fields[name], pa.string()).dictionary_encode())
        partition = batch.partition
        if partition is None:
            partition = partitions_of(keys, self._partitions).astype(np.int32)
        self._places.append((partition, batch.offset))

    def log(self) -> EventLog:
        """What was taken. Without offsets, events of a partition are numbered by time, then as they were read."""
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        partition = np.concatenate([place for place, _ in self._places]) if self._places else np.empty(0, np.int32)
        offsets = [offset for _, offset in self._places if offset is not None]
        offset = np.concatenate(offsets) if offsets else _numbered(partition, columns.get("event_time"))
        user = np.concatenate(self._users) if self._users else np.empty(0, np.uint64)
        text = {
            name: pa.chunked_array(parts).unify_dictionaries() if parts else pa.chunked_array([], pa.string())
            for name, parts in self._text.items()
        }
        return EventLog(Facts(partition, offset, user, columns), text)


def _numbered(partition: NDArray[np.int32], event_time: Ints | None) -> Ints:
    """Offsets 0, 1, 2, ... in each partition."""
    if event_time is None:
        return np.empty(0, np.int64)
    order = np.lexsort((event_time, partition))
    ranked = partition[order]
    begins = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    offset = np.empty(len(order), np.int64)
    offset[order] = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    return offset
