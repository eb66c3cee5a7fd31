"""The sidecar's agent, with a memory instead of Kafka: what stands of a model ends when the model brings no windows."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from riskstream.schemas.drift import Alert, DriftReport
from riskstream.schemas.stats import encode_stats
from riskstream.workers.drift.agent import Agent
from riskstream.workers.drift.metrics import DriftMetrics
from riskstream.workers.drift.progress import Source
from riskstream.workers.drift.store import Closing
from riskstream.workers.drift.windows import Checkpoint
from tests.support.drift_reports import BROKEN_FROM, report
from tests.unit.test_sketch import LAYOUT
from tests.unit.test_windows import RULES, T0, record

BEFORE = msgspec.structs.replace(report(BROKEN_FROM + 1), window_start=T0 - RULES.step_ms, window_end=T0)


class Memory:
    """A store that knows one report, and how far windows were closed."""

    def __init__(self, closed_until: int) -> None:
        self._checkpoint = Checkpoint(closed_until)
        self.published: list[Closing] = []

    async def open(self) -> None: ...

    async def remembered(self) -> tuple[Checkpoint, dict[Any, bytes]]:
        return self._checkpoint, {}

    async def recent(self, _days: float) -> AsyncIterator[DriftReport]:
        yield BEFORE

    async def publish(self, closing: Closing) -> None:
        self.published.append(closing)


def agent_of(store: Any, webhook: Any = None) -> Agent:
    models: Any = SimpleNamespace(layout=lambda *_: LAYOUT, judge=lambda _: None)
    metrics = DriftMetrics(CollectorRegistry())
    return Agent(RULES, models, store, metrics, webhook, clock=lambda: T0 / 1000 + 10**6)


def told(closed_until: int, *minutes: int) -> list[tuple[str, int | None]]:
    """What the webhook hears of an agent that takes over there, while another model's events come at these minutes."""
    heard: list[tuple[str, int | None]] = []

    def tell(change: str, alert: Alert) -> None:
        heard.append((change, alert.ended_at))

    agent = agent_of(Memory(closed_until), SimpleNamespace(tell=tell))

    async def play() -> None:
        await agent.take_over([0])
        for at, minute in enumerate(minutes):
            await agent.merge(encode_stats(record(0, at, at + 1, minute)), at)

    asyncio.run(play())
    return heard


def test_a_model_that_serves_no_more_is_told_once_to_have_no_alert() -> None:
    assert told(0, 2, 8) == []
    assert told(0, 2, 12, 18, 30) == [("ended", T0 + 10 * 60_000)]


def test_who_takes_over_later_does_not_tell_it_again() -> None:
    assert told(T0 + 10 * 60_000, 12, 18, 30) == []


@pytest.mark.parametrize(
    ("now", "closings"),
    [({1: Source(9, 0)}, 1), ({1: Source(10, 0)}, 0), ({1: Source(10, 1)}, 0), ({}, 0)],
    ids=["nothing came", "it is scored, and not told yet", "it is not scored", "the broker does not say"],
)
def test_windows_close_behind_a_silent_partition_only_if_it_is_silent_still(
    now: dict[int, Source], closings: int
) -> None:
    store = Memory(0)
    agent = agent_of(store)

    async def play() -> None:
        await agent.take_over([0, 1])
        for _ in range(3):
            await agent.tick([1], RULES.idle_s, lambda _: {1: Source(9, 0)})
        for minute in (1, 30):
            await agent.merge(encode_stats(record(0, minute, minute + 1, minute)), minute)
        assert store.published == []
        await agent.tick([1], 1, lambda _: now)

    asyncio.run(play())
    assert len(store.published) == closings
