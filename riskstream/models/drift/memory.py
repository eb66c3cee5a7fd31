"""What is remembered of calm windows: what is usual, and by how much more it varies than independent events would.

Events of one user are alike, customers come back, habits change over the day: real windows vary more than chance
allows. Each series learns its own factor, the mean of its squared deviates (a quasi-likelihood's dispersion; Wedderburn
1974), or for distributions the mean and variance of the cube root of its chi-square (after Rao and Scott 1981). Older
windows count less; a series that is out of the ordinary is not learned from, or the unusual would become the usual.
"""

import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.comparison import Comparison
from riskstream.models.drift.statistics import spread
from riskstream.models.drift.tally import Shape, Tally

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

HOURS = 24
DAY_FADES = 0.8  # an earlier day counts so much of the day after it
HOUR_MS = 3_600_000


@dataclass(frozen=True, eq=False)
class Memory:
    """Of one part of the traffic: all of it, or one segment.

    `age_ms` is the event time since its first window. `weight[k]` is how many windows series k was learned from, older
    ones counting less; series are shares, then columns' locations, then columns' distributions. `squares` sums squared
    deviates, for distributions cube roots' squares, and `roots` sums those roots. `hours[h]` is the tally vector of
    hour h on earlier days; what the current hour has so far is kept apart, in `hour`.
    """

    windows: int
    age_ms: int
    recent: Tally
    recent_windows: float
    weight: Floats
    squares: Floats
    roots: Floats
    hours: NDArray[np.float32]
    hour: NDArray[np.float32]
    hour_at: int

    @classmethod
    def empty(cls, shape: Shape) -> "Memory":
        series, size = shape.series, len(shape.nothing.vector())
        return cls(
            windows=0,
            age_ms=0,
            recent=shape.nothing,
            recent_windows=0.0,
            weight=np.zeros(series),
            squares=np.zeros(series),
            roots=np.zeros(len(shape.columns)),
            hours=np.zeros((HOURS, size), np.float32),
            hour=np.zeros(size, np.float32),
            hour_at=0,
        )

    def at(self, time: int) -> "Memory":
        """As of a window that starts at `time`: an hour that is over joins the same hour of earlier days."""
        now = time // HOUR_MS
        if now <= self.hour_at:
            return self
        age_ms = self.age_ms + (now - self.hour_at) * HOUR_MS if self.hour_at else 0
        hours = self.hours.copy()
        if self.hour.any():
            slot = self.hour_at % HOURS
            hours[slot] = hours[slot] * np.float32(DAY_FADES) + self.hour
        return replace(self, hours=hours, hour=np.zeros_like(self.hour), hour_at=now, age_ms=age_ms)

    def pack(self) -> bytes:
        """The same memory gives the same bytes."""
        numbers = np.concatenate([
            [self.windows, self.age_ms, self.recent_windows, self.hour_at],
            self.recent.vector(), self.weight, self.squares, self.roots,
        ])  # fmt: skip
        hours = np.concatenate([self.hours.ravel(), self.hour])
        return zlib.compress(numbers.astype("<f8").tobytes() + hours.astype("<f4").tobytes(), 1)

    @classmethod
    def unpack(cls, shape: Shape, data: bytes) -> "Memory":
        """What `pack` made of a memory of this shape."""
        size, series, columns = len(shape.nothing.vector()), shape.series, len(shape.columns)
        cuts = np.cumsum([4, size, series, series, columns])
        whole = zlib.decompress(data)
        numbers = np.frombuffer(whole, "<f8", int(cuts[-1]))
        hours = np.frombuffer(whole, "<f4", -1, numbers.nbytes).reshape(HOURS + 1, size)
        head, recent, weight, squares, roots, _ = np.split(numbers, cuts)
        return cls(
            windows=int(head[0]),
            age_ms=int(head[1]),
            recent=Tally.of_vector(shape, recent),
            recent_windows=float(head[2]),
            weight=weight,
            squares=squares,
            roots=roots,
            hours=hours[:HOURS],
            hour=hours[HOURS],
            hour_at=int(head[3]),
        )

    def same_hour(self, shape: Shape) -> Tally:
        return Tally.of_vector(shape, self.hours[self.hour_at % HOURS].astype(np.float64))

    def learn(self, shape: Shape, seen: Tally, deviation: Comparison, calm: Mask, memory: float) -> "Memory":
        """With one more window. `calm` has a row of shares and columns that may be learned from."""
        fade = 1 - 1 / memory
        shares, columns = calm[: len(shape.shares)], calm[len(shape.shares) :]
        squares, roots = _squares(deviation)
        known = np.concatenate([shares, columns, columns]) & ~np.isnan(squares)
        root_known = columns & ~np.isnan(roots)
        keep = _pick(shape, shares, columns)
        vector = seen.vector()
        return replace(
            self,
            windows=self.windows + 1,
            recent=Tally.of_vector(shape, np.where(keep, self.recent.vector() * fade + vector, self.recent.vector())),
            recent_windows=self.recent_windows * fade + 1,
            weight=np.where(known, self.weight * fade + 1, self.weight),
            squares=np.where(known, self.squares * fade + np.nan_to_num(squares), self.squares),
            roots=np.where(root_known, self.roots * fade + np.nan_to_num(roots), self.roots),
            hour=self.hour + np.where(keep, vector, 0).astype(np.float32),
        )


def _squares(deviation: Comparison) -> tuple[Floats, Floats]:
    roots = np.cbrt(deviation.chi2)
    return np.concatenate([deviation.share_deviate**2, deviation.location_deviate**2, roots**2]), roots


def _pick(shape: Shape, shares: Mask, columns: Mask) -> Mask:
    """The mask of a whole tally vector."""
    bins = spread(columns, shape.starts, len(shape.reference_bins))
    return np.concatenate([shares, shares, bins, columns])
