"""The webhook: one POST for every alert that begins or ends. It may fail; nothing waits for it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator

import aiohttp
import msgspec
import structlog
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from riskstream.schemas.drift import Alert, DriftReport
from riskstream.workers.drift.metrics import DriftMetrics

log = structlog.get_logger(__name__)

TIMEOUT_S = 5.0
ATTEMPTS = 4
WAITING_MOST = 100


class Changes:
    """Tells which alerts begin and end. The same cause in windows of several lengths is one alert."""

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str, str, str | None], dict[int, Alert]] = defaultdict(dict)

    def of(self, report: DriftReport) -> Iterator[tuple[str, Alert]]:
        """("began" or "ended", the alert) for each that this report changes."""
        for alert in report.alerts:
            cause = alert.model, alert.kind, alert.feature, alert.segment
            lengths = self._standing[cause]
            before = bool(lengths)
            if alert.ended_at is None:
                lengths[report.length_ms] = alert
            else:
                lengths.pop(report.length_ms, None)
            if before != bool(lengths):
                yield "began" if lengths else "ended", alert

    def leave(self, model: str, at: int) -> Iterator[tuple[str, Alert]]:
        """The model serves no more since `at`: whatever stands of it ends."""
        for cause in [cause for cause in self._standing if cause[0] == model]:
            lengths = self._standing.pop(cause)
            if lengths:
                yield "ended", msgspec.structs.replace(lengths[min(lengths)], ended_at=at)

    @property
    def standing(self) -> Counter[tuple[str, str, str]]:
        """How many stand by model, kind and severity; one that stands in several lengths has the severest."""
        return Counter(
            (model, kind, min(alert.severity for alert in lengths.values()))  # critical comes before warning
            for (model, kind, *_), lengths in self._standing.items()
            if lengths
        )


class Webhook:
    """Posts in the background, a bounded number waiting; `run` is a task of its own."""

    def __init__(self, url: str, metrics: DriftMetrics) -> None:
        self._url = url
        self._metrics = metrics
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING_MOST)

    def tell(self, change: str, alert: Alert) -> None:
        try:
            self._waiting.put_nowait(msgspec.json.encode({"change": change, "alert": alert}))
        except asyncio.QueueFull:
            self._metrics.drift_webhook_total["dropped"].inc()
            log.warning("an alert is not posted: too many wait", alert=alert.id)

    async def run(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as session:
            while True:
                await self._post(session, await self._waiting.get())

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> None:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.5, max=10),
            retry=retry_if_exception_type((aiohttp.ClientError, TimeoutError)),
        )
        try:
            async for attempt in retrying:
                with attempt:
                    headers = {"Content-Type": "application/json"}
                    async with session.post(self._url, data=body, headers=headers) as answer:
                        answer.raise_for_status()
            self._metrics.drift_webhook_total["sent"].inc()
        except RetryError as error:
            self._metrics.drift_webhook_total["failed"].inc()
            # Not the error's own words: they may repeat the address, which may hold a token.
            log.warning("an alert was not posted", error=type(error.last_attempt.exception()).__name__)
