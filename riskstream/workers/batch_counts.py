"""What the metrics say of committed batches. A small one is only noted: many are counted together, or for a reader."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riskstream.schemas.dead_letter import Rejection
from riskstream.schemas.partitioner import partitions_of
from riskstream.schemas.score import DECISIONS, DEGRADED
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.metrics import Metrics

ENOUGH, ENOUGH_BATCHES = 1_024, 128
"""So many records or batches that wait are counted, whether somebody reads or not: the next batch should not wait for
many."""


class Committed(NamedTuple):
    """A batch whose commit was confirmed at `time`, in seconds since 1970, and what became of its records.

    `degraded` is of all events that were accepted, and of `misses` of them the user was not in memory; `decisions` and
    `repeated` are of their `rows` that were answered; `refused` are dead letters. `ended`: when each stage did, in
    seconds, and first what came before them; "commit" only where there was something to commit.
    """

    batch: Batch
    time: float
    rows: NDArray[np.int64]
    decisions: NDArray[np.uint8]
    repeated: NDArray[np.bool_]
    degraded: NDArray[np.uint8]
    misses: int
    refused: Mapping[int, Rejection]
    ended: Mapping[str, float]
    is_fast: bool


class BatchCounts:
    """`note` is for the loop's thread; who reads the metrics sees all that was noted."""

    def __init__(self, metrics: Metrics, partitions: int) -> None:
        self._metrics = metrics
        self._partitions = partitions
        self._waiting: deque[Callable[[], Committed]] = deque()
        self._records = 0
        self._lock = Lock()
        metrics.before_reading(self._settle)

    def note(self, batch: Batch, committed: Callable[[], Committed]) -> None:
        """`committed` is asked when it is counted, perhaps in the thread of who reads."""
        self._waiting.append(committed)
        self._records += len(batch.offsets)
        if self._records >= ENOUGH or len(self._waiting) >= ENOUGH_BATCHES:
            self._records = 0
            self._settle()

    def _settle(self) -> None:
        with self._lock:
            if waiting := [self._waiting.popleft()() for _ in range(len(self._waiting))]:
                self._count_outcomes(waiting)
                self._count_records(waiting)
                self._count_seconds(waiting)

    def _count_outcomes(self, waiting: Sequence[Committed]) -> None:
        metrics = self._metrics
        for code, count in _tally([each.decisions for each in waiting]):
            metrics.scores_total[DECISIONS[code]].inc(count)
        for mask, count in _tally([each.degraded[each.rows] for each in waiting]):
            for bit, name in enumerate(DEGRADED):
                metrics.degraded_total[name].inc(count * (mask >> bit & 1))
        refused = chain.from_iterable(each.refused.values() for each in waiting)
        for reason, count in Counter(rejection.reason for rejection in refused).items():
            metrics.dead_letters_total[reason].inc(count)
        metrics.history_cache_hits_total.inc(sum(len(each.degraded) - each.misses for each in waiting))
        metrics.history_cache_misses_total.inc(sum(each.misses for each in waiting))
        metrics.duplicates_total.inc(sum(int(each.repeated.sum()) for each in waiting))
        metrics.transactions_total["committed"].inc(sum("commit" in each.ended for each in waiting))

    def _count_records(self, waiting: Sequence[Committed]) -> None:
        metrics, batches = self._metrics, [each.batch for each in waiting]
        sizes = [len(batch.offsets) for batch in batches]
        answered = sum(len(each.decisions) + len(each.refused) for each in waiting)
        metrics.events_total.inc(answered)
        metrics.recovered_facts_total.inc(sum(sizes) - answered)
        metrics.batch_events.observe_all(sizes)
        metrics.fast_batches_total.inc(sum(each.is_fast for each in waiting))
        belongs = partitions_of([*chain.from_iterable(batch.records.keys for batch in batches)], self._partitions)
        lies = np.concatenate([batch.partition_array for batch in batches])
        metrics.misplaced_records_total.inc(float(np.sum((belongs >= 0) & (belongs != lies))))
        stamps = np.concatenate([batch.timestamp_array for batch in batches])
        ages = np.repeat([each.time for each in waiting], sizes) - stamps / 1000
        metrics.event_age_seconds.observe_all(np.maximum(ages[stamps >= 0], 0.0))

    def _count_seconds(self, waiting: Sequence[Committed]) -> None:
        spent = defaultdict(list)
        for each in waiting:
            for (_, begun), (stage, ended) in pairwise(each.ended.items()):
                spent[stage].append(ended - begun)
        for stage, seconds in spent.items():
            self._metrics.stage_seconds[stage].observe_all(seconds)


def _tally(codes: Sequence[NDArray[np.uint8]]) -> list[tuple[int, int]]:
    """Each code that occurs, with how often it does."""
    counts = np.bincount(np.concatenate(codes))
    return [(code, count) for code, count in enumerate(counts.tolist()) if count]
