"""A user's history as Redis holds it: keys, the applied mark, the stored facts, the namespace record.

A history value is the partition's epoch (8 bytes, little-endian) followed by the user's facts in offset order. The
applied mark says up to which input offset the stored facts of that epoch are complete. A value of another epoch is
not to be believed: its partition was rebuilt since.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np

from riskstream.schemas.facts import OFFSET, WORD, FactLayout

COMPLETE = 0
"""`since` of a partition whose log holds every event there ever was."""
UNKNOWN = -1
"""`since` of a partition that has not seen a record yet."""

EPOCH_BYTES = 8
PROFILES = b"rs:profile:"


class CorruptHistory(ValueError):
    """A stored value cannot be what a worker wrote."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A partition's applied mark: facts below `offset` are stored, and complete for event times from `since` on."""

    epoch: int
    offset: int
    since: int

    def encode(self) -> bytes:
        return b"%d:%d:%d" % (self.epoch, self.offset, self.since)

    @classmethod
    def decode(cls, raw: bytes) -> "Applied":
        """The mark in `raw`. Raises CorruptHistory when it is not one."""
        try:
            epoch, offset, since = (int(part) for part in raw.split(b":"))
        except ValueError as error:
            raise CorruptHistory("the applied mark is not three integers") from error
        return cls(epoch, offset, since)


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """What the keys of a namespace were written for; a worker that disagrees must not touch them."""

    topic: str
    topic_id: str
    partitions: int
    layout: str
    layout_version: int
    capacity: int
    group: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of one partition's keys. The hash tag in braces keeps them on one Redis Cluster slot."""

    prefix: bytes

    @classmethod
    def of(cls, namespace: str, topic: str, partition: int) -> "Keys":
        return cls(f"rs:{{{namespace}/{topic}/{partition}}}:".encode())

    @property
    def applied(self) -> bytes:
        return self.prefix + b"applied"

    def history(self, user: str) -> bytes:
        return self.prefix + b"u:" + user.encode()

    def histories(self, users: Iterable[str]) -> list[bytes]:
        """The same for many."""
        prefix = self.prefix + b"u:"
        return [prefix + user.encode() for user in users]


def namespace_key(namespace: str, topic: str) -> bytes:
    return f"rs:{namespace}/{topic}".encode()


def profile_key(user: str) -> bytes:
    """Where other systems write the profile of `user` (JSON)."""
    return PROFILES + user.encode()


def profile_keys(users: Iterable[str]) -> list[bytes]:
    return [PROFILES + user.encode() for user in users]


def encode_history(epoch: int, facts: bytes | bytearray) -> bytes:
    return epoch.to_bytes(EPOCH_BYTES, "little") + facts


def decode_history(raw: bytes | None, layout: FactLayout, applied: Applied) -> tuple[bytes, bool]:
    """The believable facts in a stored value, in offset order, and whether the value is exactly these.

    Not believed: another epoch, facts at or above the applied mark, repeats of an offset. False as the second part
    means that the value must be written anew, not appended to. Raises CorruptHistory when bytes are cut off; a rebuild
    under a new epoch gets past such a value.
    """
    if raw is None or raw[:EPOCH_BYTES] != encode_history(applied.epoch, b""):
        return b"", False
    if (len(raw) - EPOCH_BYTES) % layout.size:
        raise CorruptHistory(f"a history has {len(raw)} bytes, not {EPOCH_BYTES} and a multiple of {layout.size}")
    facts = np.frombuffer(raw, WORD, offset=EPOCH_BYTES).reshape(-1, len(layout.words))
    offsets = facts[:, OFFSET]
    if len(offsets) and offsets[-1] < applied.offset and (offsets[1:] > offsets[:-1]).all():
        return raw[EPOCH_BYTES:], True
    _, kept = np.unique(offsets, return_index=True)
    return facts[kept][offsets[kept] < applied.offset].tobytes(), False
