"""The loop: owns time, retries and offsets. One batch at a time, published before the next is taken: exactly once
committed with that, at least once on its way.

What fails leads to one of three ends: a doubt, after which state is taken anew and the same records come again; giving
up uncommitted after a bounded time; or a halt that tells an operator what to do.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from riskstream.models.scorer import NonFiniteScore
from riskstream.workers.errors import Aborted, Fenced, Halt, OutcomeUnclear, StateLost, Unavailable
from riskstream.workers.health import Status
from riskstream.workers.join import Join
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.kafka.input import SKIP, Input
from riskstream.workers.kafka.output import Outgoing, Output
from riskstream.workers.metrics import Metrics
from riskstream.workers.outcome import Answers
from riskstream.workers.ownership import Ownership
from riskstream.workers.recurrence import Recurrence, pause_s
from riskstream.workers.rejection_limit import RejectionLimit
from riskstream.workers.scoring import Scoring
from riskstream.workers.stats import Stats
from riskstream.workers.watchdog import Watchdog
from riskstream.workers.working_set import WorkingSet

log = structlog.get_logger(__name__)

FENCED_LEAST, FENCED_MOST, FENCED_WITHIN_S = 4, 8, 60.0
"""So often a worker is fenced before it leaves. Each has a patience of its own: of two in a slot one is to stay."""
FENCED_PAUSES = 5.0
"""Of the usual ones. Opening two producers takes some tenths of a second: two workers should seldom do it at once."""
LOST_WITHIN_S = 30.0
SHOW_EVERY_S = 1.0


@dataclass
class Doubt:
    """Why memory is not to be believed. `renew`: nor are the producers. `rebuild`: nor is Redis, for these."""

    cause: str
    renew: bool = False
    rebuild: tuple[int, ...] = ()


@dataclass(frozen=True)
class Pace:
    """Bounds of the loop: records a batch, seconds to wait for a first one, seconds until Kafka is given up, seconds
    until a partition that gives nothing is looked into."""

    max_batch: int
    wait_s: float
    give_up_s: float
    stall_s: float


@dataclass(slots=True)
class Loop:
    """Runs one worker until it is told to stop."""

    source: Input
    output: Output
    ownership: Ownership
    scoring: Scoring
    join: Join
    working_set: WorkingSet
    limit: RejectionLimit
    status: Status
    metrics: Metrics
    pace: Pace
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    stats: Stats | None = None

    stopping: bool = False
    _halted: set[int] = field(default_factory=set)
    _fenced: Recurrence = field(init=False)
    _patience: int = field(default_factory=lambda: random.randint(FENCED_LEAST, FENCED_MOST))
    _lost: Recurrence = field(init=False)
    _watchdog: Watchdog = field(init=False)
    _failing_since: float | None = None
    _shown_at: float = 0.0
    _doubt: Doubt | None = field(default_factory=lambda: Doubt("start", renew=True))

    def __post_init__(self) -> None:
        self._fenced = Recurrence(FENCED_WITHIN_S, self.clock)
        self._lost = Recurrence(LOST_WITHIN_S, self.clock)
        self._watchdog = Watchdog(self.source, self.pace.stall_s, self.clock)

    def run(self) -> None:
        """Until `stopping` is set. Raises Halt, Unavailable after the bound; what is not committed comes again."""
        while not self.stopping:
            self._show_progress()
            try:
                if self._doubt:
                    self._resolve(self._doubt)
                self._round()
            except StateLost as lost:
                self._doubt = Doubt(lost.cause, rebuild=tuple(lost.partitions) if lost.cause == "corrupt" else ())
                self._wait_for_state(lost)
            except Aborted as error:
                self._doubt_batch("aborted", str(error))
                self._back_off(Unavailable(str(error)))
            except Fenced as error:
                self._doubt_batch("unclear", str(error))
                self._give_way()
            except OutcomeUnclear as error:
                self._doubt_batch("unclear", str(error))
                self._back_off(Unavailable(str(error)))
            except NonFiniteScore as error:
                raise Halt(f"{error}. Roll back to a model that works: set RISKSTREAM_BUNDLE and restart.") from error
            except Unavailable as error:
                self._doubt = self._doubt or Doubt("unavailable")
                self._back_off(error)
        self._publish_last_stats()

    def begin_anew(self) -> None:
        """Told by who watches: who ran this is stuck in a call, and another thread is about to.

        Raises Unavailable after the bound.
        """
        stuck = "Kafka's client does not come back from a call"
        self._doubt_batch("unclear", stuck)
        self._back_off(Unavailable(stuck))

    def _show_progress(self) -> None:
        self.status.progress()
        self.status.assignment_known = self.ownership.known
        self.status.assigned = len(self.working_set.partitions)
        now = self.clock()
        if now - self._shown_at < SHOW_EVERY_S:
            return
        self._shown_at = now
        self.metrics.last_progress_timestamp_seconds.set(time.time())
        self.metrics.history_cache_bytes.set(self.working_set.size)
        partitions = self.working_set.partitions
        for number, lag in self.source.lags({n: p.position for n, p in partitions.items()}).items():
            self.metrics.consumer_lag_events[number].set(lag)
            self.metrics.applied_lag_events[number].set(partitions[number].position - partitions[number].applied.offset)

    def _watch(self) -> None:
        partitions = self.working_set.partitions
        self._watchdog.look({n: p.position for n, p in partitions.items() if n not in self._halted})
        stalled = self._watchdog.halted
        self.metrics.stalled_partitions.set(len(stalled))
        self.status.stalled = [f"partition {n} gives nothing at {at}. {SKIP.format(n)}" for n, at in stalled.items()]

    def _resolve(self, doubt: Doubt) -> None:
        if doubt.renew:
            self.output.open()
            doubt.renew = False
        owned = self.source.owned()
        self.working_set.drop(list(self.working_set.partitions))
        self.limit.clear()  # the same records come again
        starts = self.ownership.take_state(self.source.spans(owned), doubt.cause, doubt.rebuild)
        self.source.seek(starts)
        self._doubt = None

    def _round(self) -> None:
        if self._watchdog.is_due():  # before records are taken, which then would wait
            self._watch()
        batch = self.source.take(self.pace.max_batch, self.pace.wait_s)
        if batch is None:
            self.join.write_behind()
            self._publish_stats()
        else:
            self._process(batch)
            if self._failing_since is not None:
                self.output.settle()  # what is on its way may fail as it did before
                self._failing_since = None

    def _process(self, batch: Batch) -> None:
        answers = self.scoring(batch)
        if answers.refused and self._is_over_limit(answers):
            return
        if answers.offsets:
            stats = self.stats.due() if self.stats else []
            self.output.publish([*answers.records, *stats], answers.offsets, batch.group)
            answers.committed = self.scoring.timer()
            if self.stats:
                self._confirm(stats)
                self.stats.absorb(answers, self.working_set.partitions)
        if not answers.refused:
            self.limit.passed(batch.partitions)
        self.scoring.absorb(answers)
        if jumps := self.ownership.past_gaps(batch.next_offsets):
            self.source.seek(jumps)
        self.join.write_behind()

    def _publish_stats(self, *, now: bool = False) -> None:
        """In a transaction of their own, when no batch comes that they could go with."""
        if self.stats and (records := self.stats.due(now=now)):
            self.output.publish(records, {}, None)
            self._confirm(records)

    def _confirm(self, stats: Sequence[Outgoing]) -> None:
        if self.stats and stats:
            self.output.settle()
            self.stats.confirmed(stats)

    def _publish_last_stats(self) -> None:
        """On the way out, as far as possible: what is not told now is missing from the sidecar's windows."""
        if self._doubt:
            return
        try:
            self._publish_stats(now=True)
        except (Aborted, OutcomeUnclear, Unavailable, Halt) as error:
            log.warning("the last stats were not published", error=str(error))

    def _is_over_limit(self, answers: Answers) -> bool:
        batch = answers.batch
        live = (
            (number, index in answers.refused)
            for index, (number, offset) in enumerate(zip(batch.partitions, batch.offsets, strict=True))
            if offset >= self.working_set.partitions[number].live_from
        )
        over = self.limit.exceeded(live)
        if not over:
            return False
        self._halted |= over
        self.source.pause(over)
        for number in over:
            log.error(
                "partition halted: nearly everything is refused", partition=number, next="mend the producer, restart"
            )
        self.metrics.halted_partitions.set(len(self._halted))
        self.status.halted = (
            f"partitions {sorted(self._halted)}: too many dead letters; mend the producer, then restart"
        )
        self._doubt = Doubt("dead_letter_limit")
        return True

    def _doubt_batch(self, outcome: str, error: str) -> None:
        self._doubt = Doubt(outcome, renew=outcome == "unclear")
        self.metrics.transactions_total[outcome].inc()
        log.warning("the batch comes again", outcome=outcome, error=error)

    def _wait_for_state(self, lost: StateLost) -> None:
        """Once is a matter of course. Who keeps losing it fights with somebody over the keys: not in a hot circle."""
        times = self._lost.note()
        pause = pause_s(times) * random.uniform(0.5, 1.0)
        log.warning("state is lost", cause=lost.cause, partitions=lost.partitions, times=times, pause_s=round(pause, 1))
        self.sleep(pause)

    def _give_way(self) -> None:
        """Two workers of one slot fence each other until one leaves. By turns: who opens while the other does has one
        producer, and the other the second, so that both are fenced, and both would leave."""
        times = self._fenced.note()
        if times >= self._patience:
            raise Halt("another worker runs under the same RISKSTREAM_SLOT. Give each replica its own slot.")
        self.sleep(FENCED_PAUSES * pause_s(times) * random.random())

    def _back_off(self, error: Unavailable) -> None:
        now = self.clock()
        self._failing_since = self._failing_since or now
        failing_s = now - self._failing_since
        if failing_s > self.pace.give_up_s:
            raise error
        log.warning("a dependency does not answer, trying again", error=str(error), for_seconds=round(failing_s, 1))
        self.sleep(min(0.1 * 1.5 ** min(failing_s, 8.0), 2.0) * random.uniform(0.5, 1.0))
