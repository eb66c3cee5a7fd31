"""Windows in, reports and alerts out: what is noticed, what is not, and that it is the same each time."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from riskstream.models.drift.causes import Mover, group
from riskstream.models.drift.comparison import compare
from riskstream.models.drift.judgement import Judge, Judged, Rules
from riskstream.models.drift.tally import Variable
from riskstream.models.drift.verdict import State, StateError, judge_window
from riskstream.models.drift.window import Window
from riskstream.schemas.drift import Alert, AlertKind, DriftReport, encode_report
from tests.support import windows
from tests.support.windows import POS, WEB, Events

SHAPE = windows.shape()
JUDGE = Judge(SHAPE, Rules(warm_up=12))
CALM = 26
COUNT = 1_500


def judged(state: State, seen: Iterable[Window], judge: Judge = JUDGE) -> tuple[State, list[tuple[DriftReport, ...]]]:
    reports = []
    for window in seen:
        state, found = judge_window(judge, state, window)
        reports.append(found)
    return state, reports


def calm(rng: np.random.Generator, numbers: range, count: int = COUNT) -> list[Window]:
    return [windows.window(SHAPE.layout, windows.events(rng, count, n % 24), n) for n in numbers]


@pytest.fixture(scope="module")
def warm() -> State:
    state, reports = judged(State(), calm(np.random.default_rng(5), range(CALM)))
    assert [report[0].alerts for report in reports] == [()] * CALM
    return state


def changed(state: State, change: "Change", count: int = COUNT, rounds: int = 3) -> list[DriftReport]:
    """The reports of all traffic in windows that were changed."""
    rng = np.random.default_rng(6)
    seen = [change(windows.events(rng, count, n % 24)) for n in range(CALM, CALM + rounds)]
    return [
        reports[0]
        for reports in judged(state, [windows.window(SHAPE.layout, e, CALM + n) for n, e in enumerate(seen)])[1]
    ]


class Change:
    """How events are changed; a name for the tests."""

    def __init__(self, kind: str, feature: str, size: float, web_only: bool = False) -> None:
        self._kind, self._feature, self._size, self._web = kind, feature, size, web_only
        self._rng = np.random.default_rng(7)

    def __call__(self, events: Events) -> Events:
        if self._kind == "missing":
            return events.losing(self._feature, self._size, self._rng, self._web)
        return events.moving(self._feature, self._size, self._web)


def only(report: DriftReport) -> Alert:
    (alert,) = report.alerts
    return alert


def test_a_field_that_goes_missing_in_one_channel_is_said_with_its_channel(warm: State) -> None:
    alert = only(changed(warm, Change("missing", "flag", 0.28, web_only=True))[0])
    assert (alert.kind, alert.feature, alert.segment, alert.severity) == ("missing", "flag", WEB, "critical")
    assert alert.before == pytest.approx(0.02, abs=0.01)
    assert alert.after == pytest.approx(0.29, abs=0.04)
    assert alert.sentence == "`flag` missing 1.9 % -> 26 % since 02:00, all from channel=web"


def test_a_field_that_goes_missing_everywhere_is_blamed_on_no_channel(warm: State) -> None:
    alert = only(changed(warm, Change("missing", "age", 0.1))[0])
    assert (alert.kind, alert.feature, alert.segment) == ("missing", "age", None)


def test_values_that_move_are_said_with_their_means(warm: State) -> None:
    alert = only(changed(warm, Change("shift", "amount", 0.5))[0])
    assert (alert.kind, alert.feature, alert.measure) == ("shift", "amount", "mean")
    assert alert.after is not None
    assert alert.before is not None
    assert alert.after - alert.before == pytest.approx(0.5, abs=0.1)


def test_values_that_training_never_had_are_said(warm: State) -> None:
    alerts = changed(warm, Change("shift", "flag", 5.0, web_only=True))[0].alerts
    assert ("new_values", "flag", WEB) in [(alert.kind, alert.feature, alert.segment) for alert in alerts]


def test_an_alert_stands_in_every_report_until_it_ends_once(warm: State) -> None:
    rng, change = np.random.default_rng(6), Change("missing", "flag", 0.28, web_only=True)
    seen = [windows.events(rng, COUNT) for _ in range(9)]
    seen = [change(events) if n < 3 else events for n, events in enumerate(seen)]
    _, reports = judged(warm, [windows.window(SHAPE.layout, e, CALM + n) for n, e in enumerate(seen)])
    alerts = [report[0].alerts for report in reports]
    assert [len(each) for each in alerts] == [1, 1, 1, 1, 1, 1, 0, 0, 0]
    assert len({each[0].id for each in alerts if each}) == 1
    assert [each[0].ended_at is not None for each in alerts if each] == [False] * 5 + [True]


def test_a_change_that_shows_faintly_needs_a_second_window(warm: State) -> None:
    found = [len(report.alerts) for report in changed(warm, Change("missing", "flag", 0.031), count=1_000, rounds=6)]
    assert found[0] == 0
    assert 1 in found


@pytest.mark.parametrize(("times", "flagged"), [(0.9, 0), (1.1, len(JUDGE.variables))])
def test_significance_alone_is_no_alert(times: float, flagged: int) -> None:
    """However certain, a change must be as large as is worth an alert."""
    nothing = compare(SHAPE, SHAPE.nothing, SHAPE.nothing)
    sure = Judged(np.full(SHAPE.series, 1e-9), -JUDGE.least * times, nothing)
    assert JUDGE.flags({"*": sure}, 0.01)["*"].sum() == flagged


def test_the_hour_of_the_day_is_shown_and_never_judged(warm: State) -> None:
    report = changed(warm, Change("shift", "hour", 0.0))[0]
    hour = next(feature for feature in report.features if feature.name == "hour")
    assert hour.verdict == "not_judged"
    assert hour.distance.psi is not None
    assert hour.distance.psi > 1


@pytest.mark.parametrize(("segment", "causes"), [("partition=3", 1), (WEB, 1), (None, 1), ("channel=pos", 2)])
def test_a_fault_of_one_channel_may_show_in_one_partition_alone(segment: str | None, causes: int) -> None:
    lost = Mover(Variable("missing", "flag"), 0, WEB, 1e-9, 0.3, WEB)
    moved = Mover(Variable("shift", "amount"), 1, "*", 1e-6, 0.1, segment)
    assert len(group([lost, moved])) == causes


def test_nothing_is_said_while_warming_up() -> None:
    rng = np.random.default_rng(8)
    broken = [windows.window(SHAPE.layout, windows.events(rng, COUNT).moving("amount", 3.0), n) for n in range(3)]
    _, reports = judged(State(), broken)
    assert [report[0].alerts for report in reports] == [()] * 3
    assert {feature.verdict for feature in reports[0][0].features} == {"warming_up", "not_judged"}


def test_what_was_never_as_in_training_is_skew() -> None:
    rng = np.random.default_rng(8)
    other = [windows.window(SHAPE.layout, windows.events(rng, COUNT).moving("amount", 1.0), n) for n in range(28)]
    alert = only(judged(State(), other)[1][-1][0])
    assert (alert.kind, alert.feature, alert.severity) == ("skew", "amount", "warning")


def test_a_change_back_to_what_training_saw_is_no_drift() -> None:
    rng = np.random.default_rng(9)
    odd = [windows.window(SHAPE.layout, windows.events(rng, COUNT).losing("age", 0.04, rng), n) for n in range(CALM)]
    state, _ = judged(State(), [replace(window, segments={}) for window in odd])
    back = [replace(window, segments={}) for window in calm(rng, range(CALM, CALM + 4))]
    _, reports = judged(state, back)
    assert all(not report[0].alerts for report in reports)
    assert reports[0][0].features[2].verdict == "calm"


def test_dead_letters_raise_an_alert_that_names_the_reason(warm: State) -> None:
    rng = np.random.default_rng(6)
    seen = [
        replace(windows.window(SHAPE.layout, windows.events(rng, COUNT), CALM + n), dead_letters={"not_json": 200})
        for n in range(2)
    ]
    alert = only(judged(warm, seen)[1][-1][0])
    assert (alert.kind, alert.feature) == ("dead_letters", "not_json")


def test_a_partition_is_blamed_if_only_its_records_changed(warm: State) -> None:
    rng, change = np.random.default_rng(6), Change("missing", "age", 0.3)
    halves = [windows.events(rng, COUNT // 2) for _ in range(2)]
    sketches = [windows.sketch(SHAPE.layout, each) for each in (halves[0], change(halves[1]))]
    window = Window("toy@1.0.0", *_times(CALM), sketches[0] + sketches[1], partitions=dict(enumerate(sketches)))
    assert only(judged(warm, [window])[1][0][0]).segment == "partition=1"


def _times(number: int) -> tuple[int, int]:
    return windows.START + number * windows.HOUR_MS, windows.START + (number + 1) * windows.HOUR_MS


def test_the_same_windows_give_the_same_bytes_whenever_the_state_was_stored(warm: State) -> None:
    rng, change = np.random.default_rng(6), Change("missing", "flag", 0.28, web_only=True)
    seen = [windows.window(SHAPE.layout, change(windows.events(rng, COUNT)), CALM + n) for n in range(5)]
    straight, reports = judged(warm, seen)
    state, again = warm, []
    for window in seen:
        state, found = judge_window(JUDGE, State.decode(SHAPE, state.encode(SHAPE)), window)
        again.append(found)
    bytes_of = [[encode_report(report) for window in run for report in window] for run in (reports, again)]
    assert bytes_of[0] == bytes_of[1]
    assert state.encode(SHAPE) == straight.encode(SHAPE)


def test_a_state_of_another_layout_or_of_no_layout_is_refused(warm: State) -> None:
    with pytest.raises(StateError, match="layout"):
        State.decode(windows.shape(rows=500), warm.encode(SHAPE))
    with pytest.raises(StateError):
        State.decode(SHAPE, b"no state")


def test_overlapping_windows_are_judged_and_learned_from_once() -> None:
    rng = np.random.default_rng(5)
    first, second = calm(rng, range(2))
    overlapping = Window("toy@1.0.0", first.start + 1, first.end + 1, second.whole)
    state, reports = judged(State(), [first, overlapping, second])
    assert [report[0].windows_learned for report in reports] == [0, 1, 1]
    assert state.memories["*"].windows == 2


def test_what_one_customer_does_again_and_again_is_no_alarm() -> None:
    """Each event comes eight times, in calm windows as in those that are judged."""
    rng = np.random.default_rng(4)
    draws = [windows.events(rng, 200, n % 24) for n in range(60)]
    repeated = [each[np.repeat(np.arange(200), 8)] for each in draws]
    _, reports = judged(State(), [windows.window(SHAPE.layout, each, n) for n, each in enumerate(repeated)])
    assert all(not report[0].alerts for report in reports)


def test_a_large_window_is_not_sure_of_what_varies_from_window_to_window() -> None:
    rng = np.random.default_rng(4)

    def restless(number: int, count: int) -> Window:
        drawn = windows.events(rng, count, number % 24).moving("amount", float(rng.normal(0, 0.15)))
        return windows.window(SHAPE.layout, drawn, number)

    state, _ = judged(State(), [restless(n, 300) for n in range(40)])
    _, reports = judged(state, [restless(40 + n, 30_000) for n in range(6)])
    assert all(not report[0].alerts for report in reports)


def test_the_evening_is_no_drift_once_there_was_an_evening() -> None:
    rng = np.random.default_rng(4)

    def evening(number: int) -> Window:
        drawn = windows.events(rng, COUNT, number % 24)
        return windows.window(SHAPE.layout, drawn.moving("amount", 0.6) if number % 24 == 20 else drawn, number)

    _, reports = judged(State(), [evening(n) for n in range(24 * 4)])
    assert all(not report[0].alerts for report in reports)
    assert {report[0].features[0].verdict for report in reports[24:]} == {"calm"}


def test_a_change_that_lasts_does_not_become_usual(warm: State) -> None:
    judge = Judge(SHAPE, Rules(warm_up=12, memory=16))
    rng = np.random.default_rng(6)
    state, _ = judged(State(), calm(rng, range(CALM)), judge)
    seen = [windows.window(SHAPE.layout, windows.events(rng, COUNT).moving("amount", 0.5), CALM + n) for n in range(48)]
    _, reports = judged(state, seen, judge)
    assert len({report[0].alerts[0].id for report in reports}) == 1


def test_an_echo_joins_its_alert_and_stays_quiet_after_it(warm: State) -> None:
    rng = np.random.default_rng(6)

    def story(number: int) -> Window:
        drawn = windows.events(rng, COUNT)
        drawn = drawn.moving("amount", 0.8) if number < 4 else drawn
        drawn = drawn.moving("age", 12) if 2 <= number < 14 else drawn
        return windows.window(SHAPE.layout, drawn, CALM + number)

    _, reports = judged(warm, [story(n) for n in range(12)])
    ids = {alert.id for report in reports for alert in report[0].alerts}
    assert len(ids) == 1
    assert reports[3][0].alerts[0].features == ("amount", "age")
    assert reports[6][0].alerts[0].ended_at is not None
    assert reports[7][0].alerts == ()


def test_a_handful_of_dead_letters_that_one_sender_can_make_is_no_alert(warm: State) -> None:
    drawn = windows.window(SHAPE.layout, windows.events(np.random.default_rng(6), COUNT), CALM)
    ((report, *_),) = judged(warm, [replace(drawn, dead_letters={"not_json": 9})])[1]
    assert report.alerts == ()


def test_what_customers_do_in_several_segments_is_one_cause() -> None:
    given: tuple[tuple[AlertKind, str, float, str | None], ...] = (
        ("prediction", "score", 0.1, None),
        ("shift", "amount", 0.1, WEB),
        ("missing", "age", -0.2, POS),
        ("shift", "hour", 0.1, POS),
        ("missing", "flag", 0.2, POS),
    )
    movers = [Mover(Variable(kind, name), 0, "*", 0.001, effect, segment) for kind, name, effect, segment in given]
    causes = [[mover.variable.name for mover in cause.movers] for cause in group(movers)]
    assert causes == [["flag", "hour", "age", "score"], ["amount"]]


def test_segments_have_reports_of_their_own(warm: State) -> None:
    _, (reports,) = judged(warm, calm(np.random.default_rng(6), range(CALM, CALM + 1)))
    assert [report.segment for report in reports] == [None, POS, WEB]
    assert reports[0].events == reports[1].events + reports[2].events
