"""Calm windows of any size, from the simulator, through the features, the model and the workers' own counting.

A world of ten thousand customers pays for two months. The first month fills the histories, the next ten days are what
the reference is made of, as in training; the last weeks are what came after, and windows are drawn from those: an hour
of some customers' payments at a time, so that what a customer does within an hour stays together, from the same hour
of all days, so that the time of day shows. Hours with too few payments to draw from are passed over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskstream.models.bundle import Bundle
from riskstream.models.drift.counting import Counting, Events
from riskstream.models.drift.sketch import Sketch, SketchLayout
from riskstream.models.drift.tally import Shape
from riskstream.models.drift.window import Window
from riskstream.models.offline import replay
from riskstream.models.payment import DOMAIN
from riskstream.models.scorer import Scorer
from riskstream.models.simulation import SimulationConfig, simulate
from riskstream.models.training.evidence import make_reference
from riskstream.schemas.payment import CHANNELS

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
WORLD = SimulationConfig(seed=7, users=10_000, events=480_000, days=60)
WARM, REFERENCE = 30, 10  # days
LEAST_IN_AN_HOUR = 3_000


@dataclass(frozen=True)
class Scored:
    """Scored events as columns; a block is what one customer did within an hour."""

    vectors: NDArray[np.float32]
    scores: NDArray[np.float64]
    time: NDArray[np.int64]
    user: NDArray[np.int64]
    channel: NDArray[np.int64]

    def __getitem__(self, rows: Any) -> "Scored":
        return Scored(self.vectors[rows], self.scores[rows], self.time[rows], self.user[rows], self.channel[rows])

    def __len__(self) -> int:
        return len(self.scores)


def score_world(bundle: Bundle, config: SimulationConfig = WORLD) -> Scored:
    """The log after its first month, with the vectors and scores that the workers would have made."""
    log = simulate(config)
    count = len(log.events)
    found = [log.profiles.get(event.user_id) for event in log.events]
    vectors = replay(DOMAIN, log.events, np.zeros(count, np.int32), np.arange(count), found).features
    columns = DOMAIN.columns(log.events)
    warm = columns["event_time"] >= config.start_ms + WARM * DAY_MS
    user = np.array([int(event.user_id.rpartition("-")[2]) for event in log.events])
    vectors = np.ascontiguousarray(vectors[warm])
    return Scored(vectors, Scorer(bundle)(vectors), columns["event_time"][warm], user[warm], columns["channel"][warm])


@dataclass(frozen=True, eq=False)
class Traffic:
    """Where windows come from: the reference was made of `before`, `pool` is what came after it."""

    bundle: Bundle
    shape: Shape
    before: Scored
    pool: Scored

    @classmethod
    def of(cls, bundle: Bundle, world: Scored) -> "Traffic":
        later = world.time >= world.time.min() // DAY_MS * DAY_MS + REFERENCE * DAY_MS
        before = world[~later]
        policy = bundle.manifest.thresholds
        reference = make_reference(bundle.manifest.features, before.vectors, before.scores, policy)
        return cls(bundle, Shape(SketchLayout.of_reference(reference), reference), before, world[later])

    @cached_property
    def counting(self) -> Counting:
        return Counting(self.shape.layout)

    @cached_property
    def hours(self) -> Mapping[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Per hour of the day: its events, block after block, and where each block begins, with the end."""
        hour = self.pool.time // HOUR_MS
        order = np.lexsort((self.pool.user, hour))
        found = {}
        for name in range(24):
            rows = order[hour[order] % 24 == name]
            if len(rows) >= LEAST_IN_AN_HOUR:
                new = (np.diff(hour[rows]) != 0) | (np.diff(self.pool.user[rows]) != 0)
                found[name] = rows, np.concatenate([[0], np.flatnonzero(new) + 1, [len(rows)]])
        return found

    def draw(self, rng: np.random.Generator, hour: int, events: int) -> Scored:
        """Blocks with replacement until there are so many events."""
        rows, begins = self.hours[hour]
        size = np.diff(begins)
        blocks = rng.integers(0, len(size), int(events / size.mean() * 1.2) + 50)
        blocks = blocks[: int(np.searchsorted(np.cumsum(size[blocks]), events)) + 1]
        within = np.arange(size[blocks].sum()) - np.repeat(np.cumsum(size[blocks]) - size[blocks], size[blocks])
        return self.pool[rows[np.repeat(begins[blocks], size[blocks]) + within][:events]]

    def window(self, start: int, scored: Scored) -> Window:
        """An hour's window as the sidecar would close it."""
        decided = self.bundle.manifest.thresholds.decide(scored.scores)
        nothing = np.zeros(len(scored), np.uint8)
        events = Events(scored.vectors, scored.scores, decided, nothing, nothing.astype(bool))
        counts = np.zeros((len(CHANNELS), self.shape.layout.size), np.int64)
        self.counting.add(counts, scored.channel, events)
        segments = {
            f"channel={name}": Sketch(self.shape.layout, row)
            for name, row in sorted(zip(CHANNELS, counts, strict=True))
            if row[0]
        }
        whole = Sketch(self.shape.layout, counts.sum(axis=0))
        return Window(self.bundle.label, start, start + HOUR_MS, whole, segments)

    def calm(self, rng: np.random.Generator, events: int, start: int) -> Iterator[tuple[int, Scored]]:
        """Starts of windows and their events, hour after hour, without end."""
        for hour in range(start // HOUR_MS, start // HOUR_MS + 1_000_000):
            if hour % 24 in self.hours:
                yield hour * HOUR_MS, self.draw(rng, hour % 24, events)


def missing(scored: Scored, column: int, share: float, rng: np.random.Generator, channel: int | None = None) -> Scored:
    """The same events, a feature gone missing for a share of them."""
    vectors = scored.vectors.copy()
    hit = rng.random(len(scored)) < share
    vectors[hit if channel is None else hit & (scored.channel == channel), column] = np.nan
    return replace(scored, vectors=vectors)


def shifted(scored: Scored, column: int, by: float) -> Scored:
    """The feature's values moved by so many of its standard deviations."""
    vectors = scored.vectors.copy()
    vectors[:, column] += np.float32(by * np.nanstd(vectors[:, column]))
    return replace(scored, vectors=vectors)


def reshaped(scored: Scored, column: int, factor: float) -> Scored:
    """The feature's values so many times as far from their median."""
    vectors = scored.vectors.copy()
    middle = np.nanmedian(vectors[:, column])
    vectors[:, column] = middle + (vectors[:, column] - middle) * np.float32(factor)
    return replace(scored, vectors=vectors)


def flagged_as(traffic: Traffic, scored: Scored, share: float, rng: np.random.Generator) -> Scored:
    """A share of the events has a score that is just enough for a review."""
    hit = rng.random(len(scored)) < share
    return replace(scored, scores=np.where(hit, traffic.bundle.manifest.thresholds.review, scored.scores))
