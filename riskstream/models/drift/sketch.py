"""The sketch: what is counted of a set of scored events, over the bins of a bundle's reference.

A sketch is one vector of int64, so two of them add up number by number, in any order and any grouping, to the same
bits. Sums of values and of their squares are exact too: a value is clipped to the range of its column and rounded to
a multiple of a power of two before it is added. The range reaches one width of the reference beyond either of its
ends, so one absurd value moves a mean by no more than it should; the resolution is 2**-16 of the largest value in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from riskstream.models.bundle import Bundle, Histogram, Reference
from riskstream.models.drift.varint import packed, unpacked
from riskstream.schemas.score import DECISIONS, DEGRADED

RESOLUTION_BITS = 16
"""Of a rounded value; its square has twice as many, which leaves room for 2**31 events in an int64."""


class SketchError(ValueError):
    """Bytes that cannot be a sketch of this layout."""


@dataclass(frozen=True, eq=False)
class SketchLayout:
    """Which number of a sketch means what. The columns are the features in the model's order, then the score.

    Column c has bins `starts[c]` to `starts[c + 1]` and edges `edges[starts[c] - c : starts[c + 1] - c - 1]`; values
    below the first edge fall into its first bin, values from the last edge on into its last.
    """

    names: tuple[str, ...]
    edges: NDArray[np.float64]
    starts: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def of(cls, bundle: Bundle) -> "SketchLayout":
        return cls.of_reference(bundle.reference)

    @classmethod
    def of_reference(cls, reference: Reference) -> "SketchLayout":
        columns = [*reference.features.values(), reference.score]
        ranges = [*(_range(histogram) for histogram in reference.features.values()), (0.0, 1.0)]
        low, high = np.ascontiguousarray(np.array(ranges, np.float64).T)
        largest = np.maximum(np.abs(low), np.abs(high))
        return cls(
            names=tuple(reference.features),
            edges=np.array([edge for histogram in columns for edge in histogram.edges], np.float64),
            starts=np.cumsum([0, *(len(histogram.edges) + 1 for histogram in columns)]).astype(np.int64),
            low=low,
            high=high,
            scale=2.0 ** np.floor(RESOLUTION_BITS - np.log2(largest)),
        )

    @property
    def features(self) -> int:
        return len(self.names)

    @property
    def columns(self) -> int:
        """Features and the score, which is the last."""
        return self.features + 1

    @cached_property
    def parts(self) -> dict[str, slice]:
        """Where in the vector each part lies. The first three do not depend on the model."""
        sizes = {
            "totals": 3,
            "decisions": len(DECISIONS),
            "degraded": len(DEGRADED),
            "missing": self.features,
            "sums": self.columns,
            "squares": self.columns,
            "bins": int(self.starts[-1]),
        }
        ends = np.cumsum(list(sizes.values())).tolist()
        return {name: slice(start, end) for name, (start, end) in zip(sizes, pairwise([0, *ends]), strict=True)}

    @property
    def size(self) -> int:
        """Numbers of a sketch."""
        return int(self.parts["bins"].stop)

    @cached_property
    def id(self) -> str:
        """Sixteen hex digits: sketches of one id can be added."""
        meaning = [repr((self.names, DECISIONS, DEGRADED, RESOLUTION_BITS)).encode()]
        meaning += [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in (self.edges, self.starts)]
        meaning += [array.astype("<f8").tobytes() for array in (self.low, self.high)]
        return sha256(b"\0".join(meaning)).hexdigest()[:16]

    def column_edges(self, column: int) -> NDArray[np.float64]:
        first, end = self.starts[column : column + 2] - column
        return self.edges[first : end - 1]

    def rounded(self, values: NDArray[np.floating], column: int) -> NDArray[np.int64]:
        """What is added to the sum of a column for each value, none of them NaN, in units of 1 / scale."""
        clipped = np.clip(values.astype(np.float64), self.low[column], self.high[column])
        rounded: NDArray[np.int64] = np.floor(clipped * self.scale[column] + 0.5).astype(np.int64)
        return rounded


@dataclass(frozen=True, eq=False)
class Sketch:
    """Counts of a set of events. Every property is a view of `counts`, int64[layout.size]."""

    layout: SketchLayout
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, layout: SketchLayout) -> "Sketch":
        return cls(layout, np.zeros(layout.size, np.int64))

    def __add__(self, other: "Sketch") -> "Sketch":
        if self.layout.id != other.layout.id:
            raise SketchError(f"sketches of layouts {self.layout.id} and {other.layout.id} cannot be added")
        return Sketch(self.layout, self.counts + other.counts)

    def _part(self, name: str) -> NDArray[np.int64]:
        return self.counts[self.layout.parts[name]]

    @property
    def events(self) -> int:
        return int(self.counts[0])

    @property
    def degraded_events(self) -> int:
        """Events scored without something, whatever it was."""
        return int(self.counts[1])

    @property
    def repeats(self) -> int:
        """Events that upstream had sent before."""
        return int(self.counts[2])

    @property
    def decisions(self) -> NDArray[np.int64]:
        """int64[3] in the order of DECISIONS."""
        return self._part("decisions")

    @property
    def degraded(self) -> NDArray[np.int64]:
        """int64[k] in the order of DEGRADED; an event may count for several kinds."""
        return self._part("degraded")

    @property
    def missing(self) -> NDArray[np.int64]:
        """int64[features]."""
        return self._part("missing")

    @property
    def bins(self) -> NDArray[np.int64]:
        """int64[starts[-1]], all columns one after the other."""
        return self._part("bins")

    @property
    def sums(self) -> NDArray[np.int64]:
        """int64[columns] of clipped and rounded values, in units of 1 / scale."""
        return self._part("sums")

    @property
    def squares(self) -> NDArray[np.int64]:
        """int64[columns], in units of 1 / scale**2."""
        return self._part("squares")

    def histogram(self, column: int) -> NDArray[np.int64]:
        """Counts of the column's bins; `layout.features` is the score's."""
        return self.bins[self.layout.starts[column] : self.layout.starts[column + 1]]

    def present(self) -> NDArray[np.int64]:
        """int64[columns]: events that have a value there."""
        return np.append(self.events - self.missing, self.events)

    def means(self) -> NDArray[np.float64]:
        """float64[columns] of the clipped values; NaN where there is none."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sums / self.present() / self.layout.scale)

    def variances(self) -> NDArray[np.float64]:
        """float64[columns], of the population; NaN where there is no value.

        From exact integers, so nothing cancels: n * squares - sum**2 is taken before anything is rounded.
        """
        exact = zip(self.present().tolist(), self.sums.tolist(), self.squares.tolist(), strict=True)
        spread = [(n * squares - total * total) / (n * n) if n else np.nan for n, total, squares in exact]
        return np.array(spread, np.float64) / self.layout.scale**2

    def encode(self) -> bytes:
        """Compact, and the same for equal counts."""
        return packed(self.counts)

    @classmethod
    def decode(cls, layout: SketchLayout, data: bytes) -> "Sketch":
        """Raises SketchError."""
        counts = unpacked(data, layout.size)
        if counts is None:
            raise SketchError(f"{len(data)} bytes are not {layout.size} numbers of layout {layout.id}")
        return cls(layout, counts)


def total(layout: SketchLayout, sketches: Sequence[Sketch]) -> Sketch:
    """The sum of sketches; the empty one if there are none."""
    return sum(sketches, Sketch.empty(layout))


def _range(histogram: Histogram) -> tuple[float, float]:
    """What values are clipped to: the reference's edges and as much again on either side."""
    if not histogram.edges:
        return -1.0, 1.0
    first, last = histogram.edges[0], histogram.edges[-1]
    width = last - first or abs(first) or 1.0
    return first - width, last + width
