"""The stats record on the wire: what a worker counted of a run of offsets, for the sidecar to add up.

It stands in the transaction of a later batch than those it counts, so whatever is counted has been committed. Ranges
of one partition touch and never overlap; what no range covers was committed by a worker that died before it said so.
A record that comes again has the same range and the same bytes.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from riskstream.schemas.dead_letter import REASONS
from riskstream.schemas.fields import EpochMs
from riskstream.schemas.score import Digest

Count = Annotated[int, Meta(ge=0)]
Slot = Annotated[int, Meta(ge=0, description="start of the slot of time, milliseconds since 1970-01-01 UTC")]


class SlotSketch(msgspec.Struct, frozen=True, kw_only=True):
    """Scored events of one slot of event time, of one segment."""

    slot: Slot
    segment: Annotated[str, Meta(description="such as channel=web; empty if workers count none")] = ""
    counts: Annotated[
        bytes,
        Meta(
            description="a vector of integers, added up number by number: zigzag varints, where a zero byte and a "
            "varint n stand for n + 1 zeros; riskstream.models.drift.sketch says which is which"
        ),
    ]


class SlotRefusals(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters of one slot of record time, of one reason."""

    slot: Slot
    reason: Annotated[str, Meta(description="as in the dead letter", examples=list(REASONS)[:1])]
    count: Count


class StatsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker made of the offsets from `first_offset` up to, not including, `next_offset` of a partition."""

    model: Annotated[str, Meta(description="name@version of the model")]
    layout: Annotated[Digest, Meta(description="hash of the bins: only counts of one layout can be added")]
    partition: Annotated[int, Meta(ge=0, description="partition of the events, and of this record")]
    first_offset: Count
    next_offset: Count
    slot_ms: Annotated[int, Meta(ge=1, description="length of the slots")]
    latest: (
        Annotated[
            EpochMs, Meta(description="largest event time so far, none taken for later than its record's own time")
        ]
        | None
    ) = None
    sketches: tuple[SlotSketch, ...] = ()
    dead_letters: tuple[SlotRefusals, ...] = ()

    def __post_init__(self) -> None:
        if self.first_offset >= self.next_offset:
            raise ValueError(f"offsets {self.first_offset} to {self.next_offset} are no range")


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StatsRecord).decode


def encode_stats(record: StatsRecord) -> bytes:
    return _encode(record)


def decode_stats(data: bytes) -> StatsRecord:
    """The record in `data`. Raises msgspec.DecodeError if it does not follow the contract."""
    return _decode(data)
