"""What the page is given: a series in short, an alert once, and no more windows than are kept."""

import msgspec

from riskstream.schemas.drift import decode_report
from riskstream.workers.drift.overview import Recent
from tests.support.drift_reports import BROKEN_FROM, FEATURE, LENGTH_MS, MODEL, START, report


def recent(windows: int, keep: int = 288, **more: int) -> Recent:
    kept = Recent(keep, more.get("series", 8))
    for window in range(windows):
        kept.add(report(window))
    return kept


def test_windows_come_oldest_first_with_a_row_of_missing_shares_for_each_feature() -> None:
    seen = recent(BROKEN_FROM + 5).overview(None, None, None, 288)
    assert [row.start for row in seen.windows] == [START + k * LENGTH_MS for k in range(BROKEN_FROM + 5)]
    row = [feature.name for feature in seen.features].index(FEATURE)
    assert seen.missing[row][BROKEN_FROM - 1 : BROKEN_FROM + 1] == (0.001, 0.28)


def test_an_alert_is_shown_once_however_many_windows_name_it() -> None:
    assert len(recent(BROKEN_FROM + 5).overview(MODEL, LENGTH_MS, "", 288).alerts) == 1


def test_a_window_said_again_stands_once() -> None:
    kept = recent(3)
    kept.add(report(1))
    assert len(kept.overview(None, None, None, 288).windows) == 3


def test_no_more_windows_are_kept_than_was_said() -> None:
    kept = recent(9, keep=4)
    assert [row.events for row in kept.overview(None, None, None, 288).windows] == [
        report(window).events for window in range(5, 9)
    ]


def test_no_more_series_are_kept_than_was_said() -> None:
    kept = recent(2, series=1)
    kept.add(msgspec.structs.replace(report(3), model="other@1.0.0"))
    assert kept.overview(MODEL, None, None, 288).models == ("other@1.0.0",)


def test_a_segment_is_shown_with_the_alerts_of_all_events() -> None:
    kept = recent(BROKEN_FROM + 2)
    kept.add(report(BROKEN_FROM + 1, "channel=web"))
    seen = kept.overview(None, None, "channel=web", 288)
    assert (seen.segments, len(seen.windows), len(seen.alerts)) == (("", "channel=web"), 1, 1)


def test_the_whole_of_a_window_is_what_was_published() -> None:
    kept = recent(2)
    key = kept.overview(None, None, None, 288).windows[1].key
    assert decode_report(kept.whole(key) or b"") == report(1)
    assert kept.whole("another") is None


def test_before_the_first_window_there_is_nothing_to_show() -> None:
    assert Recent(1, 1).overview(None, None, None, 288).windows == ()
