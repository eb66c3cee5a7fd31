"""Semantic versions of a model: what a new number says about what changed.

    major   what a worker must agree with: another feature set, another kind of output or other classes
    minor   another model: other bytes in model.onnx, or other training data
    patch   the same model with another calibration, other thresholds, reference or smoke cases

A version is computed from the newest registered bundle of the name before the new bundle is written.
"""

import re
from typing import Literal, NamedTuple

from riskstream.models.bundle import MODEL, Manifest

FIRST = "1.0.0"
LABEL = re.compile(r"([a-z0-9][a-z0-9-]{0,62})@((?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?)")

Part = Literal["major", "minor", "patch"]


class Label(NamedTuple):
    """NAME@VERSION, which names one bundle."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class Difference(NamedTuple):
    """The part of the version that must grow, and what is different."""

    part: Part
    what: str


def parse_label(text: str) -> Label | None:
    """None for what is not NAME@VERSION, such as a directory."""
    match = LABEL.fullmatch(text)
    return Label(match[1], match[2]) if match else None


def order(version: str) -> tuple[int, int, int, bool, str]:
    """The sort key of a version; a pre-release (1.2.0-rc1) comes before its release."""
    numbers, _, pre = version.partition("-")
    major, minor, patch = map(int, numbers.split("."))
    return major, minor, patch, not pre, pre


def difference(old: Manifest, new: Manifest) -> Difference | None:
    """The first that holds, by rising order of harmlessness. None: the same model, whatever day it was made on."""
    return next((Difference(part, what) for part, what, differs in _differences(old, new) if differs), None)


def _differences(old: Manifest, new: Manifest) -> tuple[tuple[Part, str, bool], ...]:
    return (
        ("major", "the feature set", old.feature_set != new.feature_set),
        ("major", "the kind of output", old.output.kind != new.output.kind),
        ("major", "the task", old.output.task != new.output.task),
        ("major", "the classes", old.output.classes != new.output.classes),
        ("minor", MODEL, old.files[MODEL] != new.files[MODEL]),
        ("minor", "the training data", old.training.fingerprint != new.training.fingerprint),
        ("patch", "the calibration", old.calibration != new.calibration),
        ("patch", "the thresholds", old.thresholds != new.thresholds),
        ("patch", "the reference or the smoke cases", old.files != new.files),
    )


def next_version(latest: Manifest | None, new: Manifest) -> str:
    """The version that `new` must bear after `latest`: its own number again if nothing differs."""
    if latest is None:
        return FIRST
    change = difference(latest, new)
    return latest.version if change is None else bump(latest.version, change.part)


def bump(version: str, part: Part) -> str:
    major, minor, patch, *_ = order(version)
    return {
        "major": f"{major + 1}.0.0",
        "minor": f"{major}.{minor + 1}.0",
        "patch": f"{major}.{minor}.{patch + 1}",
    }[part]
