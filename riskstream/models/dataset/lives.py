"""What an event's vector would be if its user's life were another one: without its future, or with another past."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskstream.models.dataset.vectors import Facts, Ints, measure
from riskstream.models.domain import Domain
from riskstream.models.offline import by_user


@dataclass(frozen=True)
class Lives:
    """The users of a log. `original`: of each repeat the position of its original, -1 for what is new."""

    domain: Domain
    facts: Facts
    original: Ints

    def past(self, rows: Ints, users_of: Ints | None = None) -> list[Ints]:
        """For each event positions of its user's facts before it, in order: all that it can see, repeats left out.

        With `users_of` the facts, before the event, of the users of these events.
        """
        order, first, place = self._order
        capacity, offset = self.domain.features.spec.capacity, self.facts.offset
        begins = first[place[rows if users_of is None else users_of]]
        ends = np.searchsorted(first, begins, side="right")
        pasts = []
        for row, begin, end in zip(rows.tolist(), begins.tolist(), ends.tolist(), strict=True):
            life = order[begin:end]
            life = life[: np.searchsorted(offset[life], offset[row])]
            pasts.append(life[self.original[life] < 0][-capacity:])
        return pasts

    def measure(
        self, past: Sequence[Ints], rows: Ints, later: Sequence[Ints], profiles: Sequence[Any]
    ) -> NDArray[np.float32]:
        """The vectors of the events `rows`, each in a life of its own: these facts before it, these after it.

        Whosever they are, they count as the user's. `profiles`: one for each event, None for none.
        """
        lives = [np.concatenate(life) for life in zip(past, rows[:, np.newaxis], later, strict=True)]
        sizes = np.array([len(life) for life in lives])
        begins = np.cumsum(sizes) - sizes
        events = begins + np.array([len(each) for each in past])
        flat = self.facts[np.concatenate(lives)]
        beside: list[Any] = [None] * len(flat)
        for event, profile in zip(events.tolist(), profiles, strict=True):
            beside[event] = profile
        numbered = replace(flat, offset=np.arange(len(flat)))
        measured = measure(self.domain, numbered, np.repeat(begins, sizes), beside)
        found: NDArray[np.float32] = measured.features[events]
        return found

    def neighbours(self, rows: Ints, step: int) -> Ints:
        """The events that lie so far before (negative) or after these in the log; at its ends, the last one."""
        order, place = self._log
        return order[np.clip(place[rows] + step, 0, len(order) - 1)]

    @cached_property
    def _order(self) -> tuple[Ints, Ints, Ints]:
        """User by user: positions, where each one's user begins, and each position's place."""
        order, first = by_user(self.facts.user, self.facts.partition, self.facts.offset)
        return order, first, _inverse(order)

    @cached_property
    def _log(self) -> tuple[Ints, Ints]:
        order = np.lexsort((self.facts.offset, self.facts.partition))
        return order, _inverse(order)


def _inverse(order: Ints) -> Ints:
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place
