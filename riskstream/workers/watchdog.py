"""The watchdog: a partition that stands still although there is something to read must not go unnoticed.

A client may stop to fetch after its broker was away, and what is above the client's limits may never come, without an
error. So the partition is begun anew, then the whole client, and at last the partition is declared halted.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from riskstream.workers.kafka.input import SKIP, Input

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0


@dataclass(slots=True)
class Standing:
    """Where a partition stands and since when. `idle_end`: nothing is left to read below this end of the log."""

    position: int
    since: float
    tried: bool = False
    idle_end: int = -1


@dataclass(slots=True)
class Watchdog:
    """Looks at each owned partition; `halted` are those that an operator must see to, with their offsets."""

    source: Input
    stall_s: float
    clock: Callable[[], float] = time.monotonic
    halted: dict[int, int] = field(default_factory=dict)
    _standing: dict[int, Standing] = field(default_factory=dict)
    _looked_at: float = 0.0

    def is_due(self) -> bool:
        """Whether a second has passed since the last look."""
        return self.clock() - self._looked_at >= LOOK_EVERY_S

    def look(self, positions: Mapping[int, int]) -> None:
        """Takes the next offset of each partition that should move. Raises Unavailable."""
        now = self._looked_at = self.clock()
        for number in self._standing.keys() - positions.keys():
            del self._standing[number]
        for number, position in positions.items():
            if number not in self._standing or self._standing[number].position != position:
                self._standing[number] = Standing(position, now)
        self.halted = {n: offset for n, offset in self.halted.items() if positions.get(n) == offset}
        due = [n for n, at in self._standing.items() if now - at.since >= self.stall_s and n not in self.halted]
        if due:
            self._examine(due, now)

    def _examine(self, due: list[int], now: float) -> None:
        for number in due:
            self._standing[number].since = now
        ends = self.source.ends(due)
        for number in due:
            at = self._standing[number]
            if ends[number] <= at.position or ends[number] == at.idle_end:
                at.tried = False
            elif not at.tried:
                at.tried = True
                log.warning("nothing comes, the partition is begun anew", partition=number, offset=at.position)
                self.source.begin_anew(number)
            else:
                self._ask_another(number, at, ends[number])

    def _ask_another(self, number: int, at: Standing, end: int) -> None:
        found = self.source.probe(number, at.position)
        if found == "end":
            at.idle_end, at.tried = end, False
        elif found == "record":
            log.warning("nothing comes, others can read it: the client is made anew", partition=number)
            at.tried = False
            self.source.renew()
        else:
            self.halted[number] = at.position
            log.error(
                "partition halted: nothing comes from it",
                partition=number,
                offset=at.position,
                next=SKIP.format(number),
            )
        # An `error` is told to the loop's own client, too, which halts there by itself.
