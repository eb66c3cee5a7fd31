"""The dead letter: a record that can never be scored, whole, with the reason in its headers.

Key, value and original headers go out byte for byte as they came; the headers below are added after them. Their names
follow Kafka Connect, so existing tools read them. What the topic cannot take is left out, and named. A reason is part
of the contract: alerts and dashboards name it, so it is never renamed, and the set stays small. The message is for
people, may change, and holds no payload text or ids.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

from riskstream.schemas.gaps import Gap

Stage = Literal["decode", "join", "assemble", "score", "decide", "publish", "commit"]
STAGES: tuple[Stage, ...] = get_args(Stage)

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "empty_value": "The record has no value (a tombstone), or nothing but whitespace.",
        "too_large": "The value has more bytes than the worker accepts.",
        "schema_registry_framing": "The value starts with the zero byte of a schema-registry serializer.",
        "compressed": "The value is a gzip, zstd, lz4 or snappy stream; compression belongs to the Kafka producer.",
        "bad_encoding": "The text is not plain UTF-8: another encoding, a byte order mark, or broken characters.",
        "not_json": "The value is not exactly one JSON document.",
        "not_an_object": "The value is JSON, yet not an object.",
        "nested_too_deep": "Arrays and objects are nested deeper than any event needs.",
        "duplicate_key": "The object names a key twice, so that readers may disagree about its value.",
        "missing_field": "A required field is missing.",
        "wrong_type": "A field has another JSON type than the schema says.",
        "out_of_range": "A number is outside the bounds of its field.",
        "bad_length": "A text is shorter or longer than its field allows.",
        "bad_characters": "A text has characters that its field does not allow.",
        "invalid_value": "A field breaks another rule of the schema.",
        "wrong_time_unit": "The event time looks like seconds, microseconds or nanoseconds instead of milliseconds.",
        "time_in_future": "The event time is too far after the time of the record.",
        "too_old": "The event time is too far before the time of the record.",
        "missing_key": "The record has no key, or an empty one.",
        "key_mismatch": "The key is not the event's user_id in UTF-8.",
        "skipped": "An operator skipped `offset` and all up to `skipped.end`, which could not be read.",
    }
)


class Rejection(NamedTuple):
    """Why a record can never be scored: a value, not an exception, so that it cannot sink its batch.

    `reason` is a key of REASONS, `field` the path of the field (empty when it is the record as a whole).
    """

    reason: str
    field: str
    message: str


HEADER_PREFIX = "__connect.errors."
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "topic": "topic of the original record",
        "partition": "partition of the original record",
        "offset": "offset of the original record",
        "timestamp": "timestamp of the original record, epoch milliseconds, -1 if unknown",
        "stage": "stage of the flow that refused it",
        "reason": "why, a stable code",
        "field": "path of the offending field, empty if it is the record as a whole",
        "exception.message": "why, for people; holds no payload text and no ids",
    }
)

LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "value.sha256": "sha256 of the original value, left out because the record did not fit with it",
        "headers.count": "number of the original headers, left out because the record did not fit with them",
        "headers.sha256": "sha256 of the original headers: each name and value after its length, 4 bytes big-endian",
        "key.sha256": "sha256 of the original key, left out because the record did not fit with it",
    }
)
"""Headers that only a dead letter has which is not whole, in the order in which parts are left out."""

SKIPPED: Mapping[str, str] = MappingProxyType(
    {
        "skipped.end": "the offset after the last that was skipped, `offset` being the first",
        "skipped.by": "who decided it",
        "skipped.at": "when, ISO 8601",
    }
)
"""Headers that only the record of a gap has, which has no key and no value."""

HEADER_LENGTHS = 10
"""Bytes that a header may need besides its name and value, for the lengths of both."""

Headers = Sequence[tuple[str, bytes | None]]


def dead_letter_headers(
    rejection: Rejection, stage: Stage, topic: str, partition: int, offset: int, timestamp: int
) -> list[tuple[str, bytes]]:
    """The headers that the publish stage adds after the original ones. All values are UTF-8 text."""
    values = (topic, partition, offset, timestamp, stage, *rejection)
    return [(HEADER_PREFIX + name, str(value).encode()) for name, value in zip(HEADERS, values, strict=True)]


def gap_headers(topic: str, partition: int, gap: Gap, by: str, why: str, at: str) -> list[tuple[str, bytes | None]]:
    """The headers of the record that stands for all records of a gap."""
    headers = dead_letter_headers(Rejection("skipped", "", why), "commit", topic, partition, gap.start, -1)
    values = zip(SKIPPED, (gap.end, by, at), strict=True)
    return [*headers, *((HEADER_PREFIX + name, str(value).encode()) for name, value in values)]


class Letter(NamedTuple):
    """A dead letter: the original key, value and headers, and what is added after them."""

    key: bytes | None
    value: bytes | None
    original: Headers
    added: Headers

    @property
    def size(self) -> int:
        """Bytes of its record at most, without the frame of the batch that it travels in."""
        headers = (*self.original, *self.added)
        return len(self.key or b"") + len(self.value or b"") + sum(map(_header_size, headers))


def fitted(letter: Letter, limit: int) -> Letter:
    """The letter in at most `limit` bytes, if what is added fits: first the value is left out, then the original
    headers, then the key, no more than has to be. A header names each loss."""
    if letter.size > limit and letter.value:
        letter = letter._replace(value=None, added=[*letter.added, _loss("value.sha256", _digest(letter.value))])
    if letter.size > limit and letter.original:
        count, digest = str(len(letter.original)).encode(), _digest(*_spelled(letter.original))
        losses = _loss("headers.count", count), _loss("headers.sha256", digest)
        letter = letter._replace(original=(), added=[*letter.added, *losses])
    if letter.size > limit and letter.key:
        letter = letter._replace(key=None, added=[*letter.added, _loss("key.sha256", _digest(letter.key))])
    return letter


def _header_size(header: tuple[str, bytes | None]) -> int:
    return len(header[0].encode()) + len(header[1] or b"") + HEADER_LENGTHS


def _loss(name: str, value: bytes) -> tuple[str, bytes]:
    return HEADER_PREFIX + name, value


def _digest(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).hexdigest().encode()


def _spelled(headers: Headers) -> Iterator[bytes]:
    for header in headers:
        for part in (header[0].encode(), header[1] or b""):
            yield len(part).to_bytes(4, "big")
            yield part
