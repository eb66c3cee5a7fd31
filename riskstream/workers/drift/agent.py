"""The sidecar's work, whoever brings the records: merge, close, judge, publish. Used by one task at a time."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import msgspec
import structlog

from riskstream.models.drift.verdict import State, StateError, judge_window
from riskstream.models.drift.window import Window
from riskstream.schemas.drift import Alert, DriftReport
from riskstream.schemas.stats import decode_stats
from riskstream.workers.drift.metrics import DriftMetrics, Shown
from riskstream.workers.drift.models import Models
from riskstream.workers.drift.overview import Recent
from riskstream.workers.drift.progress import Source
from riskstream.workers.drift.store import Closing, Store
from riskstream.workers.drift.webhook import Changes, Webhook
from riskstream.workers.drift.windows import Rules, Windows

log = structlog.get_logger(__name__)

RECENT_DAYS = 2.0
FOREVER = 2**63
Series = tuple[str, int]
SourcesOf = Callable[[Mapping[int, int | None]], Mapping[int, Source]]
"""Tells of input partitions, which come with the offset up to which they are counted."""


class Agent:
    """Has its windows from `take_over` until `stand_by`; merges and closes only then."""

    def __init__(
        self,
        rules: Rules,
        models: Models,
        store: Store,
        metrics: DriftMetrics,
        webhook: Webhook | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules = rules
        self._models = models
        self._store = store
        self._metrics = metrics
        self._shown = Shown(metrics)
        self._webhook = webhook
        self._clock = clock
        self._windows: Windows | None = None
        self._stored: dict[Series, bytes] = {}
        self._states: dict[Series, State] = {}
        self._changes = Changes()
        self._shortest = min(kind.length_ms for kind in rules.kinds)
        self._working = asyncio.Lock()
        self.recent = Recent(keep=2_000, series=64)
        self.looking = threading.Lock()  # the page is served by another thread

    @property
    def active(self) -> bool:
        return self._windows is not None

    async def take_over(self, partitions: list[int]) -> None:
        """All partitions are this instance's now. Raises Unavailable.

        What was merged before stays: only another instance that took over meanwhile could have made it untrue, and
        that one stopped this one's producer.
        """
        async with self._working:
            if self._windows is None:
                await self._store.open()
                checkpoint, self._stored = await self._store.remembered()
                self._states = {}
                async for report in self._store.recent(RECENT_DAYS):
                    self._note(report)
                self._part_with_models(checkpoint.closed_until)
                self._windows = Windows(self._rules, self._models.layout, checkpoint)
                log.info("windows are taken over", closed_until=checkpoint.closed_until)
            self._windows.own(partitions)
            self._metrics.drift_active.set(1)

    async def stand_by(self) -> None:
        async with self._working:
            self._windows = None
            await self._store.close()
            self._metrics.drift_active.set(0)
            self._shown.forget(FOREVER)

    async def merge(self, value: bytes, at: int) -> None:
        """Add a record of stats, which has the offset `at`. Raises Unavailable."""
        async with self._working:
            if self._windows is None:
                return
            try:
                record = decode_stats(value)
            except msgspec.DecodeError as error:
                self._metrics.drift_records_total["unreadable"].inc()
                log.warning("a record of stats cannot be read", offset=at, reason=str(error))
                return
            self._windows.merge(record, at)
            if not self._windows.passed_over:
                await self._close()

    async def tick(self, read: Sequence[int], seconds: float, sources_of: SourcesOf) -> None:
        """Every so many seconds, in which these partitions of the topic were read. Raises Unavailable.

        Whether a partition is silent is known only now: events may have come to it with those that were merged.
        """
        async with self._working:
            if self._windows is None:
                return
            sources = await asyncio.to_thread(sources_of, self._windows.still(read))
            for number, source in sources.items():
                self._windows.partitions[number].stand_still(seconds, source)
            if self._windows.passed_over <= sources.keys():
                await self._close()
            self._count()

    async def _close(self) -> None:
        windows = self._windows
        assert windows is not None  # noqa: S101 - both callers looked
        closed = windows.close(int(self._clock() * 1000))
        if not closed:
            return
        states: dict[Series, State] = {}
        reports: list[DriftReport] = []
        for window in closed:
            reports += await asyncio.to_thread(self._judge, window, states)
        encoded = {series: self._encoded(series, state) for series, state in states.items()}
        await self._store.publish(Closing(reports, encoded, windows.checkpoint()))
        self._states |= states
        for report in reports:
            self._tell(report)
        self._announce(self._part_with_models(windows.closed_until))
        for end, group in groupby(closed, key=lambda window: window.end):
            log.info(
                "windows are closed",
                end=end,
                events=sum(w.whole.events for w in group if w.length_ms == self._shortest),
            )
        self._count()

    def _judge(self, window: Window, states: dict[Series, State]) -> tuple[DriftReport, ...]:
        series = window.model, window.length_ms
        judge = self._models.judge(window.model)
        if judge is None:
            return ()
        if series not in states:
            states[series] = self._states.get(series) or self._restored(series)
        states[series], reports = judge_window(judge, states[series], window)
        return reports

    def _restored(self, series: Series) -> State:
        judge, stored = self._models.judge(series[0]), self._stored.get(series)
        if judge is None or stored is None:
            return State()
        try:
            return State.decode(judge.shape, stored)
        except StateError as error:
            log.warning("what was learned is of no use and learned anew", model=series[0], reason=str(error))
            return State()

    def _encoded(self, series: Series, state: State) -> bytes:
        judge = self._models.judge(series[0])
        return state.encode(judge.shape) if judge else b""

    def _tell(self, report: DriftReport) -> None:
        """A new report is noted, counted and, where it changes an alert, told to the log and the webhook."""
        self._announce(self._note(report))
        if report.segment is None:
            self._metrics.drift_windows_closed_total[str(report.length_ms // 1000)].inc()

    def _announce(self, changes: list[tuple[str, Alert]]) -> None:
        for change, alert in changes:
            log.warning("alert", change=change, kind=alert.kind, feature=alert.feature, says=alert.sentence)
            if self._webhook:
                self._webhook.tell(change, alert)

    def _part_with_models(self, closed_until: int) -> list[tuple[str, Alert]]:
        """Those that no window has seen for as long as the longest lasts; answers the alerts that end with them."""
        gone = self._shown.forget(closed_until - self._rules.longest_ms)
        return [change for model in gone for change in self._changes.leave(model, closed_until)]

    def _note(self, report: DriftReport) -> list[tuple[str, Alert]]:
        """On the page and, if it is of all events, in the metrics; answers the alerts that it changes."""
        with self.looking:
            self.recent.add(report)
        if report.segment is not None:
            return []
        changes = list(self._changes.of(report))
        ended = self._metrics.drift_window_end_timestamp_seconds
        ended[str(report.length_ms // 1000)].set(report.window_end / 1000)
        if report.length_ms == self._shortest:
            self._shown.window(report)
        self._shown.alerts(self._changes.standing)
        return changes

    def _count(self) -> None:
        windows, metrics = self._windows, self._metrics
        if windows is None:
            return
        tally, windows.tally = windows.tally, type(windows.tally)()
        for outcome in ("new", "repeat", "overlap", "unreadable"):
            metrics.drift_records_total[outcome].inc(tally[outcome])
        metrics.drift_events_total.inc(tally["events"])
        metrics.drift_late_events_total.inc(tally["late"])
        metrics.drift_unseen_offsets.set(sum(p.lost(0, FOREVER) for p in windows.partitions.values()))
        metrics.drift_waiting_offsets.set(sum(p.waiting for p in windows.partitions.values()))
        metrics.drift_cells.set(windows.cells)
