"""The broker's log files as they lie on disk: which transaction wrote what, and how each ended.

A client sees only what the broker lets through. The files also hold aborted records, markers, and every offset that
was ever committed, so what happened can be told without believing anybody. Format: Kafka's record batch, version 2.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

HEADER = struct.Struct(">qiibIhiqqqhii")
TRANSACTIONAL, CONTROL, COMPRESSION = 0x10, 0x20, 0x07
COMMIT = 1
OFFSET_COMMIT_KEYS = (0, 1)


class Batch(NamedTuple):
    """A record batch's header, and its records' bytes."""

    first: int
    last: int
    producer: int
    epoch: int
    transactional: bool
    control: bool
    compressed: bool
    records: int
    body: bytes


class Record(NamedTuple):
    key: bytes | None
    value: bytes | None


@dataclass
class Transaction:
    """What one producer wrote to one partition between two markers. `committed` is None while it is open."""

    producer: int
    epoch: int
    batches: list[Batch] = field(default_factory=list)
    committed: bool | None = None

    def __contains__(self, offset: int) -> bool:
        return any(batch.first <= offset <= batch.last for batch in self.batches)


class Commit(NamedTuple):
    """Input offsets that one transaction committed for a group; `producer` is -1 where there was no transaction."""

    producer: int
    offsets: dict[int, int]


def batches(partition: Path) -> Iterator[Batch]:
    """All batches in a partition's folder, in order; a last one that is not whole yet is left out."""
    for segment in sorted(partition.glob("*.log")):
        data, at = segment.read_bytes(), 0
        while at + HEADER.size <= len(data):
            first, length, _, magic, _, flags, delta, _, _, producer, epoch, _, count = HEADER.unpack_from(data, at)
            end = at + 12 + length
            if magic != 2 or end > len(data):
                break
            yield Batch(
                first,
                first + delta,
                producer,
                epoch,
                bool(flags & TRANSACTIONAL),
                bool(flags & CONTROL),
                bool(flags & COMPRESSION),
                count,
                data[at + HEADER.size : end] if flags & CONTROL or not flags & COMPRESSION else b"",
            )
            at = end


def transactions(partition: Path) -> tuple[list[Transaction], list[Batch]]:
    """The transactions of a partition in the order in which they ended (open ones last), and the batches of none."""
    open_: dict[int, Transaction] = {}
    ended: list[Transaction] = []
    outside: list[Batch] = []
    for batch in batches(partition):
        if batch.control:
            # A fenced producer's transaction is ended under a later epoch: the producer's id alone tells whose it is.
            if transaction := open_.pop(batch.producer, None):
                transaction.committed = _is_commit(batch)
                ended.append(transaction)
        elif batch.transactional:
            open_.setdefault(batch.producer, Transaction(batch.producer, batch.epoch)).batches.append(batch)
        else:
            outside.append(batch)
    return [*ended, *open_.values()], outside


def commits(log: Path, group: str, topic: str) -> list[Commit]:
    """Every commit of the group's offsets on the topic, in the order in which the offsets were written.

    Markers of two producers may overtake each other; the group coordinator lets the offset win that was written last.
    """
    found: list[tuple[int, Commit]] = []
    for partition in sorted(log.glob("__consumer_offsets-*")):
        ended, outside = transactions(partition)
        for batch in outside:
            if offsets := _committed_offsets([batch], group, topic):
                found.append((batch.first, Commit(-1, offsets)))
        for transaction in ended:
            offsets = _committed_offsets(transaction.batches, group, topic) if transaction.committed else {}
            if offsets:
                found.append((transaction.batches[0].first, Commit(transaction.producer, offsets)))
    return [commit for _, commit in sorted(found, key=lambda item: item[0])]


def open_transactions(log: Path) -> list[str]:
    """Partitions in which a transaction has no end yet."""
    return [
        f"{partition.name}: producer {transaction.producer} from offset {transaction.batches[0].first}"
        for partition in sorted(log.iterdir())
        if partition.is_dir() and not partition.name.startswith("__cluster_metadata")
        for transaction in transactions(partition)[0]
        if transaction.committed is None
    ]


def records(batch: Batch) -> Iterator[Record]:
    """The records of a batch that is not compressed."""
    data, at = batch.body, 0
    for _ in range(batch.records):
        length, at = _varint(data, at)
        end = at + length
        at += 1
        for _ in range(2):  # deltas of timestamp and offset
            _, at = _varint(data, at)
        key, at = _bytes(data, at)
        value, at = _bytes(data, at)
        yield Record(key, value)
        at = end


def _is_commit(batch: Batch) -> bool:
    record = next(records(batch))
    _version, kind = struct.unpack_from(">hh", record.key or b"\0\0\0\0")
    return bool(kind == COMMIT)


def _committed_offsets(written: list[Batch], group: str, topic: str) -> dict[int, int]:
    offsets = {}
    for batch in written:
        for key, value in records(batch):
            if key is None or value is None or struct.unpack_from(">h", key)[0] not in OFFSET_COMMIT_KEYS:
                continue
            its_group, at = _string(key, 2)
            its_topic, at = _string(key, at)
            if (its_group, its_topic) == (group, topic):
                offsets[struct.unpack_from(">i", key, at)[0]] = struct.unpack_from(">q", value, 2)[0]
    return offsets


def _varint(data: bytes, at: int) -> tuple[int, int]:
    shift = value = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at


def _bytes(data: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _varint(data, at)
    return (None, at) if length < 0 else (data[at : at + length], at + length)


def _string(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + length].decode(), at + 2 + length
