"""A batch says of its records what each of them said."""

from typing import Any

from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from riskstream.schemas.decode import Records
from riskstream.workers.kafka.batch import Batch


def message(partition: int, offset: int, **more: Any) -> Message:
    given = {"key": b"u-1", "value": b"{}", "timestamp": (TIMESTAMP_CREATE_TIME, 1_000 + offset), **more}
    return Message(topic="in", partition=partition, offset=offset, **given)


def test_columns_hold_what_the_messages_do() -> None:
    batch = Batch.of("in", [message(3, 7), message(0, 1, key=None), message(3, 9, value=None)], "group")
    assert (batch.topic, batch.partitions, batch.offsets, batch.group) == ("in", [3, 0, 3], [7, 1, 9], "group")
    assert batch.records == Records([b"u-1", None, b"u-1"], [b"{}", b"{}", None], [1_007, 1_001, 1_009])


def test_arrays_are_the_same_columns() -> None:
    batch = Batch.of("in", [message(3, 7), message(0, 1)], None)
    assert batch.partition_array.tolist() == batch.partitions
    assert batch.offset_array.tolist() == batch.offsets
    assert batch.timestamp_array.tolist() == batch.records.timestamps


def test_a_record_without_a_timestamp_has_none() -> None:
    batch = Batch.of("in", [message(0, 1, timestamp=(0, 5))], None)
    assert batch.records.timestamps == [-1]


def test_offsets_of_a_partition_are_those_of_its_first_and_after_its_last_record() -> None:
    batch = Batch.of("in", [message(3, 7), message(0, 1), message(3, 9), message(3, 12)], None)
    assert batch.next_offsets == {3: 13, 0: 2}
