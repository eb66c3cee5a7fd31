"""What workers tell the sidecar: of each committed event once, in the transactions of the scores."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from riskstream.models.bundle import load_bundle
from riskstream.models.domain import load_domain
from riskstream.models.drift.sketch import SketchLayout
from tests.integration.conftest import NewPipeline
from tests.support.payments import log_of, records_of
from tests.support.pipeline import Pipeline
from tests.support.stats import committed, gaps, summed, told

DAY_S = "86400"


def layout_of(bundle: Path) -> SketchLayout:
    return SketchLayout.of(load_bundle(bundle, load_domain("riskstream.models.payment").features))


def ends(pipeline: Pipeline) -> dict[int, int]:
    return {n: max(record.offset for record in pipeline.fed if record.partition == n) + 1 for n in range(3)}


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_the_stats_tell_of_every_event_once(new_pipeline: NewPipeline, bundle: Path, delivery: str) -> None:
    pipeline = new_pipeline(STATS_SEGMENT="channel", STATS_SLOT_S=DAY_S, DELIVERY=delivery)
    pipeline.feed(records_of(log_of(events=1_500), 3))
    pipeline.start()
    outs = pipeline.outputs()
    assert pipeline.stop() == 0
    records = committed(pipeline, len(pipeline.fed))
    assert set(gaps(records, 0, ends(pipeline)).values()) == {0}
    scores = [json.loads(out.value or b"") for out in outs if out.topic == pipeline.topics[1]]
    layout, decided = layout_of(bundle), Counter(score["decision"] for score in scores)
    whole = summed(layout, records)
    assert (whole.events, told(records)) == (len(scores), len(pipeline.fed))
    assert whole.decisions.tolist() == [decided[name] for name in ("approve", "review", "decline")]
    assert whole.repeats == sum(score["duplicate"] for score in scores)
    channels = Counter(json.loads(f.value or b"")["channel"] for f in pipeline.fed if _scored(f, scores))
    found = {name: summed(layout, records, segment=f"channel={name}").events for name in channels}
    assert found == dict(channels)


def test_what_a_killed_worker_did_not_tell_is_a_gap(new_pipeline: NewPipeline, bundle: Path) -> None:
    """Its stats would have come after a minute: all it committed is in the gap, and nothing else is."""
    pipeline = new_pipeline(STATS_INTERVAL_MS="60000", STATS_SLOT_S=DAY_S, MAX_BATCH="50")
    first, second = records_of(log_of(events=1_500), 3)[:700], records_of(log_of(events=1_500), 3)[700:]
    pipeline.feed(first)
    pipeline.start("a")
    pipeline.outputs()
    pipeline.kill("a")
    pipeline.feed(second)
    pipeline.start("b", STATS_INTERVAL_MS="200")
    pipeline.outputs()
    records = committed(pipeline, len(second))
    assert told(records) == len(second)
    assert sum(gaps(records, 0, ends(pipeline)).values()) == len(first)


def test_the_stats_of_an_idle_worker_come_by_themselves(new_pipeline: NewPipeline) -> None:
    pipeline = new_pipeline(STATS_INTERVAL_MS="100")
    pipeline.feed(records_of(log_of(events=300), 3))
    pipeline.start()
    pipeline.outputs()
    begun = time.monotonic()
    assert told(committed(pipeline, len(pipeline.fed))) == len(pipeline.fed)
    assert time.monotonic() - begun < 10


def _scored(fed: object, scores: list[dict[str, object]]) -> bool:
    return (fed.partition, fed.offset) in {(score["partition"], score["offset"]) for score in scores}  # type: ignore[attr-defined]
