"""What is known of events, and when it came to be known: no row is given a label that nobody had yet.

A label arrives after its event, a chargeback weeks later. The rule, in full:

- A part of the data set stands for a moment, its cut: a model made then. Of each event it knows the newest label that
  was known by the cut.
- An event without such a label counts as the first class (of multi-label: none), if by the cut it was older than the
  maturity: most labels would have come. That verdict is known from event time + maturity on.
- Younger events are in no part. Nor are those of them whose label came early: fraud found quickly beside honest
  payments left out would make fraud look common.

So a fraud that became known after the cut is honest for that cut, as it would have been in life.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskstream.models.dataset.manifest import SPLITS, UNKNOWN, Cuts, DatasetError

Ints = NDArray[np.int64]
DAY = 86_400_000
NEVER = np.iinfo(np.int64).min
"""The label time of what is unknown."""


@dataclass(frozen=True)
class LabelTable:
    """Labels as they became known, in order of (event, known_at). `values` int16[n, columns], `kind` any note."""

    event_hash: Ints
    known_at: Ints
    values: NDArray[np.int16]
    kind: NDArray[np.object_]

    @classmethod
    def of(
        cls, event_hash: Ints, known_at: Ints, values: NDArray[np.int16], kind: NDArray[np.object_] | None = None
    ) -> "LabelTable":
        order = np.lexsort((known_at, event_hash))
        notes = np.full(len(order), "", object) if kind is None else kind
        return cls(event_hash[order], known_at[order], values[order], notes[order])

    def __len__(self) -> int:
        return len(self.event_hash)

    def at(self, cut: int) -> "LabelTable":
        """The newest label of each event that was known by `cut`."""
        known = np.flatnonzero(self.known_at <= cut)
        event = self.event_hash[known]
        newest = known[np.append(event[1:] != event[:-1], True)[: len(event)]]
        return LabelTable(self.event_hash[newest], self.known_at[newest], self.values[newest], self.kind[newest])

    def find(self, event_hash: Ints) -> Ints:
        """The position of each event's last row, -1 if there is none."""
        place = np.searchsorted(self.event_hash, event_hash, side="right") - 1
        return np.where((place >= 0) & (self.event_hash[place] == event_hash), place, -1) if len(self) else place


@dataclass(frozen=True)
class Known:
    """Per event: the label as its part knows it (int16[n, columns]), since when (NEVER if unknown), and the note."""

    values: NDArray[np.int16]
    since: Ints
    kind: NDArray[np.object_]


def known(table: LabelTable, event_hash: Ints, event_time: Ints, split: NDArray[np.int8], cuts: Cuts) -> Known:
    """The labels of all rows by the rule above; `split` are positions in SPLITS. Rows of `gap` know nothing."""
    values = np.full((len(event_hash), table.values.shape[1]), UNKNOWN, np.int16)
    since = np.full(len(event_hash), NEVER, np.int64)
    kind = np.full(len(event_hash), "", object)
    for number, name in enumerate(SPLITS):
        rows = np.flatnonzero(split == number)
        if name == "gap":
            continue
        newest = table.at(cuts.of(name))
        place = newest.find(event_hash[rows])
        seen, absent = rows[place >= 0], rows[place < 0]
        values[seen], since[seen] = newest.values[place[place >= 0]], newest.known_at[place[place >= 0]]
        kind[seen] = newest.kind[place[place >= 0]]
        values[absent], since[absent] = 0, event_time[absent] + cuts.gap_ms
    return Known(values, since, kind)


@dataclass(frozen=True)
class SplitPlan:
    """How to cut a log. Shares are of the time that remains after warming up and the gaps, or of the users.

    `warm_days` None: as long as histories reach, but at most a quarter of the log. `maturity_days` None: after it 95 of
    100 positive labels were known.
    """

    by_user: bool = False
    train: float = 0.6
    calibration: float = 0.2
    warm_days: float | None = None
    maturity_days: float | None = None

    def __post_init__(self) -> None:
        if not (self.train > 0 and self.calibration > 0 and self.train + self.calibration < 1):
            raise DatasetError("the shares of train and calibration must be positive and leave something for test")


MATURE = 0.95


def plan_cuts(plan: SplitPlan, event_time: Ints, horizon_ms: int, table: LabelTable, delays_ms: Ints) -> Cuts:
    """The moments of the split of a log. `delays_ms` are those of its positive labels. Raises DatasetError."""
    begin, end = int(event_time.min()), int(event_time.max())
    warm = min(horizon_ms, (end - begin) // 4) if plan.warm_days is None else int(plan.warm_days * DAY)
    gap = _maturity(plan, delays_ms)
    known_until = max(end, int(table.known_at.max(initial=end)))
    last_gap = max(0, gap - (known_until - end))
    if plan.by_user:
        usable = end - begin - warm - last_gap
        first = second = known_until
    else:
        usable = end - begin - warm - 2 * gap - last_gap
        first = begin + warm + int(usable * plan.train) + gap
        second = first + int(usable * plan.calibration) + gap
    if usable <= 0:
        raise DatasetError(
            f"a log of {(end - begin) / DAY:.1f} days leaves nothing to learn from: {warm / DAY:.1f} days warm up and"
            f" labels take {gap / DAY:.1f} days to come; give more days, or fewer with --warm-days, --maturity-days"
        )
    return Cuts(
        by="user" if plan.by_user else "time",
        warm_until=begin + warm,
        train=first,
        calibration=second,
        test=known_until,
        gap_ms=gap,
    )


def _maturity(plan: SplitPlan, delays_ms: Ints) -> int:
    if plan.maturity_days is not None:
        return int(plan.maturity_days * DAY)
    return max(0, int(np.quantile(delays_ms, MATURE, method="higher"))) if len(delays_ms) else 0


def assign(plan: SplitPlan, cuts: Cuts, event_time: Ints, user: NDArray[np.uint64]) -> NDArray[np.int8]:
    """The part of each event, a position in SPLITS."""
    mature = {name: event_time + cuts.gap_ms <= cuts.of(name) for name in ("train", "calibration", "test")}
    if plan.by_user:
        place = (user >> np.uint64(11)).astype(np.float64) / 2.0**53  # a hash: evenly spread over [0, 1)
        parts = {
            "train": place < plan.train,
            "calibration": (place >= plan.train) & (place < plan.train + plan.calibration),
            "test": place >= plan.train + plan.calibration,
        }
    else:
        parts = {
            "train": event_time < cuts.train,
            "calibration": (event_time >= cuts.train) & (event_time < cuts.calibration),
            "test": event_time >= cuts.calibration,
        }
    split = np.full(len(event_time), SPLITS.index("gap"), np.int8)
    for name, rows in parts.items():
        split[rows & mature[name]] = SPLITS.index(name)
    split[event_time < cuts.warm_until] = SPLITS.index("warm")
    return split
