"""The loop: owns time, retries and offsets. One batch at a time, committed before the next is taken.

What fails leads to one of three ends: a doubt, after which state is taken anew and the same records come again; giving
up uncommitted after a bounded time; or a halt that tells an operator what to do.
"""

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from riskstream.models.scorer import NonFiniteScore
from riskstream.workers.errors import Aborted, Fenced, Halt, OutcomeUnclear, StateLost, Unavailable
from riskstream.workers.health import Status
from riskstream.workers.join import Join
from riskstream.workers.kafka.input import Batch, Input
from riskstream.workers.kafka.output import Output
from riskstream.workers.metrics import Metrics
from riskstream.workers.ownership import Ownership
from riskstream.workers.rejection_limit import RejectionLimit
from riskstream.workers.scoring import Outcome, Scoring
from riskstream.workers.working_set import WorkingSet

log = structlog.get_logger(__name__)

FENCED_MOST, FENCED_WITHIN_S = 5, 60.0


@dataclass
class Doubt:
    """Why what is in memory is not to be believed. `renew`: nor are the producers. `rebuild`: nor is Redis, for these."""

    cause: str
    renew: bool = False
    rebuild: tuple[int, ...] = ()


@dataclass(frozen=True)
class Pace:
    """Bounds of the loop: records a batch, seconds to wait for a first one, seconds until Kafka is given up."""

    max_batch: int
    wait_s: float
    give_up_s: float


class Loop:
    """Runs one worker until it is told to stop."""

    def __init__(
        self,
        source: Input,
        output: Output,
        ownership: Ownership,
        scoring: Scoring,
        join: Join,
        working_set: WorkingSet,
        limit: RejectionLimit,
        status: Status,
        metrics: Metrics,
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._input = source
        self._output = output
        self._ownership = ownership
        self._scoring = scoring
        self._join = join
        self._working_set = working_set
        self._limit = limit
        self._status = status
        self._metrics = metrics
        self._pace = pace
        self._clock = clock
        self._sleep = sleep
        self._halted: set[int] = set()
        self._fenced_at: deque[float] = deque(maxlen=FENCED_MOST)
        self._failing_since: float | None = None
        self._doubt: Doubt | None = Doubt("start", renew=True)
        self.stopping = False

    def run(self) -> None:
        """Until `stopping` is set. Raises Halt, Unavailable after the bound; what is not committed comes again."""
        while not self.stopping:
            self._status.progress()
            self._metrics.last_progress_timestamp_seconds.set(time.time())
            try:
                if self._doubt:
                    self._resolve(self._doubt)
                self._round()
            except StateLost as lost:
                self._doubt = Doubt(lost.cause, rebuild=tuple(lost.partitions) if lost.cause == "corrupt" else ())
                log.warning("state is lost", cause=lost.cause, partitions=lost.partitions)
            except Aborted as error:
                self._doubt_batch("aborted", str(error))
            except Fenced as error:
                self._note_fenced()
                self._doubt_batch("unclear", str(error))
            except OutcomeUnclear as error:
                self._doubt_batch("unclear", str(error))
                self._back_off(Unavailable(str(error)))
            except NonFiniteScore as error:
                raise Halt(f"{error}. Roll back to a model that works: set RISKSTREAM_BUNDLE and restart.") from error
            except Unavailable as error:
                self._doubt = self._doubt or Doubt("unavailable")
                self._back_off(error)

    def _resolve(self, doubt: Doubt) -> None:
        if doubt.renew:
            self._output.open()
            doubt.renew = False
        owned = self._input.owned()
        self._working_set.drop(list(self._working_set.partitions))
        starts = self._ownership.take_state(self._input.spans(owned), doubt.cause, doubt.rebuild)
        self._input.seek(starts)
        self._doubt = None

    def _round(self) -> None:
        batch = self._input.take(self._pace.max_batch, self._pace.wait_s)
        self._status.assignment_known = self._ownership.known
        if batch is None:
            self._join.flush_if_due()
        else:
            self._process(batch)
            self._failing_since = None

    def _process(self, batch: Batch) -> None:
        outcome = self._scoring(batch)
        if self._is_over_limit(outcome):
            return
        started = self._clock()
        if outcome.offsets:
            self._output.publish(outcome.records, outcome.offsets, batch.group)
            self._metrics.transactions_total["committed"].inc()
            self._metrics.stage_seconds["commit"].observe(self._clock() - started)
        self._scoring.absorb(outcome)

    def _is_over_limit(self, outcome: Outcome) -> bool:
        batch = outcome.batch
        live = (
            (number, index in outcome.refused)
            for index, (number, offset) in enumerate(zip(batch.partitions, batch.offsets, strict=True))
            if offset >= self._working_set.partitions[number].live_from
        )
        over = self._limit.exceeded(live)
        if not over:
            return False
        self._halted |= over
        self._input.pause(over)
        for number in over:
            self._limit.forget(number)
            log.error("partition halted: nearly everything is refused", partition=number, next="mend the producer, restart")
        self._metrics.halted_partitions.set(len(self._halted))
        self._status.halted = f"partitions {sorted(self._halted)}: too many dead letters; mend the producer, then restart"
        self._doubt = Doubt("dead_letter_limit")
        return True

    def _doubt_batch(self, outcome: str, error: str) -> None:
        self._doubt = Doubt(outcome, renew=outcome == "unclear")
        self._metrics.transactions_total[outcome].inc()
        log.warning("the batch comes again", outcome=outcome, error=error)

    def _note_fenced(self) -> None:
        now = self._clock()
        self._fenced_at.append(now)
        if len(self._fenced_at) == FENCED_MOST and now - self._fenced_at[0] < FENCED_WITHIN_S:
            raise Halt("another worker runs under the same RISKSTREAM_SLOT. Give each replica its own slot.")

    def _back_off(self, error: Unavailable) -> None:
        now = self._clock()
        self._failing_since = self._failing_since or now
        failing_s = now - self._failing_since
        if failing_s > self._pace.give_up_s:
            raise error
        log.warning("a dependency does not answer, trying again", error=str(error), for_seconds=round(failing_s, 1))
        self._sleep(min(0.1 * 1.5 ** min(failing_s, 8.0), 2.0) * random.uniform(0.5, 1.0))
