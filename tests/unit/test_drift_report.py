"""Drift reports on the wire."""

from pathlib import Path

import msgspec
import pytest

from riskstream.schemas.drift import decode_report, encode_report, report_key

BYTES = (Path(__file__).parent / "data" / "drift_report.json").read_bytes()


def test_bytes_of_the_first_version_stay_readable_and_are_written_again_the_same() -> None:
    report = decode_report(BYTES)
    assert (report.model, report.events, report.alerts[0].segment) == ("payment-risk@1.0.0", 1_000, "channel=web")
    assert encode_report(report) == BYTES


def test_a_window_has_one_key_per_model_length_start_and_segment() -> None:
    report = decode_report(BYTES)
    web = msgspec.structs.replace(report, segment="channel=web")
    longer = msgspec.structs.replace(report, window_end=report.window_end + 1)
    assert report_key(report) == b"payment-risk@1.0.0|300000|1788271500000|*"
    assert len({report_key(each) for each in (report, web, longer)}) == 3


def test_the_key_does_not_depend_on_what_was_found() -> None:
    report = decode_report(BYTES)
    assert report_key(msgspec.structs.replace(report, events=0, alerts=())) == report_key(report)


@pytest.mark.parametrize("field", ["model", "window_start", "features", "alerts"])
def test_a_report_lacks_nothing(field: str) -> None:
    fields = {name: value for name, value in msgspec.json.decode(BYTES).items() if name != field}
    with pytest.raises(msgspec.ValidationError, match=field):
        decode_report(msgspec.json.encode(fields))


def test_readers_may_meet_fields_that_they_do_not_know() -> None:
    assert decode_report(BYTES[:-1] + b',"weather":"fine"}') == decode_report(BYTES)
