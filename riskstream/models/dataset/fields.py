"""Foreign columns become the fields of the contract: names, units, times, vocabularies. Whole columns at a time.

What cannot become what the contract says is set aside as it is ("odd"): the contract will say what is wrong with it.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from riskstream.models.dataset.manifest import DatasetError
from riskstream.models.dataset.mapping import Field, Mapping

Odd = dict[int, dict[str, Any]]

EXPONENTS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND"), 0),
    **dict.fromkeys(("VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
"""Decimals of a currency's minor unit, where they are not two (ISO 4217)."""

TYPES: dict[str, Any] = {"integer": pl.Int64, "number": pl.Float64, "boolean": pl.Boolean, "string": pl.String}
PYTHON: dict[str, type] = {"integer": int, "number": float, "boolean": bool, "string": str}
UNITS = {"epoch_s": 1_000.0, "epoch_ms": 1.0, "epoch_us": 0.001}
ISO = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
CLOSE = 1e-6  # of a minor unit: what a decimal fraction loses as a float
TRUE_FALSE = {"true": True, "false": False}


class Fields(NamedTuple):
    """A column per field of the event, as its type; `odd`: place -> field -> a value that is not of the type."""

    columns: dict[str, pl.Series]
    odd: Odd


def json_type(annotation: Any) -> str:
    """integer, number, boolean or string. Raises DatasetError for what is no scalar."""
    schema = msgspec.json.schema(annotation)
    kinds = [choice.get("type") for choice in schema.get("anyOf", [schema])]
    known = [kind for kind in kinds if kind in TYPES]
    if len(known) != 1:
        raise DatasetError(f"a data set holds whole numbers, floats, booleans and text, not {annotation}")
    return str(known[0])


class Translate:
    """Makes fields of an event type from the columns of a file."""

    def __init__(self, event: type[msgspec.Struct], mapping: Mapping) -> None:
        self._types = {field.name: json_type(field.type) for field in msgspec.structs.fields(event)}
        self._sources = {name: mapping.fields.get(name) for name in self._types}
        self._required = [field.name for field in msgspec.structs.fields(event) if field.required]

    @property
    def types(self) -> dict[str, type]:
        """The Python type of each field."""
        return {name: PYTHON[kind] for name, kind in self._types.items()}

    def needed(self) -> list[str]:
        """The columns that are looked for."""
        sources = ((name if source is None else source.column) for name, source in self._sources.items())
        return [column for column in sources if column is not None]

    def missing(self, columns: Iterable[str]) -> list[str]:
        """What is wrong with a file of these columns, in sentences."""
        known = list(columns)
        there = ", ".join(map(repr, known))
        lost = [
            f"fields.{name}.column: there is no column {source.column!r}, only {there}"
            for name, source in self._sources.items()
            if source is not None and source.column is not None and source.column not in known
        ]
        absent = [name for name in self._required if self._sources[name] is None and name not in known]
        if absent:
            advice = f"map each to one of {there}, or to a constant (--mapping)"
            lost.append(f"the required fields {', '.join(absent)} have no column of their name: {advice}")
        return lost

    def __call__(self, frame: pl.DataFrame, row: NDArray[np.int64], odd: Odd) -> Fields:
        """The fields of a piece. Its own odd values go through as they are, under the name of the field."""
        found: Odd = {}
        columns: dict[str, pl.Series] = {}
        # The currency says how many decimals an amount has.
        for name in sorted(self._types, key=lambda name: name != "currency"):
            source = self._sources[name]
            if source is None and name not in frame.columns:
                columns[name] = pl.Series(name, [None] * len(row), TYPES[self._types[name]])
                continue
            raw = _raw(name, source, frame, row)
            columns[name] = self._typed(name, source, raw, columns.get("currency"), found)
            column = name if source is None else source.column
            for place, values in odd.items():
                if column in values:
                    found.setdefault(place, {})[name] = values[column]
        return Fields({name: columns[name] for name in self._types}, found)

    def _typed(
        self, name: str, source: Field | None, raw: pl.Series, currency: pl.Series | None, odd: Odd
    ) -> pl.Series:
        kind, given = self._types[name], raw
        if source is not None and source.values:
            raw = raw.cast(pl.String).replace(list(source.values), [str(value) for value in source.values.values()])
        if name == "event_time" or (source is not None and source.format != "epoch_ms"):
            typed = to_epoch_ms(raw, source or Field(column=name))
        elif source is not None and source.unit == "major" and currency is not None:
            raw = _minor_units(raw, currency)
            typed = _whole(raw.round() if source.round else raw, CLOSE)
        else:
            typed = _cast(raw, kind, explicit=source is not None)
        for place in np.flatnonzero((typed.is_null() & given.is_not_null()).to_numpy()).tolist():
            odd.setdefault(place, {})[name] = _plain(given[place] if raw[place] is None else raw[place])
        return typed.alias(name)


