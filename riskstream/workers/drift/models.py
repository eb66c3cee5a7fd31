"""The models that workers run, as far as the sidecar knows them: their references, by which it judges."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog

from riskstream.models.bundle import BundleError, load_bundle
from riskstream.models.domain import load_domain
from riskstream.models.drift.judgement import Judge, Rules
from riskstream.models.drift.sketch import SketchLayout
from riskstream.models.drift.tally import Shape
from riskstream.workers.errors import RegistryError, Unavailable, UnknownVersion
from riskstream.workers.registry.source import bundle_directory
from riskstream.workers.settings import Settings
from riskstream.workers.settings_sources import SettingsError

log = structlog.get_logger(__name__)

ASK_AGAIN_S = 60.0


class Models:
    """Judges by model label. A model that workers run and nobody knows here is asked for again every minute."""

    def __init__(self, find: Callable[[str], Iterator[Path]], rules: Rules, settings: Settings) -> None:
        """`find(label)` yields bundle directories that may be those of the model."""
        self._find = find
        self._rules = rules
        self._features = load_domain(settings.domain).features
        self._judges: dict[str, Judge] = {}
        self._asked: dict[str, float] = {}

    def layout(self, label: str, identity: str) -> SketchLayout | None:
        """The layout of this id, None if the model is unknown or was made with other bins."""
        judge = self.judge(label)
        return judge.shape.layout if judge and judge.shape.layout.id == identity else None

    def judge(self, label: str) -> Judge | None:
        if label not in self._judges and time.monotonic() - self._asked.get(label, -ASK_AGAIN_S) >= ASK_AGAIN_S:
            self._asked[label] = time.monotonic()
            self._learn(label)
        return self._judges.get(label)

    def _learn(self, label: str) -> None:
        for path in self._find(label):
            try:
                bundle = load_bundle(path, self._features)
            except BundleError as error:
                log.warning("a bundle is not used", reason=str(error))
                continue
            layout = SketchLayout.of(bundle)
            self._judges.setdefault(bundle.label, Judge(Shape(layout, bundle.reference), self._rules))
        if label not in self._judges:
            log.warning(
                "workers run a model that is not known here, so it is not watched",
                model=label,
                next="put its bundle into RISKSTREAM_DRIFT_BUNDLES or the registry",
            )


def find_in(settings: Settings) -> Callable[[str], Iterator[Path]]:
    """Looks into the directory of bundles, then asks for RISKSTREAM_BUNDLE, then for the label in the registry."""
    features = load_domain(settings.domain).features

    def find(label: str) -> Iterator[Path]:
        yield from sorted(_folders(settings.drift_bundles))
        wanted: Sequence[str | None] = (str(settings.bundle) if settings.bundle else None, label)
        for name in wanted:
            try:
                if name:
                    yield bundle_directory(settings.model_copy(update={"bundle": Path(name)}), features)
            except (SettingsError, UnknownVersion, RegistryError, Unavailable, BundleError) as error:
                log.debug("no bundle there", bundle=name, reason=str(error))

    return find


def _folders(root: Path | None) -> Iterator[Path]:
    if root and root.is_dir():
        yield from (path.parent for path in root.glob("*/bundle.json"))
