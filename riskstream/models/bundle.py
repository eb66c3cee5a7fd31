"""The bundle: a model that can be deployed, as a directory that never changes once made.

    bundle.json     what it is: name, version, features, calibration, thresholds, origin; sha256 of the other files
    model.onnx      the model
    reference.json  how features and scores were distributed, as histograms: what drift is measured against
    smoke.json      inputs with the scores they must give; the scorer runs them before it scores anything else

`load_bundle` believes nothing: what it returns is whole, unchanged, safe to run and made for these features.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeVar

import msgspec
from msgspec import Meta

from riskstream.models.calibration import Calibration, PerLabel
from riskstream.models.graph import GraphError, check_graph
from riskstream.models.policy import Policy

MANIFEST, MODEL, REFERENCE, SMOKE = "bundle.json", "model.onnx", "reference.json", "smoke.json"
HASHED = (MODEL, REFERENCE, SMOKE)

Name = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,62}\Z")]
Version = Annotated[str, Meta(pattern=r"\A(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?\Z")]
Moment = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0)]


class BundleError(Exception):
    """The bundle must not be used. The message says which file, what is wrong and what to do."""


class FeatureNames(Protocol):
    """What a bundle must agree on with the feature table: the columns in order, and their definition's hash."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def id(self) -> str: ...


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Where the model's answer stands, and what it is about; `riskstream.models.outputs` says what becomes of it.

    - `binary`: column `column` of tensor `tensor` speaks for the last of two classes.
    - `multiclass`: a column per class, which exclude each other; the first class is the honest one.
    - `multilabel`: a column per label; any number of them may hold.

    `logit` is the better kind: a float32 probability may be 1 minus a rounded one, and small risks are then all alike.
    """

    kind: Literal["logit", "probability"] = "probability"
    task: Literal["binary", "multiclass", "multilabel"] = "binary"
    tensor: str
    column: Count = 0
    classes: Annotated[tuple[str, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        if self.task == "binary" and len(self.classes) != 2:
            raise ValueError(f"a binary output has two classes, not {len(self.classes)}")
        if self.task == "multiclass" and len(self.classes) < 2:
            raise ValueError("a multi-class output has at least two classes")


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """Where the model comes from, enough to make it again. `fingerprint` is the sha256 of the training data.

    `cuts` are the times, in epoch ms, between the parts of the data; `commit` is that of the code that trained.
    """

    fingerprint: str
    events: Count
    parameters: dict[str, str | int | float]
    libraries: dict[str, str]
    commit: str = ""
    cuts: dict[str, int] = {}


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """bundle.json. Only grows: a later field has a default, unknown fields pass."""

    format: Literal[1] = 1
    name: Name
    version: Version
    created_at: Moment
    input: str
    output: Output
    features: Annotated[tuple[str, ...], Meta(min_length=1)]
    feature_set: str
    calibration: Calibration
    thresholds: Policy
    training: Training
    metrics: dict[str, float]
    files: dict[str, str] = {}

    def __post_init__(self) -> None:
        labels = len(self.calibration.labels) if isinstance(self.calibration, PerLabel) else None
        if labels != (len(self.output.classes) if self.output.task == "multilabel" else None):
            raise ValueError("a multi-label output needs a calibration per label, any other output a single one")


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of values below the first edge, between edges (`edges[i] <= x < edges[i+1]`), and from the last one on.

    Counts add up over batches and workers, which is what makes the same histogram cheap to keep while scoring.
    `mean` and `variance` are those of a sketch of the same values: clipped and rounded as `SketchLayout.rounded` says.
    None where there is no value, and in bundles that are older than these fields.
    """

    edges: tuple[float, ...]
    counts: tuple[Count, ...]
    missing: Count = 0
    mean: float | None = None
    variance: float | None = None

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges need {len(self.edges) + 1} counts, not {len(self.counts)}")
        if any(not left < right for left, right in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges must increase")


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """reference.json, of the held-out part of the training log."""

    rows: Count
    features: dict[str, Histogram]
    score: Histogram
    decisions: dict[str, Count]


class Smoke(msgspec.Struct, frozen=True, kw_only=True):
    """smoke.json: feature rows (null is missing) and the calibrated score of each."""

    rows: Annotated[tuple[tuple[float | None, ...], ...], Meta(min_length=1)]
    expected: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.expected):
            raise ValueError(f"{len(self.rows)} rows but {len(self.expected)} expected scores")


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory. The scorer is made of one; nothing on disk is read again."""

    manifest: Manifest
    model: bytes
    reference: Reference
    smoke: Smoke

    @property
    def label(self) -> str:
        """How scores, metrics and logs name the model."""
        return f"{self.manifest.name}@{self.manifest.version}"


def load_bundle(path: Path, features: FeatureNames) -> Bundle:
    """Reads and checks a bundle made for `features`; raises BundleError. The scorer is the first to run it."""
    if not path.is_dir():
        raise BundleError(f"bundle {path}: not a directory; train one, or point the settings at a bundle's directory")
    manifest = _decoded(path, MANIFEST, _read(path, MANIFEST), Manifest)
    content = {name: _verified(path, name, manifest) for name in HASHED}
    try:
        check_graph(content[MODEL])
    except GraphError as error:
        raise BundleError(f"bundle {path}: {MODEL}: {error}") from error
    _check_features(path, manifest, features)
    reference = _decoded(path, REFERENCE, content[REFERENCE], Reference)
    smoke = _decoded(path, SMOKE, content[SMOKE], Smoke)
    _check_shapes(path, manifest, reference, smoke)
    return Bundle(manifest, content[MODEL], reference, smoke)


def write_bundle(path: Path, bundle: Bundle) -> Bundle:
    """Writes the bundle whole or not at all and returns it with its files' hashes. Refuses a path that is in use."""
    if path.exists():
        raise BundleError(f"bundle {path}: already exists, and a bundle never changes; choose another directory")
    bundle = sealed(bundle)
    content = {**_content(bundle), MANIFEST: msgspec.json.format(_json(bundle.manifest), indent=2)}
    path.parent.mkdir(parents=True, exist_ok=True)
    # A sibling, because only within one file system is the rename atomic.
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        for name, data in content.items():
            _write(draft / name, data)
        draft.chmod(0o755)
        draft.rename(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return bundle


def sealed(bundle: Bundle) -> Bundle:
    """The same with its files' hashes in the manifest, as it will be written."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in _content(bundle).items()}
    return replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, files=hashes))


def _content(bundle: Bundle) -> dict[str, bytes]:
    """The bytes of the hashed files."""
    return {MODEL: bundle.model, REFERENCE: _json(bundle.reference), SMOKE: _json(bundle.smoke)}


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        advice = "copy the whole bundle again or train a new one"
        raise BundleError(f"bundle {path}: {name}: {error.strerror or error}; {advice}") from error


def _verified(path: Path, name: str, manifest: Manifest) -> bytes:
    if name not in manifest.files:
        raise BundleError(f"bundle {path}: {MANIFEST}: gives no sha256 for {name}; train a new bundle")
    data = _read(path, name)
    seen = hashlib.sha256(data).hexdigest()
    if seen != manifest.files[name]:
        what = f"sha256 is {seen[:16]}.. but {MANIFEST} says {manifest.files[name][:16]}.."
        raise BundleError(f"bundle {path}: {name}: {what}; it was changed or copied in part: copy the bundle again")
    return data


def _check_features(path: Path, manifest: Manifest, features: FeatureNames) -> None:
    """The same names in the same order, and the same definitions behind them."""
    wanted, given = manifest.features, tuple(features.names)
    where = f"bundle {path}: {MANIFEST}"
    advice = "train a model for this feature table, or run the release it was made for"
    if wanted != given:
        padded = zip([*wanted, *[None] * len(given)], [*given, *[None] * len(wanted)], strict=True)
        index, (left, right) = next((i, pair) for i, pair in enumerate(padded) if pair[0] != pair[1])
        what = f"feature {index} is {left or 'none'} in the model and {right or 'none'} in the feature table"
        raise BundleError(f"{where}: {what} ({len(wanted)} and {len(given)} features); {advice}")
    if manifest.feature_set != features.id:
        what = f"feature set {manifest.feature_set} but the table is {features.id}: same names, other definitions"
        raise BundleError(f"{where}: {what}; {advice}")


def _check_shapes(path: Path, manifest: Manifest, reference: Reference, smoke: Smoke) -> None:
    if tuple(reference.features) != manifest.features:
        raise BundleError(f"bundle {path}: {REFERENCE}: its features are not those of {MANIFEST}; train a new bundle")
    for index, row in enumerate(smoke.rows):
        if len(row) != len(manifest.features):
            what = f"case {index} has {len(row)} values for {len(manifest.features)} features"
            raise BundleError(f"bundle {path}: {SMOKE}: {what}; train a new bundle")


def _json(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(value)


T = TypeVar("T")


def _decoded(path: Path, name: str, data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"bundle {path}: {name}: {error}; copy the bundle again or train a new one") from error


def _write(path: Path, data: bytes) -> None:
    """On disk, not only in the page cache, before the rename says that the bundle is there."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
