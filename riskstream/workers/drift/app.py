"""The Faust app: brings records of stats to the agent, tells it who owns the partitions and when they are silent."""

import time
from typing import Any

import aiokafka
import faust
import structlog

from riskstream.workers.drift.agent import Agent
from riskstream.workers.drift.sources import Sources
from riskstream.workers.drift.transport import transport_class
from riskstream.workers.health import Status
from riskstream.workers.settings import Settings

log = structlog.get_logger(__name__)

TICK_S = 1.0
FRESH_S = 3.0
"""A partition that was fetched within so many seconds and brought nothing has nothing."""


def build_app(settings: Settings, agent: Agent, status: Status) -> faust.App:
    """An app that commits nothing by itself: offsets go with the reports."""
    app = faust.App(
        settings.drift_group,
        broker=[f"kafka://{address}" for address in settings.bootstrap_servers.split(",")],
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        store="memory://",
        autodiscover=False,
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_request_timeout=max(90.0, settings.session_timeout_ms / 1000 + 1),
        stream_wait_empty=False,
    )
    app.transport = app.producer_transport = transport_class(settings)(app.conf.broker_consumer, app)
    sources_of = Sources(settings)
    topic = app.topic(settings.stats_topic, value_type=bytes, value_serializer="raw", key_type=bytes)

    async def merge(stream: Any) -> None:
        async for event in stream.noack().events():
            await agent.merge(event.value, event.message.offset)

    async def watch() -> None:
        """Time that this process slept through, or in which the broker was away, is no silence of a partition."""
        while not app.should_stop:
            await app.sleep(TICK_S)
            status.progress()
            await agent.tick(_fetched(app, settings.stats_topic), TICK_S, sources_of)

    async def assigned(_app: Any, partitions: Any, **_: Any) -> None:
        numbers = sorted(part.partition for part in partitions if part.topic == settings.stats_topic)
        log.info("partitions are assigned", partitions=numbers)
        await (agent.take_over(numbers) if numbers else agent.stand_by())
        status.assignment_known = True

    app.agent(topic, name="merge")(merge)
    app.task(watch)
    handler: Any = assigned
    app.on_partitions_assigned.connect(handler, weak=False)
    return app


def _fetched(app: faust.App, topic: str) -> list[int]:
    """Partitions that the broker answered about just now. Silent for longer, it may have what we do not know of."""
    faust_consumer: Any = app.consumer
    consumer: aiokafka.AIOKafkaConsumer | None = faust_consumer._thread._consumer
    if consumer is None:
        return []
    since_ms = (time.time() - FRESH_S) * 1000
    owned = [part for part in consumer.assignment() if part.topic == topic]
    return [part.partition for part in owned if (consumer.last_poll_timestamp(part) or 0) >= since_ms]
