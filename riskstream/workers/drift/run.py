"""Builds the sidecar from its settings, runs it, takes it down."""

import asyncio
import logging
import signal
from contextlib import suppress
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import faust
import structlog
from aiokafka.errors import UnsupportedCodecError
from prometheus_client import CollectorRegistry

from riskstream.models.drift.judgement import Rules as VerdictRules
from riskstream.workers.drift.agent import Agent
from riskstream.workers.drift.app import build_app
from riskstream.workers.drift.metrics import DriftMetrics
from riskstream.workers.drift.models import Models, find_in
from riskstream.workers.drift.page import answer
from riskstream.workers.drift.store import Store
from riskstream.workers.drift.webhook import Webhook
from riskstream.workers.drift.windows import Rules
from riskstream.workers.errors import Halt, Unavailable
from riskstream.workers.health import HealthServer, Page, Status
from riskstream.workers.kafka.admin import describe_topics
from riskstream.workers.settings import Settings
from riskstream.workers.settings_sources import PREFIX, SettingsError

log = structlog.get_logger(__name__)

FALSE_ALARMS = 0.01
"""Of calm windows, over all lengths together."""
STOP_WITHIN_S = 10.0
CHATTY = ("faust", "mode", "aiokafka")
"""Loggers that tell at length what is well."""


def run_sidecar(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT; answers the exit code. Raises SettingsError, Halt, Unavailable."""
    lateness_ms = settings.drift_lateness_s * 1000
    rules = Rules(settings.drift_windows, lateness_ms, settings.drift_idle_s, settings.drift_behind_s)
    if rules.step_ms % (settings.stats_slot_s * 1000):
        step = f"{rules.step_ms // 1000} s"
        raise SettingsError([f"{PREFIX}DRIFT_WINDOWS: {PREFIX}STATS_SLOT_S must divide their common step, {step}"])
    _check_topics(settings)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    metrics, status = DriftMetrics(CollectorRegistry()), Status()
    webhook = Webhook(settings.drift_webhook_url, metrics) if settings.drift_webhook_url else None
    verdicts = VerdictRules(false_alarms=FALSE_ALARMS / len(rules.kinds))
    models = Models(find_in(settings), verdicts, settings)
    agent = Agent(rules, models, Store(settings), metrics, webhook)
    address = (settings.drift_host, settings.drift_port)
    why_not_ready = lambda: [] if status.assignment_known else ["the assignment is not known yet"]  # noqa: E731
    pages = partial(_page, agent)
    with HealthServer(address, metrics.registry, status.why_not_live, why_not_ready, pages) as server:
        log.info("sidecar is ready", group=settings.drift_group, health_port=server.port)
        asyncio.run(_run(build_app(settings, agent, status), agent, webhook))
    log.info("sidecar has stopped")
    return 0


def _check_topics(settings: Settings) -> None:
    names = (settings.input_topic, settings.stats_topic, *settings.drift_topics)
    found = describe_topics(settings, names)
    if missing := [name for name in names if name not in found]:
        raise Halt(f"topics do not exist: {', '.join(missing)}. Run `riskstream topics create`.")


def _page(agent: Agent, target: str) -> Page | None:
    parts = urlsplit(target)
    with agent.looking:
        return answer(parts.path, dict(parse_qsl(parts.query)), agent.recent)


async def _run(app: faust.App, agent: Agent, webhook: Webhook | None) -> None:
    """Until a signal, or until the app crashes, whose reason is raised."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    posting = asyncio.create_task(webhook.run()) if webhook else None
    app.loop = loop
    try:
        starting = asyncio.create_task(app.start())
        stopped = asyncio.create_task(stop.wait())
        crashed = asyncio.create_task(app._crashed.wait())
        await asyncio.wait({starting, stopped, crashed}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({stopped, crashed}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (posting, starting, stopped, crashed):
            if task:
                task.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(app.stop(), STOP_WITHIN_S)
        await agent.stand_by()
    if app.crash_reason and not stop.is_set():
        raise _reason(app.crash_reason)


def _reason(crash: BaseException) -> BaseException:
    """A broker that stays away is no bug."""
    if isinstance(crash, UnsupportedCodecError):
        return Halt(
            f"the topic of stats holds records that are packed as the sidecar cannot read: {crash}. Set its "
            "compression.type to gzip, as `riskstream topics create` does, and start with a new RISKSTREAM_DRIFT_GROUP "
            "once the old records are gone."
        )
    known = isinstance(crash, Halt | Unavailable | SettingsError)
    if known or not type(crash).__module__.startswith("aiokafka"):
        return crash
    return Unavailable(f"Kafka does not answer the sidecar: {crash!r}")
