"""Examples to learn from: a labelled log as feature vectors, made by the functions that serve live events."""

import hashlib
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.domain import Domain
from riskstream.models.offline import replay
from riskstream.models.simulation import SimulatedLog

# A live join loses some profiles (stale, unreachable). A model that never saw that would be lost then too.
PROFILE_LOSS = 0.1
TRAIN_SHARE, CALIBRATION_SHARE = 0.6, 0.2


@dataclass(frozen=True)
class Examples:
    """Row k of each is example k, in the log's order."""

    features: NDArray[np.float32]
    labels: NDArray[np.uint8]
    kinds: NDArray[np.str_]  # of fraud; empty if honest

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> "Examples":
        return Examples(self.features[rows], self.labels[rows], self.kinds[rows])


@dataclass(frozen=True)
class Split:
    """In time order, as in life: learn from the past, calibrate on what came next, be judged on what came last."""

    train: Examples
    calibration: Examples
    test: Examples


def make_examples(domain: Domain, log: SimulatedLog, seed: int) -> Examples:
    """The log after its first horizon, which only warms the histories: live ones are warm too.

    Repeats are left out: they are the same example again.
    """
    count = len(log.events)
    places = np.zeros(count, np.int32), np.arange(count)
    vectors = replay(domain, log.events, *places, _profiles(domain, log, seed))
    warm = log.events[0].event_time + domain.features.spec.horizon_ms
    event_time = np.array([event.event_time for event in log.events])
    kept = (vectors.original < 0) & (event_time >= warm)
    return Examples(vectors.features[kept], log.labels[kept], np.array(log.fraud_kinds)[kept])


def split_by_time(examples: Examples) -> Split:
    first = int(len(examples) * TRAIN_SHARE)
    second = first + int(len(examples) * CALIBRATION_SHARE)
    return Split(examples[:first], examples[first:second], examples[second:])


def fingerprint(log: SimulatedLog) -> str:
    """The sha256 of all that the examples were made of."""
    digest = hashlib.sha256()
    for part in (log.events, log.fraud_kinds, log.profiles):
        digest.update(msgspec.json.encode(part, order="sorted"))
    return digest.hexdigest()


def _profiles(domain: Domain, log: SimulatedLog, seed: int) -> list[msgspec.Struct | None]:
    """What the join would have found for each event: as live, a stale profile is none, and some are lost on the way."""
    lost = np.random.default_rng([seed, *b"profiles lost"]).random(len(log.events)) < PROFILE_LOSS
    found: list[msgspec.Struct | None] = []
    for event, gone in zip(log.events, lost.tolist(), strict=True):
        profile = None if gone else log.profiles.get(event.user_id)
        stale = profile is not None and event.event_time - profile.computed_at > domain.profile_max_age_ms
        found.append(None if stale else profile)
    return found
