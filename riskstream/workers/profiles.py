"""Profiles: what other systems know of users. Rows of numbers, read once and kept until they change.

How old a profile is depends on the event that it is joined to, so that is looked at for each event anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from riskstream.models.domain import Domain
from riskstream.schemas.columns import Layout, PackedColumns
from riskstream.schemas.score import PROFILE_INVALID, PROFILE_STALE, PROFILE_UNAVAILABLE
from riskstream.workers.cache_lines import LINE, empty

COMPUTED_AT, INVALID, FIELDS = range(3)
"""Columns of a row; from FIELDS on they are the domain's."""

NEVER_STALE = 1 << 62
"""In place of the time of a profile that is not there."""


class Profiles:
    """The profiles of one domain, those of users in memory kept by their seats. Older than `max_age_ms` at an event
    counts as missing."""

    def __init__(self, domain: Domain, max_age_ms: int) -> None:
        self._domain = domain
        self._max_age_ms = max_age_ms
        self._decode = msgspec.json.Decoder(domain.profile).decode
        self.layout = Layout(dict.fromkeys(domain.profiles([None]), True))
        self._missing = self._rows([None])
        self.kept = self._table(0)
        """A row for each seat."""

    def keep(self, seats: NDArray[np.int64], stored: Sequence[bytes | None], which: Sequence[int]) -> None:
        """At each seat, the profile in `stored[which]`, as Redis holds it."""
        if (needed := int(seats.max(initial=-1)) + 1) > len(self.kept):
            kept, self.kept = self.kept, self._table(2 * needed)
            self.kept[: len(kept)] = kept
        self.kept[seats, : self._missing.shape[1]] = self._rows(stored)[which]

    def joined(
        self, seats: NDArray[np.int64], event_time: NDArray[np.int64]
    ) -> tuple[Mapping[str, NDArray[Any]], NDArray[np.uint8]]:
        """The domain's columns of n events, from what is kept, and what they lack, as bits of `degraded`.

        Raises IndexError for a seat beyond those of which anything was ever kept.
        """
        columns, degraded = self.room(len(seats))
        join(*self.arrays(), seats, event_time, columns.words, degraded)
        return columns, degraded

    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        """What the compiled `join` looks into."""
        return self.kept, self._missing, self._max_age_ms

    def room(self, count: int) -> tuple[PackedColumns, NDArray[np.uint8]]:
        """For what it makes of n events."""
        words = np.empty((len(self.layout.place), count), np.int64)
        return PackedColumns(self.layout, words), np.empty(count, np.uint8)

    def unavailable(self, count: int) -> tuple[Mapping[str, NDArray[Any]], NDArray[np.uint8]]:
        """The same of events whose profiles cannot be known."""
        words = np.repeat(self._missing[0, FIELDS:, np.newaxis], count, axis=1).view(np.int64)
        return PackedColumns(self.layout, words), np.full(count, PROFILE_UNAVAILABLE, np.uint8)

    def _table(self, rows: int) -> NDArray[np.float64]:
        """Of whole lines, so that most domains' profiles take one each."""
        line = LINE // self._missing.itemsize
        return empty((rows, -(-self._missing.shape[1] // line) * line), np.float64)

    def _rows(self, stored: Sequence[bytes | None]) -> NDArray[np.float64]:
        """float64[n, FIELDS + columns]; of an unreadable profile, that it is."""
        found = [self._decoded(raw) for raw in stored]
        profiles = [None if broken else profile for profile, broken in found]
        times = [NEVER_STALE if profile is None else profile.computed_at for profile in profiles]
        broken = [broken for _, broken in found]
        return np.column_stack([times, broken, *self._domain.profiles(profiles).values()]).astype(np.float64)

    def _decoded(self, raw: bytes | None) -> tuple[Any, bool]:
        """The profile, None if there is none, and whether it cannot be read."""
        try:
            return None if raw is None else self._decode(raw), False
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None, True


_ROWS = types.Array(types.float64, 2, "C", readonly=True)
_GIVEN = types.Array(types.int64, 1, "C", readonly=True)


@njit(
    types.void(_ROWS, _ROWS, types.int64, _GIVEN, _GIVEN, types.int64[:, ::1], types.uint8[::1]),
    cache=True,
    nogil=True,
)
def join(kept, missing, max_age_ms, seats, event_time, words, degraded):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Fill `words` and `degraded` of `Profiles.room`. For compiled code."""
    for k in range(len(seats)):
        if not 0 <= seats[k] < len(kept):
            raise IndexError("no profile was ever kept for this seat")
        profile = kept[seats[k]]
        degraded[k] = PROFILE_INVALID if profile[INVALID] > 0 else 0
        if event_time[k] - profile[COMPUTED_AT] > max_age_ms:
            degraded[k], profile = PROFILE_STALE, missing[0]
        for column in range(len(words)):
            words[column, k] = np.float64(profile[FIELDS + column]).view(np.int64)
