"""How far the stats of one input partition have come: which offsets were counted, and up to which event time."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

GAPS_MOST = 1_000
"""Kept per partition; a worker leaves one gap when it dies, so these are many deaths in one window."""


class Gap(msgspec.Struct, frozen=True):
    """Offsets that no record of stats covers. The events there happened about between two event times."""

    first: int
    next: int
    since: int
    until: int


class Mark(msgspec.Struct, frozen=True):
    """A place in the log of stats to go on from: the record's offset there, and what was known before it."""

    at: int = 0
    next: int | None = None
    latest: int | None = None
    gaps: tuple[Gap, ...] = ()


class Source(NamedTuple):
    """An input partition: where its log ends, and how many offsets before that no worker has scored yet."""

    end: int
    waiting: int


@dataclass
class Progress:
    """Of one partition. `next` is the input offset up to which all is counted but the gaps, None before the first.

    `latest` is the largest event time that its records name and `at` the offset of the next record of stats. While
    `latest` stands still and the partition is being read, that is for `silent_s` if its `source` has brought nothing
    either, else for `behind_s`.
    """

    at: int = 0
    next: int | None = None
    latest: int | None = None
    gaps: tuple[Gap, ...] = ()
    source: Source | None = None
    silent_s: float = 0.0
    behind_s: float = 0.0

    @classmethod
    def of(cls, mark: Mark) -> "Progress":
        return cls(mark.at, mark.next, mark.latest, mark.gaps)

    @property
    def mark(self) -> Mark:
        return Mark(self.at, self.next, self.latest, self.gaps)

    def take(self, first: int, after: int, latest: int | None) -> Literal["new", "repeat", "overlap"]:
        """Whether the offsets [first, after) were not counted yet; if so, they are now.

        An overlap cannot come from workers that keep to the contract; to count it would count its start twice.
        """
        before, self.at = self.latest, self.at + 1
        kind = self._place(first, after, latest)
        if kind == "new" and latest is not None and (before is None or latest > before):
            self.latest, self.source, self.silent_s, self.behind_s = latest, None, 0.0, 0.0
        return kind

    def stand_still(self, seconds: float, source: Source) -> None:
        """For so long `latest` has not moved, and its source is like that now.

        What was scored a moment ago is still to be told: a log that has grown since the last look is no
        silence.
        """
        if source.waiting or source != self.source:
            self.silent_s, self.behind_s = 0.0, self.behind_s + seconds
        else:
            self.silent_s, self.behind_s = self.silent_s + seconds, 0.0
        self.source = source

    def _place(self, first: int, after: int, latest: int | None) -> Literal["new", "repeat", "overlap"]:
        if self.next is None or first == self.next:
            self.next = after
            return "new"
        if first > self.next:
            # Where no event time is known, the gap may lie anywhere.
            since, until = self.latest or 0, latest if latest is not None else 2**62
            gap = Gap(self.next, first, min(since, until), max(since, until))
            self.gaps = (*self.gaps[-GAPS_MOST + 1 :], gap)
            self.next = after
            return "new"
        for index, gap in enumerate(self.gaps):
            if gap.first <= first and after <= gap.next:  # told late, by a worker that lost the partition
                parts = (gap.first, first), (after, gap.next)
                left = tuple(Gap(start, end, gap.since, gap.until) for start, end in parts if start < end)
                self.gaps = self.gaps[:index] + left + self.gaps[index + 1 :]
                return "new"
        return "repeat" if after <= self.next else "overlap"

    @property
    def waiting(self) -> int:
        """Offsets that no worker has scored yet, of a partition that stands still."""
        return self.source.waiting if self.source else 0

    def lost(self, start: int, end: int) -> int:
        """Offsets in gaps whose events may have happened between the two event times."""
        return sum(gap.next - gap.first for gap in self.gaps if gap.since < end and gap.until >= start)

    def unseen(self, start: int, end: int) -> int:
        """Those that are lost, and those that wait for a worker if their events may have happened before `end`."""
        return self.lost(start, end) + (self.waiting if (self.latest or 0) < end else 0)

    def forget_gaps(self, before: int) -> None:
        """Those that no window from this event time on can contain."""
        self.gaps = tuple(gap for gap in self.gaps if gap.until >= before)
