"""The mapping: how foreign columns become the fields of the contract. A TOML file, so that no code is needed.

[fields.event_id]           # a table for each field that is not simply there under its own name
column = "id"               # from this column ...
# row = "tx-"               # ... or this text and the row's number ...
# constant = "web"          # ... or the same for all
values = { POS = "pos" }    # foreign value = ours
[fields.amount]
column = "Amount"
unit = "major"              # 12.34 of a currency with two decimals is 1234; round = true rounds what is finer
[fields.event_time]
column = "Time"
format = "epoch_s"          # epoch_s, epoch_ms, epoch_us, iso, or a pattern such as "%d.%m.%Y %H:%M:%S"
zone = "Europe/Berlin"      # of times that name none
origin = "2013-09-01T00:00:00Z"   # what a number counts from, if not 1970

[place]                     # if the rows have one in a topic; else they are numbered by time
partition = "partition"
offset = "offset"
partitions = 12             # to spread users over, if there is no column

[labels]                    # from a file of their own (--labels), or from columns beside the events
event_id = "event_id"
column = "Class"            # multi-label: columns = ["chargeback", "takeover"]
classes = ["honest", "fraud"]
values = { 0 = "honest", 1 = "fraud" }
known_at = { column = "reported", format = "iso" }
# delay_days = 0            # instead of known_at: a label is known so long after its event
kind = "fraud_kind"         # optional: a note to break results down by
"""

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from riskstream.models.dataset.manifest import DatasetError, Labels

Scalar = str | int | float | bool
MANY_DAYS = 36_500


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a field comes from: exactly one of `column`, `row` and `constant`; and what is done to it."""

    column: str | None = None
    row: str | None = None
    constant: Scalar | None = None
    values: dict[str, Scalar] = {}
    unit: str = "minor"
    round: bool = False
    format: str = "epoch_ms"
    zone: str = "UTC"
    origin: datetime | None = None

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.column, self.row, self.constant)) != 1:
            raise ValueError("give exactly one of `column`, `row` and `constant`")
        if self.unit not in ("minor", "major"):
            raise ValueError(f"`unit` is `minor` or `major`, not `{self.unit}`")
        if self.format not in ("epoch_s", "epoch_ms", "epoch_us", "iso") and "%" not in self.format:
            raise ValueError(f"`format` is epoch_s, epoch_ms, epoch_us, iso or a pattern, not `{self.format}`")
        if self.origin is not None and self.origin.tzinfo is None:
            raise ValueError("`origin` needs a zone, such as a Z at its end")


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The columns of partition and offset: both, or neither."""

    partition: str | None = None
    offset: str | None = None
    partitions: Annotated[int, Meta(ge=1)] = 12

    def __post_init__(self) -> None:
        if (self.partition is None) != (self.offset is None):
            raise ValueError("give both `partition` and `offset`, or neither, to number the events by time")


class LabelMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where labels come from. Without `values` a label is a class's name or its position."""

    event_id: str = "event_id"
    column: str = "label"
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ("honest", "fraud")
    values: dict[str, str] = {}
    known_at: Field = Field(column="known_at")
    delay_days: Annotated[float, Meta(ge=0, le=MANY_DAYS)] | None = None
    kind: str = "fraud_kind"

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"`classes` must be two or more, each once, not {list(self.classes)}")
        if unknown := set(self.values.values()) - set(self.classes):
            raise ValueError(f"`values` names {sorted(unknown)}, which `classes` does not")

    @property
    def labels(self) -> Labels:
        if self.columns:
            return Labels(kind="multilabel", classes=self.columns)
        return Labels(kind="binary" if len(self.classes) == 2 else "multiclass", classes=self.classes)


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fields: dict[str, Field] = {}
    place: Place | None = None
    labels: LabelMapping = LabelMapping()


def read_mapping(path: Path | None, event: type[msgspec.Struct]) -> Mapping:
    """The mapping in the file, or the one that changes nothing. Raises DatasetError, which names the key."""
    if path is None:
        return Mapping()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: {error}") from error
    known, given = event.__struct_fields__, raw.pop("fields", {})
    if not isinstance(given, dict):
        raise DatasetError(f"{path}: fields: write a table for each field, such as [fields.amount]")
    if unknown := [name for name in given if name not in known]:
        raise DatasetError(f"{path}: fields.{unknown[0]}: {event.__name__} has no such field, only {', '.join(known)}")
    fields = {name: _converted(path, f"fields.{name}", table, Field) for name, table in given.items()}
    for name, field in fields.items():
        if field.unit == "major" and "currency" not in known:
            raise DatasetError(f"{path}: fields.{name}.unit: {event.__name__} has no currency: give minor units")
    return msgspec.structs.replace(_converted(path, "", raw, Mapping), fields=fields)


T = TypeVar("T")


def _converted(path: Path, key: str, raw: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$")
        where = (key + place.rstrip("`")).strip(".")
        said = said.replace("Object contains unknown field", "there is no key").replace("Expected", "expected")
        raise DatasetError(f"{path}: {where or 'the mapping'}: {said}") from error


def as_dict(mapping: Mapping) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(mapping)
    return plain
