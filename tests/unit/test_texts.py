"""Texts: a column of texts is the same texts, whichever rows are taken."""

import numpy as np

from riskstream.schemas.texts import Texts

WORDS = [b"one", b"", b"three", "vier€".encode()]


def test_a_column_holds_the_texts_that_it_was_made_of() -> None:
    assert Texts.of(WORDS).tolist() == WORDS


def test_a_column_of_nothing_is_empty() -> None:
    assert Texts.of([]).tolist() == []


def test_rows_come_in_the_order_in_which_they_are_taken() -> None:
    assert Texts.of(WORDS).take(np.array([3, 0])).tolist() == [WORDS[3], WORDS[0]]
