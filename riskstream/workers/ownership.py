"""Which partitions this worker owns, and the one way to get their state.

State is taken on assignment, after an abort, after an unclear commit, after Redis lost something, after any doubt:
forget what is in memory, read the applied mark, and read the input again from there. Records below the committed offset
are facts only; scoring starts at the committed offset.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from riskstream.schemas.gaps import Gap, past
from riskstream.schemas.history import UNKNOWN, Keys
from riskstream.workers.errors import Halt, OutcomeUnclear, StateLost, Unavailable
from riskstream.workers.history_store import HistoryStore
from riskstream.workers.kafka.offsets import Span
from riskstream.workers.metrics import Metrics
from riskstream.workers.working_set import LogSpan, Partition, WorkingSet

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Ownership:
    """Told by the input when partitions come and go; keeps the working set in step.

    `flush` writes partitions behind to the end; `keys` names a partition's keys; `partitions` is the number that the
    namespace was made for.
    """

    working_set: WorkingSet
    store: HistoryStore
    metrics: Metrics
    flush: Callable[[Sequence[Partition]], None]
    keys: Callable[[int], Keys]
    partitions: int
    degrade: bool
    known: bool = False
    gaps: dict[int, tuple[Gap, ...]] = field(default_factory=dict)

    def assigned(self, spans: Mapping[int, Span]) -> dict[int, int]:
        self.metrics.rebalances_total["assigned"].inc()
        self.known = True
        return self.take_state(spans, "assigned")

    def revoked(self, partitions: list[int]) -> None:
        self.metrics.rebalances_total["revoked"].inc()
        try:
            self.flush([self.working_set.partitions[n] for n in partitions if n in self.working_set.partitions])
        except (OutcomeUnclear, StateLost, Unavailable) as error:
            log.warning("facts were not written behind; the next owner reads them from the log", error=str(error))
        self._forget(partitions)

    def lost(self, partitions: list[int]) -> None:
        self.metrics.rebalances_total["lost"].inc()
        self._forget(partitions)

    def position(self, partition: int) -> int:
        return self.working_set.partitions[partition].position

    def take_state(self, spans: Mapping[int, Span], cause: str, rebuild: Sequence[int] = ()) -> dict[int, int]:
        """Where to read each partition from. Those in `rebuild` get new histories, whatever Redis holds.

        While Redis is down the state cannot be taken: scoring starts without histories, and each score says so.
        Raises Halt for offsets that the log does not have; Unavailable if scoring without Redis was not chosen.
        """
        numbers = sorted(spans)
        marks = self._marks(numbers)
        starts = {}
        for number in numbers:
            span = LogSpan(spans[number].log_start, self._live_from(number, spans[number]))
            mark = None if marks is None else marks[number]
            self._refuse_forgotten(number, spans[number], mark)
            start = self.working_set.open(number, self.keys(number), mark, span, rebuild=number in rebuild)
            partition = self.working_set.partitions[number]
            if marks is None:
                partition.whole = False
                partition.position = start = span.live_from
            self.gaps[number] = spans[number].gaps
            starts[number] = start = self.past_gaps([number]).get(number, start)
            self.metrics.recoveries_total[cause].inc()
            log.info("state is taken", partition=number, cause=cause, read_from=start, score_from=span.live_from)
        self.metrics.assigned_partitions.set(len(self.working_set.partitions))
        return starts

    def past_gaps(self, numbers: Iterable[int]) -> dict[int, int]:
        """Where to go on reading, of those partitions that have come to a gap.

        Facts are missing from there on, so histories are complete only from the first event after it.
        """
        jumps = {}
        for number in numbers:
            if not self.gaps[number]:
                continue
            partition = self.working_set.partitions[number]
            offset = past(self.gaps[number], partition.position)
            if offset > partition.position:
                partition.position, partition.since = offset, UNKNOWN
                jumps[number] = offset
        return jumps

    def _marks(self, numbers: Sequence[int]) -> dict[int, bytes | None] | None:
        try:
            return dict(zip(numbers, self.store.applied([self.keys(n) for n in numbers]), strict=True))
        except Unavailable:
            if not self.degrade:
                raise
            return None

    def _refuse_forgotten(self, number: int, span: Span, mark: bytes | None) -> None:
        """Histories are written after a commit: a group that has them and no offset would score everything again."""
        if span.committed is None and self.working_set.has_come_to(mark) > span.log_start:
            raise Halt(
                f"partition {number}: the group has no committed offset any more, yet it had come to "
                f"{self.working_set.has_come_to(mark)}: the topic was deleted and made again, or the offsets expired. "
                "Set them with kafka-consumer-groups --reset-offsets, or choose another RISKSTREAM_GROUP to begin anew."
            )

    def _live_from(self, number: int, span: Span) -> int:
        if number >= self.partitions:
            raise Halt(
                f"partition {number} was added to the input topic, so users have moved between partitions. "
                "Start with a new RISKSTREAM_HISTORY_NAMESPACE to rebuild the histories from the log."
            )
        if span.committed is None:
            return span.log_start
        where = f"partition {number}: the group would go on at offset {span.committed}, yet the log holds"
        if span.committed < span.log_start:
            raise Halt(
                f"{where} {span.log_start} to {span.log_end}: records were deleted before they were scored. Look for "
                f"the cause, stop all workers of the group and run `riskstream offsets skip --partition {number} "
                f"--to {span.log_start} --reason ...`, which leaves a record of the gap."
            )
        if span.committed > span.log_end:
            raise Halt(
                f"{where} {span.log_start} to {span.log_end}: this is not the log that was scored. "
                "Look for the cause, then set the group's offset with kafka-consumer-groups --reset-offsets."
            )
        return span.committed

    def _forget(self, partitions: Sequence[int]) -> None:
        self.working_set.drop(partitions)
        for number in partitions:
            self.gaps.pop(number, None)
            self.metrics.applied_lag_events.forget(number)
            self.metrics.consumer_lag_events.forget(number)
        self.metrics.assigned_partitions.set(len(self.working_set.partitions))
