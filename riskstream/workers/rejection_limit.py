"""Stops a partition whose records are mostly refused: something upstream is broken, and dead letters do not mend it."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain, repeat

import numpy as np

from riskstream.schemas.columns import whole_numbers

AT_ONCE = 1_024
"""So many records of batches without a refused one are counted at once: each would cost a small batch more than it
says."""


class RejectionLimit:
    """Counts per partition, refused records in a row and their share among the last `window`. 0 in a row: no limit."""

    def __init__(self, most_in_a_row: int, most_share: float, window: int) -> None:
        self._most_in_a_row = most_in_a_row
        self._most = most_share * window
        self._window = window
        self._in_a_row: dict[int, int] = {}
        self._last: dict[int, deque[bool]] = {}
        self._refused: dict[int, int] = {}
        self._passed: list[Sequence[int]] = []
        self._records = 0  # of these

    def exceeded(self, outcomes: Iterable[tuple[int, bool]]) -> set[int]:
        """Takes (partition, refused) in order; answers the partitions that are over a limit."""
        self._count_passed()
        over = set()
        for partition, refused in outcomes:
            self._count(partition, refused=refused)
            if self._is_over(partition):
                over.add(partition)
        return over

    def passed(self, partitions: Sequence[int]) -> None:
        """A batch without a refused record: the partition of each."""
        self._passed.append(partitions)
        self._records += len(partitions)
        if self._records >= AT_ONCE:
            self._count_passed()

    def clear(self) -> None:
        """Begin anew, or records that come again would count twice."""
        for counts in (self._in_a_row, self._last, self._refused, self._passed):
            counts.clear()
        self._records = 0

    def _count_passed(self) -> None:
        if not self._passed:
            return
        counts = np.bincount(whole_numbers([*chain.from_iterable(self._passed)])).tolist()
        self._passed, self._records = [], 0
        for partition, count in enumerate(counts):
            if self._refused.get(partition):
                for _ in range(count):
                    self._count(partition, refused=False)
            elif count:
                self._in_a_row[partition] = self._refused[partition] = 0
                last = self._last.setdefault(partition, deque(maxlen=self._window))
                last.extend(repeat(False, min(count, self._window)))

    def _count(self, partition: int, *, refused: bool) -> None:
        self._in_a_row[partition] = self._in_a_row.get(partition, 0) + 1 if refused else 0
        last = self._last.setdefault(partition, deque(maxlen=self._window))
        leaving = last[0] if len(last) == self._window else False
        last.append(refused)
        self._refused[partition] = self._refused.get(partition, 0) + refused - leaving

    def _is_over(self, partition: int) -> bool:
        if 0 < self._most_in_a_row <= self._in_a_row[partition]:
            return True
        full = len(self._last[partition]) == self._window
        return full and self._refused[partition] > self._most
