"""What the registry knows of a model, read from MLflow's tags; and how it is written into them.

    of a model version     riskstream.version, riskstream.sha256 (of bundle.json), riskstream.proposed (who, when, why)
    of a registered model  riskstream.history.NNNNNN.KEY, one for each change of state; none is ever written again

What has no such tags belongs to others and is passed over.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar

import msgspec

from riskstream.models.lifecycle import Change, History, State, fold
from riskstream.models.versions import Label, order, parse_label
from riskstream.workers.errors import RegistryError, UnknownVersion

VERSION, SHA256, PROPOSED, HISTORY = (f"riskstream.{name}" for name in ("version", "sha256", "proposed", "history."))


class Signed(msgspec.Struct, frozen=True):
    """Who did it, when (aware), and why."""

    by: str
    at: datetime
    why: str = ""


class Stored(NamedTuple):
    """A model version as MLflow tells it. `number` is MLflow's own: given by the server, one after the other."""

    number: int
    source: str
    run_id: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Registered:
    """A registered bundle."""

    label: Label
    stored: Stored
    sha256: str
    proposed: Signed


@dataclass(frozen=True)
class Model:
    """All versions of a name, oldest first, and their history."""

    name: str
    versions: dict[str, Registered]
    history: History

    def find(self, label: Label) -> Registered:
        if label.version not in self.versions:
            known = ", ".join(self.versions) or "none of that name"
            named = str(label) if label.version else label.name
            raise UnknownVersion(f"{named} is not registered; there is: {known}. See `riskstream model list`.")
        return self.versions[label.version]

    def state(self, version: str) -> State:
        return self.history.states[version]

    @property
    def latest(self) -> Registered | None:
        return next(reversed(self.versions.values()), None)


def read_model(name: str, tags: Mapping[str, str], stored: Iterable[Stored]) -> Model:
    """RegistryError if a tag of ours is not as we write them."""
    versions: dict[str, Registered] = {}
    # Two may have registered the same version at once. The first number holds, for every reader.
    for each in sorted(stored, key=lambda one: one.number):
        if (label := parse_label(f"{name}@{each.tags.get(VERSION, '')}")) and label.version not in versions:
            signed = _decoded(name, PROPOSED, each.tags.get(PROPOSED, ""), Signed)
            versions[label.version] = Registered(label, each, each.tags.get(SHA256, ""), signed)
    ordered = {version: versions[version] for version in sorted(versions, key=order)}
    changes = [(key, _decoded(name, key, text, Change)) for key, text in tags.items() if key.startswith(HISTORY)]
    return Model(name, ordered, fold(ordered, changes))


def version_tags(label: Label, sha256: str, signed: Signed) -> dict[str, str]:
    return {VERSION: label.version, SHA256: sha256, PROPOSED: _text(signed)}


def change_tag(change: Change) -> tuple[str, str]:
    """A key that nobody else has, and its value."""
    return f"{HISTORY}{change.seq:06d}.{secrets.token_hex(4)}", _text(change)


def _text(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


T = TypeVar("T")


def _decoded(name: str, key: str, text: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise RegistryError(f"model {name}: MLflow's tag {key} was changed by others: {error}") from error
