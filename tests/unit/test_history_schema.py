"""A stored history is believed only as far as its partition's applied mark goes."""

import numpy as np
import pytest

from riskstream.schemas.history import Applied, CorruptHistory, Keys, decode_histories, encode_history
from tests.support.facts import LAYOUT, offsets_of, packed

MARK = Applied(epoch=7, offset=5, since=0)


def read(*values: bytes | None) -> list[tuple[list[int], bool]]:
    """The believed offsets of each user, and whether they are exactly what is stored."""
    found = decode_histories(values, LAYOUT, MARK)
    of_users = np.split(found.facts, np.cumsum(found.counts)[:-1])
    return [(offsets_of(some.tobytes()), exact) for some, exact in zip(of_users, found.exact.tolist(), strict=True)]


def test_a_mark_survives_its_encoding() -> None:
    mark = Applied(epoch=2**62, offset=0, since=-1)
    assert Applied.decode(mark.encode()) == mark


@pytest.mark.parametrize("raw", [b"", b"1:2", b"1:2:3:4", b"1:2:x", b"\xff:2:3"])
def test_other_bytes_are_no_mark(raw: bytes) -> None:
    with pytest.raises(CorruptHistory, match="not three integers"):
        Applied.decode(raw)


def test_keys_of_a_partition_share_a_hash_tag_and_nothing_else() -> None:
    one, other = Keys.of("ns", "t", 1), Keys.of("ns", "t", 11)
    assert one.applied == b"rs:{ns/t/1}:applied"
    assert one.history(b"applied") == b"rs:{ns/t/1}:u:applied"
    assert not other.applied.startswith(one.prefix)


@pytest.mark.parametrize(
    ("stored", "believed", "exact"),
    [
        ((), (), False),
        ((1, 3, 4), (1, 3, 4), True),
        ((1, 4, 5), (1, 4), False),
        ((5, 6), (), False),
        ((1, 3, 1, 3), (1, 3), False),
        ((3, 1), (1, 3), False),
    ],
    ids=["empty", "below the mark", "at the mark", "all above", "repeats", "out of order"],
)
def test_facts_are_believed_once_and_below_the_mark(
    stored: tuple[int, ...], believed: tuple[int, ...], exact: bool
) -> None:
    assert read(encode_history(7, packed(*stored))) == [(list(believed), exact)]


def test_what_is_wrong_with_one_user_is_nothing_to_the_others() -> None:
    values = [packed(1, 3), packed(), packed(2, 5), packed(2, 3), packed(4, 1)]
    found = read(*(encode_history(7, value) for value in values), None, encode_history(8, packed(1)))
    assert found[:5] == [([1, 3], True), ([], False), ([2], False), ([2, 3], True), ([1, 4], False)]
    assert found[5:] == [([], False), ([], False)]


def test_nobody_has_no_facts() -> None:
    assert decode_histories([], LAYOUT, MARK).facts.shape == (0, len(LAYOUT.words))


def test_no_value_is_an_empty_history_to_be_written_as_a_whole() -> None:
    assert read(None) == [([], False)]


@pytest.mark.parametrize("cut", [0, 1, 31])
def test_nothing_of_another_epoch_is_believed_nor_complained_of(cut: int) -> None:
    stored = encode_history(8, packed(1, 2))
    assert read(stored[: len(stored) - cut]) == [([], False)]


def test_facts_that_are_cut_off_are_told() -> None:
    with pytest.raises(CorruptHistory, match="71 bytes"):
        read(None, encode_history(7, packed(1, 2))[:-1])


@pytest.mark.parametrize("raw", [b"", b"\x07", b"\x07\x00\x00"])
def test_a_value_without_an_epoch_is_of_no_epoch(raw: bytes) -> None:
    assert read(raw) == [([], False)]
