"""A batch: the records that were taken together, as columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray

from riskstream.schemas.columns import whole_numbers
from riskstream.schemas.decode import Records


@dataclass(slots=True)
class Batch:
    """Records of all owned partitions; of one partition in offset order. `group` goes with their transaction.

    The arrays, int64[n], are for what asks for whole columns, the lists for what asks for one after the other.
    """

    topic: str
    messages: list[Message]
    partitions: list[int]
    offsets: list[int]
    records: Records
    group: Any
    partition_array: NDArray[np.int64] = field(init=False)
    offset_array: NDArray[np.int64] = field(init=False)
    next_offsets: Mapping[int, int] = field(init=False)
    """Per partition, the offset after its last record."""

    @classmethod
    def of(cls, topic: str, messages: list[Message], group: Any) -> Self:
        """The records in `messages`, none of which is an error."""
        # A mapped method costs half of what its call in a comprehension does.
        records = Records(
            list(map(Message.key, messages)),
            list(map(Message.value, messages)),
            [timestamp if kind else -1 for kind, timestamp in map(Message.timestamp, messages)],
        )
        partitions = cast("list[int]", list(map(Message.partition, messages)))
        offsets = cast("list[int]", list(map(Message.offset, messages)))
        return cls(topic, messages, partitions, offsets, records, group)

    def __post_init__(self) -> None:
        self.partition_array, self.offset_array = whole_numbers(self.partitions), whole_numbers(self.offsets)
        last = dict(zip(self.partitions, self.offsets, strict=True))
        self.next_offsets = {number: offset + 1 for number, offset in last.items()}

    @property
    def timestamp_array(self) -> NDArray[np.int64]:
        """Made when it is asked for, which is after the scores have left."""
        return whole_numbers(self.records.timestamps)
