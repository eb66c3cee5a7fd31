"""The state, judged: features against folds over the log, and what Redis holds against the facts of the log.

Two folds: the offline replay, bit for bit, for all users looked at; and for some of them the slow oracle of the unit
tests, plain Python that shares no code with either, up to rounding.
"""

import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import numpy as np
import redis
import xxhash

from riskstream.models.domain import load_domain
from riskstream.models.offline import replay
from riskstream.schemas.digests import vector_digest
from riskstream.schemas.payment import Payment
from tests.faults.judge import Verdict
from tests.faults.reading import Place, Seen
from tests.unit.oracle import histories, payment_features

CAPACITY = 512
FACT_BYTES, EPOCH_BYTES = 64, 8
ORACLE_USERS, ORACLE_EVENTS = 5, 250
DOMAIN = load_domain("riskstream.models.payment")

User = tuple[int, str]
Fact = tuple[int, int, int, int]
"""Offset, event time, hash of the event's id, amount: what a fact begins with."""


@dataclass
class Log:
    """The accepted events of the users looked at, in offset order."""

    users: dict[User, list[tuple[int, dict[str, Any], bytes]]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, records: Iterable[tuple[Place, bytes]], scored: set[Place], one_in: int) -> "Log":
        """From input records by place; those that were scored, of one user in so many."""
        log = cls()
        for place, value in records:
            if place in scored:
                event = msgspec.json.decode(value)
                if zlib.crc32(event["user_id"].encode()) % one_in == 0:
                    log.users[place[0], event["user_id"]].append((place[1], event, value))
        for events in log.users.values():
            events.sort(key=lambda item: item[0])
        return log


def features(verdict: Verdict, log: Log, outs: Sequence[Seen]) -> int:
    """Each score's vector is what the log says, unless the score says that it is degraded. Answers how many were."""
    scores = {out.of: out for out in outs if out.scored and not out.degraded}
    rows = [(number, *event) for (number, _), events in log.users.items() for event in events]
    if not rows:
        return 0
    payments = [msgspec.json.decode(value, type=Payment) for *_, value in rows]
    places = np.array([row[0] for row in rows], np.int32), np.array([row[1] for row in rows], np.int64)
    vectors = replay(DOMAIN, payments, *places).features
    for row, expected in zip(rows, vector_digest(vectors), strict=True):
        out = scores.get((row[0], row[1]))
        if out and out.vector != expected:
            verdict.add("differing", f"input {out.of}: the log says vector {expected}, seen {out.vector}")
    _against_oracle(verdict, log, {(row[0], row[1]): vector for row, vector in zip(rows, vectors, strict=True)})
    return len(rows)


def _against_oracle(verdict: Verdict, log: Log, vectors: Mapping[Place, Any]) -> None:
    spec = DOMAIN.features.spec
    for (number, _user), events in sorted(log.users.items())[:ORACLE_USERS]:
        some = events[:ORACLE_EVENTS]
        payments = [msgspec.json.decode(value, type=Payment) for *_, value in some]
        offsets = np.array([offset for offset, *_ in some], np.int64)
        facts = DOMAIN.facts(DOMAIN.columns(payments), offsets).tolist()
        for payment, past, offset in zip(payments, histories(spec, facts), offsets.tolist(), strict=True):
            named = payment_features(payment, past.columns, None)
            row = np.array([named[name] for name in DOMAIN.features.names])
            if not np.allclose(vectors[number, offset], row, rtol=1e-6, atol=1e-12, equal_nan=True):
                verdict.add("differing", f"input {(number, offset)}: the slow oracle and the replay disagree")


def applied_marks(
    verdict: Verdict, log: Log, client: "redis.Redis", prefix: str, committed: Mapping[int, int], since: str = "0"
) -> None:
    """At rest each mark has reached the committed offset, and the stored histories are what the log says below it."""
    marks: dict[int, tuple[int, int]] = {}
    for number, offset in committed.items():
        raw = cast(bytes | None, client.get(f"rs:{{{prefix}/{number}}}:applied"))
        if raw is None or not raw.decode().endswith(f":{since}"):
            verdict.add("differing", f"partition {number}: expected a mark at {offset} since {since}, seen {raw!r}")
            continue
        epoch, at = (int(part) for part in raw.split(b":")[:2])
        if at != offset:
            verdict.add("differing", f"partition {number}: expected applied mark {offset} at rest, seen {at}")
        marks[number] = epoch, at
    for (number, user), events in log.users.items():
        if number in marks:
            stored = cast(bytes | None, client.get(f"rs:{{{prefix}/{number}}}:u:{user}"))
            _history(verdict, (number, user), [_fact(*event) for event in events], stored, marks[number])


def _history(verdict: Verdict, user: User, log: list[Fact], stored: bytes | None, mark: tuple[int, int]) -> None:
    epoch, below = mark
    expected = [fact for fact in _without_repeats(log) if fact[0] < below]
    if stored is None or int.from_bytes(stored[:EPOCH_BYTES], "little") != epoch:
        verdict.add("differing", f"{user}: expected {len(expected)} stored facts of the mark's epoch, seen none")
        return
    found = sorted(
        {fact for at in range(EPOCH_BYTES, len(stored), FACT_BYTES) if (fact := _stored(stored, at))[0] < below}
    )
    if len(found) < min(CAPACITY, len(expected)) or found != expected[len(expected) - len(found) :]:
        missing = sorted(set(expected[-CAPACITY:]) - set(found))[:1]
        extra = sorted(set(found) - set(expected))[:1]
        verdict.add(
            "differing",
            f"{user}: the log has {len(expected)} facts below {below}, Redis {len(found)}; "
            f"first missing {missing}, first that is not in the log {extra}",
        )


def _without_repeats(log: Iterable[Fact]) -> list[Fact]:
    facts: list[Fact] = []
    for fact in log:
        if fact[2] not in {known[2] for known in facts[-CAPACITY:]}:
            facts.append(fact)
    return facts


def _fact(offset: int, event: Mapping[str, Any], _value: bytes) -> Fact:
    (signed,) = struct.unpack("<q", struct.pack("<Q", xxhash.xxh3_64_intdigest(event["event_id"].encode())))
    return offset, event["event_time"], signed, event["amount"]


def _stored(raw: bytes, at: int) -> Fact:
    return cast(Fact, struct.unpack_from("<4q", raw, at))
