"""A user's history the slow way: plain Python, exact fractions, written from the rules alone."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from riskstream.models.history import HistorySpec

Row = Sequence[int]


class Expected(NamedTuple):
    columns: dict[str, float]
    original: int


def histories(spec: HistorySpec, log: Sequence[Row]) -> list[Expected]:
    """What each event of one user's log sees, facts as rows of words, in offset order. Originals are indexes."""
    facts: list[int] = []
    answers = []
    for index, event in enumerate(log):
        visible = facts[-spec.capacity :]
        original = next((i for i in visible if log[i][2] == event[2]), -1)
        if original < 0:
            facts.append(index)
        else:
            visible = [i for i in visible if i < original]
        answers.append(Expected(_columns(spec, [log[i] for i in visible], event), original))
    return answers


def _columns(spec: HistorySpec, visible: list[Row], event: Row) -> dict[str, float]:
    def within(width: int) -> list[Row]:
        return [fact for fact in visible if event[1] - width < fact[1] <= event[1]]

    columns: dict[str, float] = {}
    for name, width in spec.windows:
        values = [fact[spec.value] for fact in within(width)]
        columns[f"count_{name}"] = len(values)
        columns[f"sum_{name}"] = sum(values)
        columns[f"mean_{name}"] = float(Fraction(sum(values), len(values))) if values else math.nan
        columns[f"max_{name}"] = max(values) if values else math.nan
    for name, word in spec.distinct:
        for window in spec.distinct_windows:
            found = {fact[word] for fact in within(dict(spec.windows)[window])}
            columns[f"distinct_{name}_{window}"] = len(found - {0})
    counted = within(spec.horizon_ms)
    values = [fact[spec.value] for fact in counted]
    columns["since_last_s"] = (event[1] - max(fact[1] for fact in counted)) / 1000 if counted else math.nan
    columns["mean"] = float(Fraction(sum(values), len(values))) if values else math.nan
    columns["std"] = _deviation(values)
    for name, word in spec.distinct:
        same = sum(fact[word] == event[word] for fact in counted)
        columns[f"same_{name}"] = same if event[word] else math.nan
    return columns


def _deviation(values: list[int]) -> float:
    if len(values) < 2:
        return math.nan
    mean = Fraction(sum(values), len(values))
    return math.sqrt(Fraction(sum((value - mean) ** 2 for value in values), len(values)))