def _raw(name: str, source: Field | None, frame: pl.DataFrame, row: NDArray[np.int64]) -> pl.Series:
    if source is None or source.column is not None:
        found = frame[name if source is None else source.column or ""]
        return found.fill_nan(None) if found.dtype.is_float() else found  # what pandas calls missing
    if source.row is not None:
        return pl.Series(name, row).cast(pl.String).str.replace("^", source.row.replace("$", "$$"))
    return pl.Series(name, [source.constant]).new_from_index(0, len(row))


def to_epoch_ms(raw: pl.Series, source: Field) -> pl.Series:
    """Times as epoch milliseconds; null where there is none to be read."""
    if isinstance(raw.dtype, pl.Date | pl.Datetime):
        return _epoch(raw.cast(pl.Datetime("ms", getattr(raw.dtype, "time_zone", None))), source.zone)
    if source.format in UNITS:
        number = raw if raw.dtype.is_numeric() else raw.cast(pl.Float64, strict=False)
        scaled = number if UNITS[source.format] == 1 else (number.cast(pl.Float64) * UNITS[source.format]).round()
        whole = _whole(scaled)
        return whole if source.origin is None else whole + int(source.origin.timestamp() * 1000)
    if raw.dtype != pl.String:
        return pl.Series(raw.name, [None] * len(raw), pl.Int64)
    text = raw.str.replace(r"^(\d{4}-\d\d-\d\d) ", "${1}T").str.replace("[zZ]$", "+00:00")
    found = pl.Series(raw.name, [None] * len(raw), pl.Int64)
    for pattern in ISO if source.format == "iso" else (source.format,):
        subject = text if source.format == "iso" else raw
        zone = "UTC" if "z" in pattern else None
        moments = subject.str.strptime(pl.Datetime("ms", zone), pattern, strict=False)
        found = found.zip_with(found.is_not_null(), _epoch(moments, source.zone))
    return found


def _epoch(moments: pl.Series, zone: str) -> pl.Series:
    """A moment that clocks show twice is the earlier one; one that they skip is none. Raises DatasetError."""
    if getattr(moments.dtype, "time_zone", None) is None:
        try:
            moments = moments.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        except pl.exceptions.ComputeError as error:
            raise DatasetError(
                f"column {moments.name!r}: zone: there is no {zone!r}; write one such as Europe/Berlin"
            ) from error
    return moments.dt.epoch("ms")


def _minor_units(raw: pl.Series, currency: pl.Series) -> pl.Series:
    decimals = currency.replace_strict(EXPONENTS, default=2, return_dtype=pl.Int64)
    number = raw if raw.dtype.is_numeric() else raw.cast(pl.Float64, strict=False)
    return number.cast(pl.Float64) * 10.0 ** decimals.cast(pl.Float64)


def _whole(raw: pl.Series, tolerance: float = 0.0) -> pl.Series:
    """Whole numbers as int64; a fraction, or what is larger, is null."""
    if raw.dtype.is_decimal():
        floor = raw.cast(pl.Int64, strict=False)
        return floor.set((floor != raw).fill_null(value=False), None)
    if not raw.dtype.is_float():
        return raw.cast(pl.Int64, strict=False)
    near = raw.round()
    exact = (raw - near).abs() <= tolerance * near.abs().clip(lower_bound=1.0)
    return near.set(~exact.fill_null(value=False), None).cast(pl.Int64, strict=False)


def _cast(raw: pl.Series, kind: str, *, explicit: bool) -> pl.Series:
    """Text becomes what the field is, as CSV has nothing else; numbers become text only where the mapping says so."""
    nothing = pl.Series(raw.name, [None] * len(raw), TYPES[kind])
    text = raw.dtype == pl.String or isinstance(raw.dtype, pl.Categorical | pl.Enum)
    if kind == "string":
        return raw.cast(pl.String) if text or (explicit and not raw.dtype.is_float()) else nothing
    if kind == "boolean":
        lower = raw.cast(pl.String).str.to_lowercase() if text else raw
        return (
            lower.replace_strict(TRUE_FALSE, default=None, return_dtype=pl.Boolean)
            if text
            else (raw if raw.dtype == pl.Boolean else nothing)
        )
    if raw.dtype == pl.Boolean or not (text or raw.dtype.is_numeric()):
        return nothing
    number = raw.cast(pl.String).cast(pl.Int64, strict=False) if text else raw
    if kind == "number":
        return raw.cast(pl.String).cast(pl.Float64, strict=False) if text else raw.cast(pl.Float64)
    return _whole(number)


def _plain(value: Any) -> Any:
    """As JSON can say it."""
    return value if isinstance(value, bool | int | float | str) else str(value)
