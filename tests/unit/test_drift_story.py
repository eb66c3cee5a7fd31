"""The story of the drift demo without its servers: the simulator's payments, the real features and verdicts."""

from collections.abc import Iterator

import numpy as np
import pytest

from riskstream.deploy.demo.drift_story import WINDOW_MS, Story, tell
from riskstream.models.drift.counting import Counting, Events
from riskstream.models.drift.judgement import Judge
from riskstream.models.drift.sketch import Sketch, SketchLayout
from riskstream.models.drift.tally import Shape
from riskstream.models.drift.verdict import State, judge_window
from riskstream.models.drift.window import Window
from riskstream.models.offline import replay
from riskstream.models.payment import DOMAIN
from riskstream.models.policy import Policy
from riskstream.models.training.evidence import make_reference
from riskstream.schemas.drift import Alert
from riskstream.schemas.payment import CHANNELS

POLICY = Policy(review=0.9, decline=0.99)


@pytest.fixture(scope="module")
def story() -> Story:
    return tell()


def _scores(vectors: np.ndarray) -> np.ndarray:
    """No model, only a number that follows the amount."""
    return 1 / (1 + np.exp(9 - vectors[:, 0].astype(np.float64)))


def _windows(story: Story) -> Iterator[tuple[Shape, Window]]:
    events = [*story.past, *story.live]
    found = [story.log.profiles.get(event.user_id) for event in events]
    vectors = replay(DOMAIN, events, np.zeros(len(events), np.int32), np.arange(len(events)), found).features
    columns, first = DOMAIN.columns(events), len(story.past)
    known = vectors[first - 8_000 : first]
    reference = make_reference(DOMAIN.features.names, known, _scores(known), POLICY)
    shape = Shape(SketchLayout.of_reference(reference), reference)
    counting, number = Counting(shape.layout), columns["event_time"] // WINDOW_MS
    for current in np.unique(number[first:]).tolist():
        rows = np.flatnonzero(number == current)
        rows = rows[rows >= first]
        counts, clean = np.zeros((len(CHANNELS), shape.layout.size), np.int64), np.zeros(len(rows), np.uint8)
        scores = _scores(vectors[rows])
        seen = Events(vectors[rows], scores, POLICY.decide(scores), clean, clean.astype(bool))
        counting.add(counts, columns["channel"][rows], seen)
        segments = {f"channel={name}": Sketch(shape.layout, row) for name, row in zip(CHANNELS, counts, strict=True)}
        whole = Sketch(shape.layout, counts.sum(axis=0))
        yield shape, Window("m@1.0.0", current * WINDOW_MS, (current + 1) * WINDOW_MS, whole, segments)


def test_each_planted_change_is_noticed_within_two_windows_and_nothing_else_is(story: Story) -> None:
    state, raised = State(), dict[str, Alert]()
    for shape, window in _windows(story):
        state, reports = judge_window(Judge(shape), state, window)
        raised |= {alert.id: alert for alert in reports[0].alerts if alert.raised_at == window.end}
    noticed = [[alert for alert in raised.values() if planted.named_by(alert)] for planted in story.planted]
    assert [len(each) for each in noticed] == [1, 1, 1]
    assert all(p.windows_until(alerts[0]) <= 2 for p, alerts in zip(story.planted, noticed, strict=True))
    assert len(raised) == 3, [alert.sentence for alert in raised.values()]


def test_the_planted_changes_are_in_the_payments_and_only_while_they_last(story: Story) -> None:
    bug, attack, amounts = story.planted
    web = [event for event in story.live if event.channel == "web"]
    lost, usual_loss = (
        np.mean([e.ip_country is None for e in web if (bug.start <= e.event_time < bug.end) is during])
        for during in (True, False)
    )
    assert lost > 0.25 > 0.05 > usual_loss
    wave = [event for event in story.live if event.event_id.startswith("wave-")]
    assert len(wave) > 200
    assert all(attack.start <= event.event_time < attack.end for event in wave)
    assert [e.event_time for e in story.live] == sorted(e.event_time for e in story.live)
    usual, dear = (
        np.median([e.amount for e in story.live if (amounts.start <= e.event_time < amounts.end) is during])
        for during in (False, True)
    )
    assert dear > 2 * usual
