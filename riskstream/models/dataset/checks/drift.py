"""Against the reference of an earlier bundle: is this still the world that the model was made for?"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from riskstream.models.bundle import Histogram
from riskstream.models.dataset.checks.finding import SHOWN, Finding, Subject
from riskstream.models.drift.statistics import psi

FAR, MOVED = 0.25, 0.1  # of the PSI: the usual limits, for samples that are large enough
CHANCE = 1e-4  # how often a feature that did not move may exceed the limit of its sample sizes


def drift(subject: Subject) -> Finding:
    """The population stability index of each feature, missing values counted as a bin."""
    if subject.reference is None:
        return Finding("pass", "not asked for: --reference BUNDLE compares with an earlier bundle")
    known = [name for name in subject.features if name in subject.reference.features]
    rows = subject.rows_of("train", "gap", "calibration", "test")
    found = []
    for name in known:
        then = subject.reference.features[name]
        now = _counts(subject.feature(name)[rows], then)
        before = np.array([*then.counts, then.missing], np.float64)
        found.append((name, *_moved(before, now)))
    found.sort(key=lambda row: row[2] - row[1])
    shown = [(name, f"{value:.4f}", f"{noise:.4f}") for name, value, noise in found[:SHOWN]]
    headers = ("feature", "PSI", "chance alone")
    lost = [name for name in subject.reference.features if name not in subject.features]
    advice = "train a new model, or find out what changed in the source"
    for limit, verdict in ((FAR, "fail"), (MOVED, "warn")):
        far = [name for name, value, noise in found if value > max(limit, noise)]
        if far:
            said = f"{len(far)} features have moved (PSI above {limit}): {', '.join(far[:3])}"
            return Finding(verdict, said, headers, shown, advice)  # type: ignore[arg-type]
    if lost:
        return Finding(
            "warn", f"the reference knows {', '.join(lost[:3])}, the data set does not", headers, shown, advice
        )
    return Finding("pass", f"{len(known)} features are distributed as in the reference", headers, shown)


def _counts(values: NDArray[np.float32], like: Histogram) -> NDArray[np.float64]:
    there = values[~np.isnan(values)]
    bins = np.searchsorted(np.array(like.edges), there, side="right")
    counts = np.bincount(bins, minlength=len(like.edges) + 1)
    return np.append(counts, len(values) - len(there)).astype(np.float64)


def _moved(before: NDArray[np.float64], now: NDArray[np.float64]) -> tuple[float, float]:
    """The PSI, and what it hardly exceeds by chance alone: bins of one distribution give chi2 (1/m + 1/n)."""
    value = float(psi(before, now, np.zeros(1, np.int64))[0])
    used = int(((before + now) > 0).sum())
    noise = float(chi2.ppf(1 - CHANCE, max(used - 1, 1))) * (1 / max(before.sum(), 1) + 1 / max(now.sum(), 1))
    return (value if np.isfinite(value) else 0.0), noise
