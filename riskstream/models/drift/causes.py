"""From series that moved to causes: what moved together, and where it comes from.

One fault upstream moves many series: of a segment and of the whole, several features, the score. They are one cause.
The segment that explains it is the one without which the rest of the traffic is as usual.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.comparison import compare
from riskstream.models.drift.judgement import Judge, Judged
from riskstream.models.drift.memory import Memory
from riskstream.models.drift.tally import Tally, Variable

WHOLE = "*"
SURELY_ALIKE, PERHAPS_ALIKE = 0.25, 0.5  # what remains of the effect in the rest of the traffic
NOT_SEEN = 0.001  # p-value from which the rest counts as undisturbed
MANY = 2
# Which kinds explain others: a missing field moves a score, a score never makes a field missing.
ORDER = ("dead_letters", "degraded", "new_values", "missing", "shift", "prediction", "skew")


@dataclass(frozen=True, eq=False)
class Parts:
    """One window of one model: every part's tally, memory and verdict, by label; `WHOLE` is all of it.

    Partitions have tallies only: users are spread over them by a hash, so what is usual for all is usual for each.
    """

    tallies: Mapping[str, Tally]
    memories: Mapping[str, Memory]
    judged: Mapping[str, Judged]
    partitions: Mapping[str, Tally]


@dataclass(frozen=True)
class Mover:
    """A variable that moved, by its clearest series: `part` is where that is, `segment` what explains it."""

    variable: Variable
    series: int
    part: str
    p: float
    effect: float
    segment: str | None

    @property
    def family(self) -> str:
        """Fewer missing values than usual are no fault of a field; they come with what the customers do."""
        fewer = self.variable.kind == "missing" and self.effect < 0
        return "shift" if fewer or self.variable.kind == "prediction" else self.variable.kind


@dataclass(frozen=True)
class Cause:
    """Movers that belong together, the lead first."""

    movers: tuple[Mover, ...]

    @property
    def lead(self) -> Mover:
        return self.movers[0]

    @property
    def variables(self) -> tuple[Variable, ...]:
        return tuple(mover.variable for mover in self.movers)


def find_movers(judge: Judge, parts: Parts, flags: Mapping[str, NDArray[np.bool_]]) -> tuple[Mover, ...]:
    """One for each flagged variable, the clearest first."""
    best: dict[Variable, tuple[float, str, int]] = {}
    for part, flagged in flags.items():
        for series in np.flatnonzero(flagged).tolist():
            found = (float(parts.judged[part].p[series]), part, series)
            best[judge.variables[series]] = min(found, best.get(judge.variables[series], found))
    explain = Explanation(judge, parts)
    movers = [
        Mover(variable, series, part, p, float(parts.judged[part].effect[series]), explain(variable, series))
        for variable, (p, part, series) in best.items()
    ]
    return tuple(sorted(movers, key=lambda mover: (mover.p, mover.series)))


class Explanation:
    """Which part explains a series: found by taking each part away in turn. Made for one window."""

    def __init__(self, judge: Judge, parts: Parts) -> None:
        self._judge, self._parts = judge, parts
        self._rest: dict[str, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = {}

    def __call__(self, variable: Variable, series: int) -> str | None:
        for labels in ([label for label in self._parts.tallies if label != WHOLE], self._parts.partitions):
            # A segment's own field (the channel, of segments by channel) is constant within it: it explains nothing.
            found = [self._left_over(label, series) for label in labels if label.partition("=")[0] != variable.name]
            left, label = min(found, default=(1.0, ""))
            if left < 1.0:
                return label
        return None

    def _left_over(self, label: str, series: int) -> tuple[float, str]:
        """The effect in the rest of the traffic over that within the part; 1 if the part explains nothing."""
        if label not in self._rest:
            self._rest[label] = self._without(label)
        p, rest, within = (float(column[series]) for column in self._rest[label])
        if not abs(within) > 0 or np.isnan(rest):
            return 1.0, label
        left = abs(rest) / abs(within)
        alike = left <= SURELY_ALIKE or (left <= PERHAPS_ALIKE and p > NOT_SEEN)
        return (left if alike else 1.0), label

    def _without(self, label: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """P-values and effects of the traffic without a part, and effects within it."""
        parts, whole = self._parts, self._parts.memories[WHOLE]
        own = parts.memories.get(label)
        seen = parts.tallies[label] if own else parts.partitions[label]
        others = whole.recent - own.recent if own else whole.recent
        p, rest = self._against(parts.tallies[WHOLE] - seen, others, whole)
        return p, rest, self._against(seen, own.recent if own else whole.recent, own or whole)[1]

    def _against(self, seen: Tally, usual: Tally, memory: Memory) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._judge.against(seen, compare(self._judge.shape, seen, usual), memory)


def group(movers: Sequence[Mover]) -> tuple[Cause, ...]:
    """Movers of one family and segment are one cause. What customers do is one cause per window, wherever it shows;
    and it goes with a fault of a field that could explain it, in the same segment or in one that is not clear.
    """
    causes: dict[tuple[str, str | None], list[Mover]] = {}
    for mover in sorted(movers, key=_precedence):
        if mover.family == "shift":
            into = next((key for key in causes if may_explain(key, mover)), ("shift", None))
        else:
            into = mover.family, mover.segment
        causes.setdefault(into, []).append(mover)
    return tuple(Cause(_led(members)) for members in causes.values())


def _led(members: list[Mover]) -> tuple[Mover, ...]:
    """Led by what most of them are: a lost field moves a few values, other customers lose a few fields."""
    shifts = [mover for mover in members if mover.family == "shift"]
    others = [mover for mover in members if mover.family != "shift"]
    values = sum(mover.variable.kind != "prediction" for mover in shifts)
    return (*shifts, *others) if values > MANY * len(others) else (*others, *shifts)


def _precedence(mover: Mover) -> tuple[int, int]:
    """Families by what explains what; among the values that moved a feature's come before what the model made of it."""
    within = {"shift": 0, "missing": 1, "prediction": 2}[mover.variable.kind] if mover.family == "shift" else 0
    return ORDER.index(mover.family), within


def may_explain(cause: tuple[str, str | None], mover: Mover) -> bool:
    """Whether a cause of this family and segment may be why `mover` moves too."""
    family, segment = cause
    if mover.family != "shift":
        return cause == (mover.family, mover.segment)
    return family == "shift" or segment == mover.segment or not _exclude_each_other(segment, mover.segment)


def _exclude_each_other(one: str | None, other: str | None) -> bool:
    """Two channels do. What comes from a channel may well show in one partition alone, where its customers are."""
    return one is not None and other is not None and one.partition("=")[0] == other.partition("=")[0]
