"""The verdict on a window: from what is remembered and what was counted to reports and alerts. A pure function.

    state, reports = judge_window(judge, state, window)

The same windows in the same order give the same bytes, however often they are judged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.drift.alerts import Standing, Suspicions, claimed, follow, settle
from riskstream.models.drift.causes import WHOLE, Cause, Parts, find_movers, group
from riskstream.models.drift.judgement import Judge
from riskstream.models.drift.memory import Memory
from riskstream.models.drift.report import Finding, raised, renewed, reports_of, skew_alert
from riskstream.models.drift.skew import find_skew
from riskstream.models.drift.tally import Shape, Variable
from riskstream.models.drift.window import Window
from riskstream.schemas.drift import Alert, DriftReport

MOST_PARTS = 33  # all traffic and the first 32 segments that are seen; memory is bounded by it
REVISION = 1  # of the stored state: another one is not read

Flags = Mapping[str, NDArray[np.bool_]]


class StateError(ValueError):
    """Stored bytes that are no state for this model; start afresh."""


class _Stored(msgspec.Struct):
    revision: int
    layout: str
    learned_until: int
    memories: dict[str, bytes]
    suspicions: Suspicions
    standing: tuple[Standing, ...]
    skew: Alert | None


@dataclass(frozen=True)
class State:
    """What is carried from window to window, of one model and one length of windows.

    Windows that overlap the last that was learned from are judged but not learned from: `learned_until` is its end.
    """

    learned_until: int = 0
    memories: Mapping[str, Memory] = field(default_factory=dict)
    suspicions: Suspicions = Suspicions()  # noqa: RUF009 - frozen
    standing: tuple[Standing, ...] = ()
    skew: Alert | None = None

    def encode(self, shape: Shape) -> bytes:
        memories = {label: memory.pack() for label, memory in sorted(self.memories.items())}
        rest = self.suspicions, self.standing, self.skew
        return msgspec.msgpack.encode(_Stored(REVISION, shape.layout.id, self.learned_until, memories, *rest))

    @classmethod
    def decode(cls, shape: Shape, data: bytes) -> "State":
        """Raises StateError."""
        try:
            stored = msgspec.msgpack.decode(data, type=_Stored)
        except msgspec.DecodeError as error:
            raise StateError(str(error)) from error
        if (stored.revision, stored.layout) != (REVISION, shape.layout.id):
            raise StateError(f"made by revision {stored.revision} for layout {stored.layout}, not {shape.layout.id}")
        memories = {label: Memory.unpack(shape, packed) for label, packed in stored.memories.items()}
        return cls(stored.learned_until, memories, stored.suspicions, stored.standing, stored.skew)


def judge_window(judge: Judge, state: State, window: Window) -> tuple[State, tuple[DriftReport, ...]]:
    """The state after the window, and its reports: of all traffic, then of each segment. Windows come in order."""
    parts, patience = _parts(judge, state, window), judge.rules.end_after
    flags = judge.flags(parts.judged, judge.rules.suspicious)
    moving = {mover.variable: mover for mover in find_movers(judge, parts, flags)}
    suspicions = state.suspicions.with_window(window.start, moving)
    followed = follow(state.standing, moving, patience)
    standing = tuple(each for each in followed if each.calm < patience)
    ended = tuple(each for each in followed if each.calm >= patience)
    # What no alert knows of is judged by its own merit.
    new = _without(judge, parts, claimed(followed, state.suspicions))
    causes = group(find_movers(judge, new, judge.flags(new.judged, judge.rules.suspicious)))
    at_once = _flagged(judge, judge.flags(new.judged, judge.rules.at_once))
    standing, ripe = settle(standing, causes, at_once, suspicions)
    standing = tuple(renewed(each, moving, judge, parts) for each in standing)
    standing += tuple(_raise(judge, parts, window, cause, suspicions) for cause in ripe)
    suspicions = suspicions.hush(moving, [v for each in ended for v in (*each.leads, *each.echoes)], patience)
    skew, skew_ended = _skew(judge, state, window)
    closed = [msgspec.structs.replace(each.alert, ended_at=window.end) for each in ended] + skew_ended
    alerts = (*closed, *(each.alert for each in standing), *([skew] if skew else []))
    learned = _learn(judge, state, window, parts, {*moving, *claimed(standing, Suspicions())})
    after = replace(learned, suspicions=suspicions, standing=standing, skew=skew)
    return after, reports_of(judge, Finding(window, parts, flags, alerts, standing))


def _parts(judge: Judge, state: State, window: Window) -> Parts:
    shape = judge.shape
    sketches = {WHOLE: window.whole, **window.segments}
    known = [label for label in sketches if label in state.memories or label == WHOLE]
    new = [label for label in sketches if label not in known][: max(0, MOST_PARTS - max(len(state.memories), 1))]
    tallies = {
        label: shape.of(sketches[label], window.dead_letters if label == WHOLE else None) for label in [*known, *new]
    }
    memories = {label: state.memories.get(label, Memory.empty(shape)).at(window.start) for label in tallies}
    verdicts = {
        label: judge.part(tally, memories[label], shape.known if label == WHOLE else None)
        for label, tally in tallies.items()
    }
    partitions = {f"partition={number}": shape.of(sketch) for number, sketch in sorted(window.partitions.items())}
    return Parts(tallies, memories, verdicts, partitions if len(partitions) > 1 else {})


def _without(judge: Judge, parts: Parts, gone: set[Variable]) -> Parts:
    """The same without the series of some variables, so that what is known does not lower the bar for what is new."""
    if not gone:
        return parts
    out = np.array([variable in gone for variable in judge.variables])
    left = {label: replace(each, p=np.where(out, np.nan, each.p)) for label, each in parts.judged.items()}
    return replace(parts, judged=left)


def _flagged(judge: Judge, flags: Flags) -> set[Variable]:
    return {judge.variables[k] for flagged in flags.values() for k in np.flatnonzero(flagged).tolist()}


def _raise(judge: Judge, parts: Parts, window: Window, cause: Cause, suspicions: Suspicions) -> Standing:
    since = suspicions.times(cause.variables)[0]
    return Standing(raised(judge, parts, window, cause, since), cause.variables)


def _skew(judge: Judge, state: State, window: Window) -> tuple[Alert | None, list[Alert]]:
    """The alert about skew as it stands after this window, and as it ended."""
    found = find_skew(judge, state.memories[WHOLE]) if WHOLE in state.memories else ()
    if found:
        return skew_alert(found, window, state.skew), []
    return None, [msgspec.structs.replace(state.skew, ended_at=window.end)] if state.skew else []


def _learn(judge: Judge, state: State, window: Window, parts: Parts, moving: Iterable[Variable]) -> State:
    memories = {**state.memories, **parts.memories}
    if window.start < state.learned_until:
        return replace(state, memories=memories)
    shape, still = judge.shape, set(moving)
    calm = np.array([variable not in still for variable in (*shape.shares, *shape.columns)])
    learned = {
        label: parts.memories[label].learn(shape, tally, parts.judged[label].deviation, calm, judge.rules.memory)
        for label, tally in parts.tallies.items()
    }
    return replace(state, memories={**memories, **learned}, learned_until=window.end)
