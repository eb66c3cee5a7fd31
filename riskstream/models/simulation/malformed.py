"""Malformed records: good ones, each broken in one way, with the reason that decode must find for it.

A kind is a row in KINDS: its name, the reason, and a function from a good record to the key and value that go out.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class MalformedRecord(NamedTuple):
    kind: str
    key: bytes | None
    value: bytes | None
    reason: str  # from schemas.dead_letter.REASONS


class Good(NamedTuple):
    """A record that would be scored, and its event's fields."""

    key: bytes
    value: bytes
    fields: dict[str, Any]


Broken = tuple[bytes | None, bytes | None]
Break = Callable[[Good], Broken]


def malformed_records(seed: int, count: int, good: Sequence[bytes]) -> list[MalformedRecord]:
    """`count` records of all kinds in equal shares, shuffled. `good` are values that decode accepts; at least one.

    Records must carry the time of their sending, or none of them is from the future.
    """
    if not good:
        raise ValueError("malformed records are made from good ones: give at least one")
    rng = np.random.default_rng([seed, *b"malformed"])
    kinds = rng.permutation(np.arange(count) % len(KINDS)).tolist()
    templates = rng.integers(0, len(good), count).tolist()
    return [_break(KINDS[kind], good[template]) for kind, template in zip(kinds, templates, strict=True)]


def _break(row: "Kind", value: bytes) -> MalformedRecord:
    fields = json.loads(value)
    key, broken = row.apply(Good(fields["user_id"].encode(), value, fields))
    return MalformedRecord(row.name, key, broken, row.reason)


def _value(value: bytes | None) -> Break:
    """Another value in place of the good one."""
    return lambda good: (good.key, value)


def _bytes(change: Callable[[bytes], bytes]) -> Break:
    """The good value's bytes, changed."""
    return lambda good: (good.key, change(good.value))


def _with(**changes: Any) -> Break:
    """Some fields replaced; a function is given the good field."""

    def apply(good: Good) -> Broken:
        replaced = {name: new(good.fields[name]) if callable(new) else new for name, new in changes.items()}
        return good.key, _dump({**good.fields, **replaced})

    return apply


def _literal(field: str, literal: bytes) -> Break:
    """A field with a literal that no JSON writer would write."""

    def apply(good: Good) -> Broken:
        return good.key, _dump({**good.fields, field: "@literal@"}).replace(b'"@literal@"', literal)

    return apply


def _without(field: str) -> Break:
    return lambda good: (good.key, _dump({name: value for name, value in good.fields.items() if name != field}))


def _twice(field: str, value: Any) -> Break:
    """A field named again, with another value: readers would disagree."""
    return _bytes(lambda good: good[:-1] + b"," + _dump({field: value})[1:])


def _key(change: Callable[[bytes], bytes | None]) -> Break:
    return lambda good: (change(good.key), good.value)


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


class Kind(NamedTuple):
    name: str
    reason: str
    apply: Break


