"""What a bundle must have shown before it may run. Recorded when it was trained, or tried now."""

from typing import NamedTuple

from riskstream.models.bundle import Bundle, BundleError, Manifest
from riskstream.models.scorer import Scorer

PARITY_LIMIT = 1e-6
MARGIN = 0.01
COMPARED = ("auc", "average_precision")


class Gate(NamedTuple):
    """One condition. A waivable one may be overridden by a person with a reason."""

    name: str
    passed: bool
    told: str
    waivable: bool = False


def gates(bundle: Bundle, live: Manifest | None) -> list[Gate]:
    """All of them; `live` is the manifest of the version that runs now, if there is one."""
    manifest = bundle.manifest
    return [_smoke(bundle), *_recorded(manifest), *(_not_worse(manifest, live) if live else [])]


def _smoke(bundle: Bundle) -> Gate:
    try:
        Scorer(bundle)
    except BundleError as error:
        return Gate("smoke cases", False, str(error))
    return Gate("smoke cases", True, f"{len(bundle.smoke.rows)} score as expected")


def _recorded(manifest: Manifest) -> list[Gate]:
    """What training measured. A bundle that does not say so was not measured."""
    limits = {"parity_max": PARITY_LIMIT, "flips": 0.0, "checks_failed": 0.0}
    return [_at_most(name, manifest.metrics.get(name), limit) for name, limit in limits.items()]


def _at_most(name: str, value: float | None, limit: float) -> Gate:
    if value is None:
        return Gate(name, False, "is not recorded in the bundle's metrics; train it anew")
    return Gate(name, value <= limit, f"{value:.3g}, allowed {limit:.3g}")


def _not_worse(manifest: Manifest, live: Manifest) -> list[Gate]:
    """Each by its own test part: a margin, because two tests are never alike. `model diff --on` compares on one."""
    found = []
    for name in COMPARED:
        new, old = manifest.metrics.get(name), live.metrics.get(name)
        if old is not None:
            told = f"{'not recorded' if new is None else f'{new:.4f}'}, live {live.version} has {old:.4f}"
            passed = new is not None and new >= old - MARGIN
            found.append(Gate(name, passed, f"{told}, margin {MARGIN}", waivable=True))
    return found
