"""Where a worker's bundle comes from: a directory, or NAME@VERSION in the registry. Needs no MLflow.

Of the registry a worker runs only what is approved or live. From a tracking server it keeps a copy, so that it can
start again while the server is away; the copy is asked about whenever the server is there.
"""

import hashlib
import tempfile
from pathlib import Path

import structlog

from riskstream.models.bundle import MANIFEST, BundleError, FeatureNames, load_bundle
from riskstream.models.lifecycle import RUNNABLE
from riskstream.models.versions import Label, parse_label
from riskstream.workers.errors import RegistryError, Unavailable
from riskstream.workers.registry.folder import runnable_path
from riskstream.workers.registry.place import Folder, locate
from riskstream.workers.registry.records import Registered
from riskstream.workers.registry.tracking_server import TrackingServer
from riskstream.workers.settings import Settings

log = structlog.get_logger(__name__)


def bundle_directory(settings: Settings, features: FeatureNames) -> Path:
    """The directory that RISKSTREAM_BUNDLE means. A directory of that very name is written `./name@1.0.0`.

    Raises SettingsError, BundleError, RegistryError (not approved, damaged) and Unavailable.
    """
    given = settings.required_bundle()
    label = parse_label(str(given))
    if label is None:
        return given
    place = locate(settings.registry_uri, settings.registry_token)
    if isinstance(place, Folder):
        return approved(place.root, label)
    return kept(TrackingServer(place), label, settings.registry_cache, features)


def approved(root: Path, label: Label) -> Path:
    """Of the embedded registry: what was approved lies there, nothing else does."""
    path = runnable_path(root, label)
    if not path.is_dir():
        what = f"{label} is neither approved nor live in the registry {root}"
        raise RegistryError(f"{what}; {_advice(label)}")
    return path


def kept(server: TrackingServer, label: Label, cache: Path, features: FeatureNames) -> Path:
    """Of a tracking server: the copy in `cache`, made now if there is none."""
    path = cache / label.name / label.version
    try:
        known = runnable(server, label)
        if _digest(path) != known.sha256:
            if path.exists():
                raise RegistryError(f"{path} is not {label} as it was registered; delete it, and it is fetched anew")
            _fetch(server, known, path, features)
    except Unavailable as error:
        if not path.exists():
            raise
        log.warning("the registry is away; the bundle of an earlier start is used", model=str(label), reason=str(error))
    return path


def runnable(server: TrackingServer, label: Label) -> Registered:
    model = server.model(label.name)
    known, state = model.find(label), model.state(label.version)
    if state not in RUNNABLE:
        raise RegistryError(f"{label} is {state}, and a worker runs what is {' or '.join(RUNNABLE)}; {_advice(label)}")
    return known


def _advice(label: Label) -> str:
    return f"see `riskstream model show {label.name}`; `riskstream model approve {label}` approves what is proposed"


def _fetch(server: TrackingServer, known: Registered, path: Path, features: FeatureNames) -> None:
    """Whole and checked, or not at all. Another worker may be doing the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as draft:
            bundle = Path(draft, path.name)
            bundle.mkdir()
            server.download(known, bundle)
            if _digest(bundle) != known.sha256:
                raise RegistryError(f"{known.label}: the server hands out another {MANIFEST} than was registered")
            load_bundle(bundle, features)
            _move(bundle, path)
    except OSError as error:
        what = f"cannot keep {known.label} in {path.parent}: {error.strerror}"
        raise BundleError(f"{what}; set RISKSTREAM_REGISTRY_CACHE to a directory that can be written") from error


def _move(bundle: Path, path: Path) -> None:
    try:
        bundle.rename(path)
    except OSError:
        if not path.exists():  # else another worker was quicker
            raise


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return None
