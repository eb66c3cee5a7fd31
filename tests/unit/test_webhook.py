"""The webhook: alerts as JSON to a server that answers, fails or is not there; nothing waits for it."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from prometheus_client import CollectorRegistry
from tenacity import wait_none

from riskstream.schemas.drift import Alert
from riskstream.workers.drift import webhook
from riskstream.workers.drift.metrics import DriftMetrics
from riskstream.workers.drift.webhook import ATTEMPTS, WAITING_MOST, Webhook
from tests.support.drift_reports import BROKEN_FROM, report

(ALERT,) = report(BROKEN_FROM + 1).alerts
SECRET = "/hooks/T0KEN"


class Change(msgspec.Struct):
    change: str
    alert: Alert


class Receiver:
    """Answers with these codes, one after the other, then with the last for ever."""

    def __init__(self, *codes: int) -> None:
        self.codes, self.bodies = list(codes), list[bytes]()

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        return web.Response(status=self.codes.pop(0) if len(self.codes) > 1 else self.codes[0])


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "wait_random_exponential", lambda **_: wait_none())


@pytest.fixture
def metrics() -> DriftMetrics:
    return DriftMetrics(CollectorRegistry())


def counted(metrics: DriftMetrics, outcome: str) -> float | None:
    return metrics.registry.get_sample_value("riskstream_drift_webhook_total", {"outcome": outcome})


async def deliver(url: str, metrics: DriftMetrics, until: Callable[[], bool]) -> None:
    """Tell of one alert, and post until it is so."""
    hook = Webhook(url, metrics)
    hook.tell("began", ALERT)
    running = asyncio.create_task(hook.run())
    async with asyncio.timeout(10):
        while not until():
            await asyncio.sleep(0.01)
    running.cancel()


def posted_to(receiver: Receiver, metrics: DriftMetrics, until: Callable[[], bool]) -> None:
    async def play() -> None:
        app = web.Application()
        app.router.add_post(SECRET, receiver.answer)
        async with TestServer(app) as server:
            await deliver(str(server.make_url(SECRET)), metrics, until)

    asyncio.run(play())


def test_an_alert_is_posted_as_json_with_what_became_of_it(metrics: DriftMetrics) -> None:
    receiver = Receiver(204)
    posted_to(receiver, metrics, lambda: counted(metrics, "sent") == 1)
    assert [msgspec.json.decode(body, type=Change) for body in receiver.bodies] == [Change("began", ALERT)]


def test_a_receiver_that_fails_is_asked_again(metrics: DriftMetrics) -> None:
    receiver = Receiver(503, 500, 200)
    posted_to(receiver, metrics, lambda: counted(metrics, "sent") == 1)
    assert len(receiver.bodies) == 3
    assert len(set(receiver.bodies)) == 1


def test_one_that_goes_on_failing_costs_the_alert_and_is_counted(metrics: DriftMetrics) -> None:
    receiver = Receiver(500)
    posted_to(receiver, metrics, lambda: counted(metrics, "failed") == 1)
    assert len(receiver.bodies) == ATTEMPTS


def test_nobody_there_is_counted_and_the_address_is_not_logged(
    metrics: DriftMetrics, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{unused_port()}{SECRET}"
    asyncio.run(deliver(url, metrics, lambda: counted(metrics, "failed") == 1))
    said = capsys.readouterr()
    assert "an alert was not posted" in said.out + said.err
    assert SECRET not in said.out + said.err


def test_only_so_many_alerts_wait(metrics: DriftMetrics) -> None:
    hook = Webhook("http://127.0.0.1:1", metrics)
    for _ in range(WAITING_MOST + 2):
        hook.tell("began", ALERT)
    assert counted(metrics, "dropped") == 2
