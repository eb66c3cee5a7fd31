"""Why msgspec refused a value: its exception becomes a rejection with a stable reason.

What msgspec says may quote the payload, so none of its text goes out. Only what it took from the schema (type names,
bounds, names of required fields) is copied into the message.
"""

import json
import re
from collections.abc import Callable
from typing import Final

import msgspec

from riskstream.schemas.dead_letter import Rejection

Refusal = msgspec.DecodeError | UnicodeDecodeError | RecursionError
REFUSALS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_PATH = re.compile(r" - at `\$\.?([^`]*)`\Z")
_BYTE = re.compile(r"\(byte (\d+)\)\Z")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_NOT_NUMBERS = re.compile(rb"-?(?:NaN|Infinity|nan|inf)")

# First match wins. {0}, {1}, ... are taken from msgspec's text, where the schema put them.
_MEANINGS: Final = tuple(
    (re.compile(pattern), reason, message)
    for pattern, reason, message in (
        (r"Object missing required field `([^`]*)`", "missing_field", "required field is missing"),
        (r"Expected `([^`]*)`, got `([^`]*)`", "wrong_type", "expected {0}, got {1}"),
        (r"Expected `\w+` of length ([<>=]+ \d+)", "bad_length", "expected a length {0}"),
        (r"Expected `(?:int|float)` ([<>=]+ [-+.\de]+)", "out_of_range", "expected a number {0}"),
        (r"(?:Integer value|Number) out of range", "out_of_range", "the number is beyond 64 bits"),
    )
)
_UNITS: Final[tuple[tuple[str, Callable[[int], int]], ...]] = (
    ("seconds", lambda time: time * 1_000),
    ("microseconds", lambda time: time // 1_000),
    ("nanoseconds", lambda time: time // 1_000_000),
)


class _Time(msgspec.Struct):
    event_time: int


def explain(value: bytes, error: Refusal, times: range) -> Rejection:
    """The rejection of a `value` that msgspec refused with `error`. `times` are those that the schema allows."""
    if isinstance(error, RecursionError):
        return Rejection("nested_too_deep", "", "arrays and objects are nested too deep")
    if isinstance(error, UnicodeDecodeError):
        return Rejection("bad_encoding", "", "the value is not UTF-8")
    if not isinstance(error, msgspec.ValidationError):
        return _syntax(value, str(error))
    rejection = _meaning(str(error))
    if rejection.reason == "out_of_range" and rejection.field == "event_time":
        return _time_unit(value, times) or rejection
    return rejection


def _meaning(text: str) -> Rejection:
    path = _PATH.search(text)
    field = path[1] if path else ""
    for pattern, reason, message in _MEANINGS:
        if match := pattern.match(text):
            if reason == "missing_field":
                return Rejection(reason, ".".join(filter(None, (field, match[1]))), message)
            if reason == "wrong_type" and not field:
                return Rejection("not_an_object", "", f"the value is JSON, but {match[2]} instead of object")
            return Rejection(reason, field, message.format(*match.groups()))
    return Rejection("invalid_value", field, "the value breaks a rule of the schema")


def _syntax(value: bytes, text: str) -> Rejection:
    position = _BYTE.search(text)
    if position is None:
        at = "the document ends too early"
    elif _NOT_NUMBERS.match(value, max(int(position[1]) - 1, 0)) or _NOT_NUMBERS.match(value, int(position[1])):
        return Rejection("not_json", "", f"NaN and Infinity are not JSON, at byte {position[1]}")
    elif "trailing characters" in text:
        at = f"something follows the document, at byte {position[1]}"
    else:
        at = f"malformed at byte {position[1]}"
    if _has_lone_surrogate(value):
        return Rejection("bad_encoding", "", "an escaped surrogate lacks its other half")
    return Rejection("not_json", "", at)


def _has_lone_surrogate(value: bytes) -> bool:
    """Whether half a surrogate pair is all that is wrong: Python's parser accepts it, msgspec does not."""
    if not _SURROGATE.search(value):
        return False
    try:
        json.loads(value, parse_int=len, parse_float=len, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError("not JSON")


def _time_unit(value: bytes, times: range) -> Rejection | None:
    try:
        time = msgspec.json.decode(value, type=_Time).event_time
    except REFUSALS:
        return None
    for unit, to_milliseconds in _UNITS:
        if to_milliseconds(time) in times:
            return Rejection("wrong_time_unit", "event_time", f"event_time looks like {unit}, send milliseconds")
    return None
