"""What people do with models: register, approve, make live, retire, fetch. Each leaves who, when and why behind."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import msgspec

from riskstream.models.bundle import MANIFEST, Bundle, BundleError, FeatureNames, Manifest, load_bundle, sealed
from riskstream.models.domain import load_domain
from riskstream.models.lifecycle import BEFORE, RUNNABLE, Change, State
from riskstream.models.versions import Label, difference, next_version
from riskstream.workers.errors import RegistryError
from riskstream.workers.registry.folder import locked, publish, withdraw
from riskstream.workers.registry.gates import Gate, gates
from riskstream.workers.registry.mlflow_store import MlflowStore, connect
from riskstream.workers.registry.place import Folder, Place, locate
from riskstream.workers.registry.records import Model, Registered, Signed
from riskstream.workers.settings import Settings

# The state that a command wants -> the command.
COMMANDS: dict[State, str] = {"approved": "approve", "live": "live", "retired": "retire"}


@dataclass(frozen=True)
class Registry:
    """An open registry, for bundles of one feature table."""

    store: MlflowStore
    place: Place
    features: FeatureNames

    def alone(self) -> AbstractContextManager[None]:
        """Embedded: one writer at a time. A server has no lock; there the history decides who was first."""
        return locked(self.place.root) if isinstance(self.place, Folder) else nullcontext()


def open_registry(settings: Settings) -> Registry:
    """The registry of the settings. Raises SettingsError, DomainError, Unavailable, RegistryError."""
    place = locate(settings.registry_uri, settings.registry_token)
    features = load_domain(settings.domain).features
    with locked(place.root) if isinstance(place, Folder) else nullcontext():  # the database may have to be made
        return Registry(connect(place), place, features)


def version_for(registry: Registry, bundle: Bundle) -> str:
    """The version that a bundle must be written with, whatever it bears now. Training asks before it writes."""
    return _version_after(registry, registry.store.model(bundle.manifest.name), sealed(bundle).manifest)


def register(registry: Registry, path: Path, signed: Signed, report: Path | None = None) -> Registered:
    """Adds the bundle in `path` as proposed, with its run. The same bundle again is answered with what is there.

    Raises BundleError, RegistryError (wrong version), Unavailable.
    """
    bundle = load_bundle(path, registry.features)
    label = Label(bundle.manifest.name, bundle.manifest.version)
    with registry.alone():
        model = registry.store.model(label.name)
        if label.version in model.versions and _same(registry, model, bundle):
            return model.find(label)
        _check_version(registry, model, bundle.manifest)
        return registry.store.add(bundle, path, digest(path), signed, report)


def approve(registry: Registry, label: Label, signed: Signed) -> list[Gate]:
    """proposed -> approved, if every gate holds; a reason in `signed` overrides the waivable ones."""
    with registry.alone(), downloaded(registry, label) as (model, path):
        _check_change(model, label, "approved")
        live = manifest_of(registry, model, model.history.live) if model.history.live else None
        held = gates(load_bundle(path, registry.features), live)
        if failed := [gate for gate in held if not gate.passed and not (gate.waivable and signed.why)]:
            advice = "" if not all(gate.waivable for gate in failed) else "\n--because REASON approves it all the same"
            lines = "\n".join(f"{gate.name}: {gate.told}" for gate in failed)
            raise RegistryError(f"{label} is not approved, a gate failed\n{lines}{advice}")
        _write(registry, model, label, "approved", signed)
        _publish(registry, label, path)
    return held


def make_live(registry: Registry, label: Label, signed: Signed) -> str | None:
    """approved -> live; answers the version that was live and is approved again, if there was one."""
    with registry.alone(), downloaded(registry, label) as (model, path):
        _check_change(model, label, "live")
        _publish(registry, label, path)
        registry.store.point_live(_write(registry, model, label, "live", signed))
    return model.history.live


def retire(registry: Registry, label: Label, signed: Signed) -> None:
    """-> retired, for good. Workers that name it start no more."""
    with registry.alone():
        model = registry.store.model(label.name)
        _check_change(model, label, "retired")
        after = _write(registry, model, label, "retired", signed)
        if isinstance(registry.place, Folder):
            withdraw(registry.place.root, label)
        if model.state(label.version) == "live":
            registry.store.point_live(after)


def fetch(registry: Registry, label: Label, to: Path) -> State:
    """Puts the bundle into the new directory `to`, checked and whole or not at all. Answers its state."""
    if to.exists():
        raise BundleError(f"bundle {to}: already exists, and a bundle never changes; choose another directory")
    to.parent.mkdir(parents=True, exist_ok=True)
    with downloaded(registry, label, beside=to) as (model, path):
        load_bundle(path, registry.features)
        path.rename(to)
    return model.state(label.version)


@contextmanager
def downloaded(registry: Registry, label: Label, beside: Path | None = None) -> Iterator[tuple[Model, Path]]:
    """The model, and a version's bundle as it was registered: bundle.json's sha256, which names those of the rest."""
    model = registry.store.model(label.name)
    known = model.find(label)
    with tempfile.TemporaryDirectory(prefix=".riskstream-", dir=beside.parent if beside else None) as draft:
        path = registry.store.download(known, Path(draft))
        _check_digest(known, path)
        yield model, path


def manifest_of(registry: Registry, model: Model, version: str) -> Manifest:
    known = model.versions[version]
    with tempfile.TemporaryDirectory(prefix=".riskstream-") as draft:
        path = registry.store.download(known, Path(draft), MANIFEST)
        _check_digest(known, path)
        return msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)


def _check_digest(known: Registered, path: Path) -> None:
    if (seen := digest(path)) != known.sha256:
        what = f"{MANIFEST} has sha256 {seen[:16]}.., registered was {known.sha256[:16]}.."
        raise RegistryError(f"{known.label}: {what}; its artefacts were changed: retire it and register it anew")


def digest(path: Path) -> str:
    try:
        return hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(f"bundle {path}: {MANIFEST}: {error.strerror}") from error


def _version_after(registry: Registry, model: Model, new: Manifest) -> str:
    latest = model.latest
    return next_version(manifest_of(registry, model, latest.label.version) if latest else None, new)


def _same(registry: Registry, model: Model, bundle: Bundle) -> bool:
    manifest = manifest_of(registry, model, bundle.manifest.version)
    return difference(manifest, bundle.manifest) is None


def _check_version(registry: Registry, model: Model, new: Manifest) -> None:
    """The first version of a name may be any, a team may bring a model along."""
    if model.latest is None:
        return
    latest = manifest_of(registry, model, model.latest.label.version)
    if new.version != (right := next_version(latest, new)):
        change = difference(latest, new)
        why = f"differs from {latest.version} in {change.what} ({change.part})" if change else "is the same model"
        what = f"it {why}, so its version is {right}, not {new.version}"
        raise RegistryError(f"{new.name}: {what}; a bundle never changes, so write it again with that version")


def _check_change(model: Model, label: Label, to: State) -> None:
    model.find(label)
    state = model.state(label.version)
    if state not in BEFORE[to]:
        wanted = " or ".join(BEFORE[to])
        first = f"; first `riskstream model {COMMANDS[BEFORE[to][0]]} {label}`" if state == "proposed" else ""
        raise RegistryError(f"{label} is {state}, and only what is {wanted} can become {to}{first}")


def _write(registry: Registry, model: Model, label: Label, to: State, signed: Signed) -> Model:
    """Appends to the history and looks whether the change took effect: another may have been quicker."""
    seq = 1 + len(model.history.steps) + len(model.history.overruled)
    change = Change(seq=seq, at=signed.at, by=signed.by, version=label.version, to=to, why=signed.why)
    registry.store.append(label.name, change)
    after = registry.store.model(label.name)
    if change not in [step.change for step in after.history.steps]:
        winner = next(step.change for step in reversed(after.history.steps) if step.change.version == label.version)
        raise RegistryError(f"{label}: {winner.by} was quicker, it is {winner.to} since {winner.at:%Y-%m-%d %H:%M} UTC")
    return after


def _publish(registry: Registry, label: Label, path: Path) -> None:
    if isinstance(registry.place, Folder):
        publish(registry.place.root, label, path)


__all__ = [
    "RUNNABLE",
    "Registry",
    "approve",
    "fetch",
    "make_live",
    "open_registry",
    "register",
    "retire",
    "version_for",
]
