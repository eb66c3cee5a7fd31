"""A batch: the records that were taken together, as columns."""

from collections.abc import Mapping
from typing import Any, Self, cast

import msgspec
import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray

from riskstream.schemas.columns import whole_numbers
from riskstream.schemas.decode import Records


class Batch(msgspec.Struct, frozen=True):
    """Records of all owned partitions; of one partition in offset order. `group` goes with their transaction.

    The arrays, int64[n], are made when asked for: mostly after the batch has been answered.
    """

    topic: str
    messages: list[Message]
    partitions: list[int]
    offsets: list[int]
    records: Records
    group: Any
    next_offsets: Mapping[int, int]
    """Per partition, the offset after its last record."""

    @classmethod
    def of(cls, topic: str, messages: list[Message], group: Any) -> Self:
        """The records in `messages`, none of which is an error."""
        # A mapped method costs half of what its call in a comprehension does.
        keys, values = list(map(Message.key, messages)), list(map(Message.value, messages))
        times = [timestamp if kind else -1 for kind, timestamp in map(Message.timestamp, messages)]
        partitions = cast("list[int]", list(map(Message.partition, messages)))
        offsets = cast("list[int]", list(map(Message.offset, messages)))
        return cls.of_columns(topic, messages, partitions, offsets, Records(keys, values, times), group)

    @classmethod
    def of_columns(
        cls,
        topic: str,
        messages: list[Message],
        partitions: list[int],
        offsets: list[int],
        records: Records,
        group: Any,
    ) -> Self:
        """Of lists with an entry for each record."""
        ends = {partition: offset + 1 for partition, offset in zip(partitions, offsets)}  # noqa: B905
        return cls(topic, messages, partitions, offsets, records, group, ends)

    @property
    def partition_array(self) -> NDArray[np.int64]:
        return whole_numbers(self.partitions)

    @property
    def offset_array(self) -> NDArray[np.int64]:
        return whole_numbers(self.offsets)

    @property
    def timestamp_array(self) -> NDArray[np.int64]:
        return whole_numbers(self.records.timestamps)
