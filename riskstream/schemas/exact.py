"""What msgspec lets pass and the contract does not, found exactly on one value, in plain Python.

Slow (about ten microseconds), so the decoder asks only where its pass over the bytes could not prove a record good.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from riskstream.schemas.dead_letter import Rejection

MAX_DEPTH = 32  # an event is nearly flat; a fixed limit, as Python's own depends on who calls

_BLANK = b" \t\r\n"
_BRACKETS = re.compile(rb"[][{}]")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+\\?"?', re.DOTALL)
_CHARACTER_CLASS = re.compile(r"\^(\[[^\]]+\])\+\$")
_WIDE = "the value looks like UTF-16 or UTF-32, send UTF-8"
_STARTS = (
    (b"\x1f\x8b", "compressed", "the value looks like gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed", "the value looks like zstd"),
    (b"\x04\x22\x4d\x18", "compressed", "the value looks like lz4"),
    (b"\xff\x06\x00\x00sNaPpY", "compressed", "the value looks like snappy"),
    (b"\x82SNAPPY\x00", "compressed", "the value looks like snappy"),
    (b"\x78\x01", "compressed", "the value looks like zlib"),
    (b"\x78\x9c", "compressed", "the value looks like zlib"),
    (b"\x78\xda", "compressed", "the value looks like zlib"),
    (b"\xff\xfe", "bad_encoding", _WIDE),
    (b"\xfe\xff", "bad_encoding", _WIDE),
    (b"{\x00", "bad_encoding", _WIDE),
    (b"\x00{", "bad_encoding", _WIDE),
    (b"\xef\xbb\xbf", "bad_encoding", "the value starts with a byte order mark, send UTF-8 without it"),
    (b"\x00", "schema_registry_framing", "the value starts with a zero byte, send plain JSON"),
)


class TextRule(NamedTuple):
    """The characters that a text field may have."""

    name: str  # in the JSON
    attribute: str  # of the struct
    allowed: str  # such as [A-Z]
    accepts: Callable[[str], re.Match[str] | None]


def text_rules(event: type[msgspec.Struct]) -> tuple[TextRule, ...]:
    """The fields of `event` that are typed by `fields.chars`, with their characters."""
    return tuple(
        TextRule(field.encode_name, field.name, match[1], re.compile(f"{match[1]}*").fullmatch)
        for field in struct_type(event).fields
        for schema in _extra_schemas(field.type)
        if (match := _CHARACTER_CLASS.fullmatch(schema.get("pattern", "")))
    )


def time_range(event: type[msgspec.Struct]) -> range:
    """The event times that the type of the field `event_time` allows."""
    for field in struct_type(event).fields:
        if field.name == "event_time" and isinstance(kind := bare(field.type), inspect.IntType):
            return range(kind.ge or 0, (kind.le or 2**63 - 1) + 1)
    raise TypeError(f"{event.__name__} has no integer field event_time")


def longest_text(event: type[msgspec.Struct], name: str) -> int | None:
    """The most characters that the type of the field allows; None where it has no bound or is no text."""
    kind = next(bare(field.type) for field in struct_type(event).fields if field.name == name)
    return kind.max_length if isinstance(kind, inspect.StrType) else None


def struct_type(event: type[msgspec.Struct]) -> inspect.StructType:
    """What msgspec knows of an event type."""
    kind = bare(inspect.type_info(event))
    if not isinstance(kind, inspect.StructType):
        raise TypeError(f"{event.__name__} is not a msgspec Struct")
    return kind


def bare(kind: inspect.Type) -> inspect.Type:
    """The type without what annotates it."""
    return bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _extra_schemas(kind: inspect.Type) -> Iterator[dict[str, Any]]:
    for choice in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        if isinstance(choice, inspect.Metadata):
            yield choice.extra_json_schema or {}


def foreign(value: bytes) -> Rejection | None:
    """The rejection of bytes that are no JSON text at all, by how they start, or because they are not UTF-8."""
    if not value.strip(_BLANK):
        return Rejection("empty_value", "", "the value is empty")
    for start, reason, message in _STARTS:
        if value.startswith(start):
            return Rejection(reason, "", message)
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return Rejection("bad_encoding", "", f"the value is not UTF-8, at byte {error.start}")
    return None


def too_deep(value: bytes) -> Rejection | None:
    """The rejection of an object that nests deeper than MAX_DEPTH. Also right for text that is not quite JSON."""
    if not value.lstrip(_BLANK).startswith(b"{"):
        return None
    level = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", value)):
        level += 1 if bracket in b"[{" else -1
        if level > MAX_DEPTH:
            return Rejection("nested_too_deep", "", f"arrays and objects are nested deeper than {MAX_DEPTH}")
    return None


def named_twice(value: bytes, known: frozenset[str]) -> Rejection | None:
    """The rejection of an object whose top level has a key twice, however it is escaped. `value` is valid JSON."""
    seen: set[str] = set()
    for key, _ in json.loads(value, object_pairs_hook=list, parse_int=len, parse_float=len):
        if key in seen:
            field = key if key in known else ""
            return Rejection(
                "duplicate_key", field, "the object names this key twice" if field else "a key comes twice"
            )
        seen.add(key)
    return None


def forbidden_characters(event: msgspec.Struct, rules: tuple[TextRule, ...]) -> Rejection | None:
    """The rejection of an event with a text outside its field's characters."""
    for rule in rules:
        text = getattr(event, rule.attribute)
        if text is not None and not rule.accepts(text):
            return Rejection("bad_characters", rule.name, f"allowed are only {rule.allowed}")
    return None
