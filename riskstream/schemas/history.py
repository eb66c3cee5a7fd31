"""A user's history as Redis holds it: keys, the applied mark, the stored facts, the namespace record.

A history value is the partition's epoch (8 bytes, little-endian) followed by the user's facts in offset order. The
applied mark says up to which input offset the stored facts of that epoch are complete. A value of another epoch is
not to be believed: its partition was rebuilt since.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

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

    def history(self, user: bytes) -> bytes:
        return self.prefix + b"u:" + user

    def histories(self, users: Iterable[bytes]) -> list[bytes]:
        """The same for many."""
        prefix = self.prefix + b"u:"
        return [prefix + user for user in users]


def namespace_key(namespace: str, topic: str) -> bytes:
    return f"rs:{namespace}/{topic}".encode()


def profile_key(user: bytes) -> bytes:
    """Where other systems write the profile of `user` (JSON)."""
    return PROFILES + user


def profile_keys(users: Iterable[bytes]) -> list[bytes]:
    return [PROFILES + user for user in users]


def encode_history(epoch: int, facts: bytes | bytearray) -> bytes:
    return epoch.to_bytes(EPOCH_BYTES, "little") + facts


class Histories(NamedTuple):
    """Of several users: `facts` int64[m, W], one user's after the other's, each in offset order; `counts` int64[n], how
    many are whose; `exact` bool[n], whether the stored value is exactly these. If not, it is to be written anew, not
    appended to."""

    facts: NDArray[np.int64]
    counts: NDArray[np.int64]
    exact: NDArray[np.bool_]


def decode_histories(values: Sequence[bytes | None], layout: FactLayout, applied: Applied) -> Histories:
    """The believable facts in the stored values of a partition's users.

    Not believed: another epoch, facts at or above the applied mark, repeats of an offset. Raises CorruptHistory when
    bytes are cut off; a rebuild under a new epoch gets past such a value.
    """
    epoch = encode_history(applied.epoch, b"")
    bodies = [b"" if value is None or not value.startswith(epoch) else value[EPOCH_BYTES:] for value in values]
    sizes = np.fromiter(map(len, bodies), np.int64, len(bodies))
    cut = sizes[sizes % layout.size != 0]
    if len(cut):
        whole = int(cut[0]) + EPOCH_BYTES
        raise CorruptHistory(f"a history has {whole} bytes, not {EPOCH_BYTES} and a multiple of {layout.size}")
    facts = np.frombuffer(b"".join(bodies), WORD).reshape(-1, len(layout.words))
    counts = sizes // layout.size
    doubtful = _doubtful(facts[:, OFFSET], counts, applied.offset)
    if doubtful.any():
        of_users = np.split(facts, np.cumsum(counts)[:-1])
        for row in np.flatnonzero(doubtful).tolist():
            of_users[row] = _believable(of_users[row], applied.offset)
        facts, counts = np.concatenate(of_users), np.array([len(some) for some in of_users], np.int64)
    return Histories(facts, counts, (sizes > 0) & ~doubtful)


def _doubtful(offsets: NDArray[np.int64], counts: NDArray[np.int64], mark: int) -> NDArray[np.bool_]:
    """Whose offsets do not rise, or reach the mark."""
    user = np.repeat(np.arange(len(counts)), counts)
    wrong = offsets >= mark
    wrong[1:] |= (offsets[1:] <= offsets[:-1]) & (user[1:] == user[:-1])
    doubtful = np.zeros(len(counts), np.bool_)
    doubtful[user[wrong]] = True
    return doubtful


def _believable(facts: NDArray[np.int64], mark: int) -> NDArray[np.int64]:
    _, kept = np.unique(facts[:, OFFSET], return_index=True)
    rows = facts[kept]
    return rows[rows[:, OFFSET] < mark]
