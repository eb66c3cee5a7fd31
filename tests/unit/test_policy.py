"""Two thresholds, three decisions."""

import numpy as np
import pytest

from riskstream.models.policy import DECISIONS, Policy


def test_a_score_at_a_threshold_is_on_its_far_side() -> None:
    scores = np.array([0.0, np.nextafter(0.5, 0), 0.5, np.nextafter(0.8, 0), 0.8, 1.0])
    codes = Policy(review=0.5, decline=0.8).decide(scores)
    assert [DECISIONS[code] for code in codes] == ["approve", "approve", "review", "review", "decline", "decline"]


def test_equal_thresholds_leave_no_review() -> None:
    assert Policy(review=0.5, decline=0.5).decide(np.array([0.4, 0.5])).tolist() == [0, 2]


@pytest.mark.parametrize("pair", [(0.9, 0.8), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5), (0.5, float("nan"))])
def test_thresholds_that_make_no_sense_are_refused(pair: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="0 <= review <= decline <= 1"):
        Policy(*pair)
