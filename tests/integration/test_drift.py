"""The sidecar on a real Kafka: its windows hold every committed event once, whatever is done to it."""

from collections.abc import Callable, Iterator

import pytest

from riskstream.schemas.drift import DriftReport
from tests.integration.conftest import NewPipeline
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Pipeline
from tests.support.sidecar import Sidecar

SETTINGS = {"STATS_SLOT_S": "86400", "DRIFT_WINDOWS": "1d,5d/1d", "DRIFT_LATENESS_S": "0", "DRIFT_IDLE_S": "2"}
DAY = 86_400_000

NewSidecar = Callable[[Pipeline], Sidecar]


@pytest.fixture
def new_sidecar() -> Iterator[NewSidecar]:
    made: list[Sidecar] = []

    def make(pipeline: Pipeline) -> Sidecar:
        made.append(Sidecar(pipeline))
        return made[-1]

    yield make
    for sidecar in made:
        if sidecar.process and sidecar.process.poll() is None:
            sidecar.kill()


def events(reports: list[DriftReport], length: int = DAY) -> int:
    return sum(r.events + sum(r.dead_letters.values()) for r in reports if r.length_ms == length and r.segment is None)


def test_windows_hold_every_event_once(new_pipeline: NewPipeline, new_sidecar: NewSidecar) -> None:
    pipeline = new_pipeline(**SETTINGS, STATS_SEGMENT="channel")
    sidecar = new_sidecar(pipeline)
    pipeline.feed(records_of(log_of(events=1_500), 3, malformed_share=0))
    pipeline.start()
    sidecar.start()
    pipeline.outputs()
    reports = sidecar.wait_for(lambda found: events(found) >= len(pipeline.fed))
    assert events(reports) == len(pipeline.fed)
    assert sidecar.stop() == 0
