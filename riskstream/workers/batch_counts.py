"""What the metrics say of committed batches. A small one is only noted: many are counted together, or for a reader."""

from collections import Counter, deque
from collections.abc import Sequence
from itertools import chain
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from riskstream.schemas.partitioner import partitions_of
from riskstream.schemas.score import DECISIONS, DEGRADED
from riskstream.workers.counted import Counted, counted
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.metrics import Metrics
from riskstream.workers.outcome import Answers

ENOUGH, ENOUGH_BATCHES = 1_024, 128
"""So many records or batches that wait are counted, whether somebody reads or not: the next batch should not wait for
many."""


class BatchCounts:
    """`note` is for the loop's thread; who reads the metrics sees all that was noted."""

    def __init__(self, metrics: Metrics, partitions: int) -> None:
        self._metrics = metrics
        self._partitions = partitions
        self._waiting: deque[tuple[Answers, float]] = deque()
        self._records = 0
        self._lock = Lock()
        metrics.before_reading(self._settle)

    def note(self, answers: Answers, time: float) -> None:
        """`time`, in seconds since 1970, is when the commit was confirmed, or, at least once, the scores left."""
        self._waiting.append((answers, time))
        self._records += len(answers.batch.offsets)
        if self._records >= ENOUGH or len(self._waiting) >= ENOUGH_BATCHES:
            self._records = 0
            self._settle()

    def _settle(self) -> None:
        with self._lock:
            if waiting := [self._waiting.popleft() for _ in range(len(self._waiting))]:
                answers, times = zip(*waiting, strict=True)
                whole = counted(answers)
                self._count_outcomes(whole)
                self._count_records(whole, [each.batch for each in answers], times)

    def _count_outcomes(self, whole: Counted) -> None:
        metrics, events = self._metrics, whole.events
        for code, count in _tally(events.decisions):
            metrics.scores_total[DECISIONS[code]].inc(count)
        for mask, count in _tally(events.degraded):
            for bit, name in enumerate(DEGRADED):
                metrics.degraded_total[name].inc(count * (mask >> bit & 1))
        for reason, count in Counter(reason for _, reason in whole.refused).items():
            metrics.dead_letters_total[reason].inc(count)
        metrics.history_cache_hits_total.inc(whole.hits)
        metrics.history_cache_misses_total.inc(whole.misses)
        metrics.duplicates_total.inc(int(np.count_nonzero(events.repeated)))
        metrics.fast_batches_total.inc(whole.fast)
        for stage, seconds in whole.seconds.items():
            metrics.stage_seconds[stage].observe_all(seconds)
        metrics.transactions_total["committed"].inc(len(whole.seconds.get("commit", ())))

    def _count_records(self, whole: Counted, batches: Sequence[Batch], times: Sequence[float]) -> None:
        metrics, sizes = self._metrics, [len(batch.offsets) for batch in batches]
        answered = len(whole.rows) + len(whole.refused)
        metrics.events_total.inc(answered)
        metrics.recovered_facts_total.inc(sum(sizes) - answered)
        metrics.batch_events.observe_all(sizes)
        belongs = partitions_of([*chain.from_iterable(batch.records.keys for batch in batches)], self._partitions)
        metrics.misplaced_records_total.inc(int(np.count_nonzero((belongs >= 0) & (belongs != whole.partitions))))
        ages = np.repeat(times, sizes) - whole.timestamps / 1000
        metrics.event_age_seconds.observe_all(np.maximum(ages[whole.timestamps >= 0], 0.0))


def _tally(codes: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Each code that occurs, with how often it does."""
    return [(code, count) for code, count in enumerate(np.bincount(codes).tolist()) if count]