KINDS: tuple[Kind, ...] = (
    Kind("tombstone", "empty_value", _value(None)),
    Kind("no bytes", "empty_value", _value(b"")),
    Kind("blank", "empty_value", _value(b" \n\t ")),
    Kind("huge", "too_large", _with(note="x" * 100_000)),
    Kind("schema-registry framing", "schema_registry_framing", _bytes(lambda value: b"\x00\x00\x00\x00\x2a" + value)),
    Kind("gzip", "compressed", _bytes(lambda value: gzip.compress(value, mtime=0))),
    Kind("zstd", "compressed", _bytes(lambda value: b"\x28\xb5\x2f\xfd" + value)),
    Kind("lz4", "compressed", _bytes(lambda value: b"\x04\x22\x4d\x18" + value)),
    Kind("snappy", "compressed", _bytes(lambda value: b"\x82SNAPPY\x00" + value)),
    Kind("byte order mark", "bad_encoding", _bytes(lambda value: b"\xef\xbb\xbf" + value)),
    Kind("utf-16", "bad_encoding", _bytes(lambda value: value.decode().encode("utf-16"))),
    Kind("latin-1", "bad_encoding", _literal("note", b'"caf\xe9"')),
    Kind("lone surrogate", "bad_encoding", _literal("note", rb'"\ud83d"')),
    Kind("cut short", "not_json", _bytes(lambda value: value[: len(value) // 2])),
    Kind("two documents", "not_json", _bytes(lambda value: value + b"\n" + value)),
    Kind("trailing comma", "not_json", _bytes(lambda value: value[:-1] + b",}")),
    Kind("single quotes", "not_json", _bytes(lambda value: value.replace(b'"', b"'"))),
    Kind("plain text", "not_json", _value(b"connection reset by peer")),
    Kind("xml", "not_json", _value(b"<payment/>")),
    Kind("not a number", "not_json", _literal("amount", b"NaN")),
    Kind("infinity", "not_json", _literal("amount", b"Infinity")),
    Kind("array", "not_an_object", _bytes(lambda value: b"[" + value + b"]")),
    Kind("string", "not_an_object", _bytes(lambda value: json.dumps(value.decode()).encode())),
    Kind("number", "not_an_object", _value(b"42")),
    Kind("null", "not_an_object", _value(b"null")),
    Kind("deep nesting", "nested_too_deep", _literal("note", b"[" * 300 + b"]" * 300)),
    Kind("amount twice", "duplicate_key", _twice("amount", 1)),
    Kind("user twice", "duplicate_key", _twice("user_id", "somebody-else")),
    Kind("no event id", "missing_field", _without("event_id")),
    Kind("no amount", "missing_field", _without("amount")),
    Kind("no event time", "missing_field", _without("event_time")),
    Kind("amount as text", "wrong_type", _with(amount=str)),
    Kind("amount in major units", "wrong_type", _with(amount=lambda amount: amount / 100 + 0.005)),
    Kind("amount true", "wrong_type", _with(amount=True)),
    Kind("currency null", "wrong_type", _with(currency=None)),
    Kind("mcc as number", "wrong_type", _with(mcc=int)),
    Kind("country as object", "wrong_type", _with(country=lambda country: {"code": country})),
    Kind("event time as text", "wrong_type", _with(event_time="2026-09-01T12:00:00Z")),
    Kind("card present as text", "wrong_type", _with(card_present="yes")),
    Kind("negative amount", "out_of_range", _with(amount=-1)),
    Kind("absurd amount", "out_of_range", _with(amount=10**15)),
    Kind("beyond 64 bits", "out_of_range", _literal("amount", b"9" * 400)),
    Kind("1e400", "out_of_range", _literal("amount", b"1e400")),
    Kind("empty id", "bad_length", _with(event_id="")),
    Kind("long id", "bad_length", _with(merchant_id=lambda merchant: merchant * 20)),
    Kind("country of three letters", "bad_length", _with(country="DEU")),
    Kind("mcc of three digits", "bad_length", _with(mcc="742")),
    Kind("braces in an id", "bad_characters", _with(event_id="{event}")),
    Kind("control character in an id", "bad_characters", _with(merchant_id="mer\u0007")),
    Kind("currency in lower case", "bad_characters", _with(currency=str.lower)),
    Kind("letters in the mcc", "bad_characters", _with(mcc="54A1")),
    Kind("seconds", "wrong_time_unit", _with(event_time=lambda time: time // 1_000)),
    Kind("microseconds", "wrong_time_unit", _with(event_time=lambda time: time * 1_000)),
    Kind("nanoseconds", "wrong_time_unit", _with(event_time=lambda time: time * 1_000_000)),
    Kind("far future", "time_in_future", _with(event_time=4_000_000_000_000)),
    Kind("no key", "missing_key", _key(lambda key: None)),
    Kind("empty key", "missing_key", _key(lambda key: b"")),
    Kind("somebody else's key", "key_mismatch", _key(lambda key: key + b"0")),
    Kind("key as JSON", "key_mismatch", _key(lambda key: b'"' + key + b'"')),
)
