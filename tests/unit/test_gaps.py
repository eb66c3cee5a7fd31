"""Gaps as they are noted beside the committed offset."""

import pytest

from riskstream.schemas.gaps import Gap, decode_gaps, encode_gaps, past

GAPS = (Gap(100, 104), Gap(230, 231))


def test_a_note_reads_back() -> None:
    assert encode_gaps(GAPS) == "gaps=100-104,230-231"
    assert decode_gaps(encode_gaps(GAPS)) == GAPS
    assert decode_gaps(encode_gaps([])) == ()


def test_gaps_that_touch_are_one() -> None:
    assert encode_gaps([Gap(5, 7), Gap(3, 5), Gap(10, 11), Gap(6, 8)]) == "gaps=3-8,10-11"


@pytest.mark.parametrize("note", [None, "", "somebody else's", "gaps=", "gaps=1", "gaps=1-2;"])
def test_the_metadata_of_others_is_no_gap(note: str | None) -> None:
    assert decode_gaps(note) == ()


@pytest.mark.parametrize(("offset", "expected"), [(99, 99), (100, 104), (103, 104), (104, 104), (230, 231)])
def test_reading_goes_on_past_a_gap(offset: int, expected: int) -> None:
    assert past(GAPS, offset) == expected
