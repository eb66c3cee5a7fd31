"""Windows of a small made-up stream, counted plainly: four features, two channels, independent events."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.sketch import Sketch, SketchLayout
from riskstream.models.drift.tally import Shape
from riskstream.models.drift.window import Window
from riskstream.models.policy import Policy
from riskstream.models.training.evidence import make_reference

NAMES = ("amount", "flag", "age", "hour")
POLICY = Policy(review=0.8, decline=0.95)
HOUR_MS = 3_600_000
START = 1_788_220_800_000
WEB, POS = "channel=web", "channel=pos"


@dataclass(frozen=True)
class Events:
    features: NDArray[np.float32]
    scores: NDArray[np.float64]
    web: NDArray[np.bool_]

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Events":
        return Events(self.features[rows], self.scores[rows], self.web[rows])

    def losing(self, name: str, share: float, rng: np.random.Generator, web_only: bool = False) -> "Events":
        """The feature goes missing for a share of the events, or of those by web."""
        features = self.features.copy()
        lost = (rng.random(len(self.scores)) < share) & (self.web | (not web_only))
        features[lost, NAMES.index(name)] = np.nan
        return replace(self, features=features)

    def moving(self, name: str, by: float, web_only: bool = False) -> "Events":
        features = self.features.copy()
        features[self.web | (not web_only), NAMES.index(name)] += np.float32(by)
        return replace(self, features=features)


def events(rng: np.random.Generator, count: int, hour: int = 12) -> Events:
    """Calm ones; `flag` is missing for 2 %."""
    flag = np.where(rng.random(count) < 0.02, np.nan, rng.random(count) < 0.3)
    columns = [rng.normal(5, 1, count), flag, rng.integers(0, 50, count), np.full(count, hour)]
    return Events(np.stack(columns, axis=1).astype(np.float32), rng.beta(1, 4, count), rng.random(count) < 0.4)


def shape(rows: int = 20_000) -> Shape:
    rng = np.random.default_rng(1)
    known = events(rng, rows)
    known.features[:, 3] = rng.integers(0, 24, rows)
    reference = make_reference(NAMES, known.features, known.scores, POLICY)
    return Shape(SketchLayout.of_reference(reference), reference)


def sketch(layout: SketchLayout, seen: Events) -> Sketch:
    counts = Sketch.empty(layout).counts
    part = {name: counts[where] for name, where in layout.parts.items()}
    counts[0] = len(seen.scores)
    np.add.at(part["decisions"], POLICY.decide(seen.scores), 1)
    for column, values in enumerate([*seen.features.T, seen.scores]):
        present = values[~np.isnan(values)]
        if column < layout.features:
            part["missing"][column] = len(values) - len(present)
        bins = np.searchsorted(layout.column_edges(column), present, side="right")
        np.add.at(part["bins"], bins + layout.starts[column], 1)
        rounded = layout.rounded(present, column)
        part["sums"][column], part["squares"][column] = rounded.sum(), (rounded**2).sum()
    return Sketch(layout, counts)


def window(layout: SketchLayout, seen: Events, number: int) -> Window:
    """Window `number`, of an hour, by channel."""
    start = START + number * HOUR_MS
    segments = {POS: sketch(layout, seen[~seen.web]), WEB: sketch(layout, seen[seen.web])}
    return Window("toy@1.0.0", start, start + HOUR_MS, sketch(layout, seen), segments)
