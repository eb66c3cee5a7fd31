"""The life of an alert: suspicion, raised once per cause, kept up to date, ended.

A cause is raised at once if it passes the strict level, else in its second suspicious window of three. While it stands,
whatever moves later and may be explained by it is an echo of it and raises nothing: sums over thirty days follow a
change of today's amounts for thirty days. An alert ends when its lead and most of what moved with it are as usual;
echoes that still move then stay mute until they are calm.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from riskstream.models.drift.causes import ORDER, Cause, Mover, may_explain
from riskstream.models.drift.tally import Variable
from riskstream.schemas.drift import Alert

LOOK_BACK = 3  # windows
NEEDED = 2  # of them suspicious


class Standing(msgspec.Struct, frozen=True):
    """An alert that has not ended: who leads it, who follows, and how many calm windows it has had."""

    alert: Alert
    leads: tuple[Variable, ...]
    echoes: tuple[Variable, ...] = ()
    calm: int = 0

    @property
    def cause(self) -> tuple[str, str | None]:
        family = "shift" if self.alert.kind == "prediction" else self.alert.kind
        return family, self.alert.segment

    def explains(self, mover: Mover) -> bool:
        """Other customers in a segment move everything in it, down to what is missing."""
        family, segment = self.cause
        return may_explain(self.cause, mover) or (family == "shift" and segment == mover.segment)

    def alive(self, moving: Mapping[Variable, Mover]) -> bool:
        still = sum(variable in moving for variable in self.leads)
        return self.leads[0] in moving or 2 * still >= len(self.leads)


class Suspicions(msgspec.Struct, frozen=True):
    """The last windows' starts, and in which of them each variable was suspicious; and who is mute, for how long."""

    starts: tuple[int, ...] = ()
    moved: tuple[tuple[Variable, tuple[int, ...]], ...] = ()
    mute: tuple[tuple[Variable, int], ...] = ()

    def with_window(self, start: int, moving: Iterable[Variable]) -> "Suspicions":
        starts = (*self.starts, start)[-LOOK_BACK:]
        moved = {variable: [time for time in times if time in starts] for variable, times in self.moved}
        for variable in moving:
            moved.setdefault(variable, []).append(start)
        kept = tuple((variable, tuple(times)) for variable, times in sorted(moved.items()) if times)
        return Suspicions(starts, kept, self.mute)

    def times(self, variables: Iterable[Variable]) -> list[int]:
        """Starts of the windows in which any of these moved."""
        moved = dict(self.moved)
        return sorted({time for variable in variables for time in moved.get(variable, ())})

    def ripe(self, variables: Iterable[Variable]) -> bool:
        moved = dict(self.moved)
        return any(len(moved.get(variable, ())) >= NEEDED for variable in variables)

    def hush(self, moving: Mapping[Variable, Mover], echoes: Iterable[Variable], patience: int) -> "Suspicions":
        """Mute the echoes that still move; who was calm for long enough may speak again."""
        counts = {variable: 0 if variable in moving else calm + 1 for variable, calm in self.mute}
        counts |= {variable: 0 for variable in echoes if variable in moving}
        mute = tuple(sorted((variable, calm) for variable, calm in counts.items() if calm < patience))
        return Suspicions(self.starts, self.moved, mute)


@dataclass(frozen=True)
class Outcome:
    """After a window: the alerts that stand, those that ended with it, and causes that are not ripe or are new."""

    standing: tuple[Standing, ...]
    ended: tuple[Standing, ...]
    ripe: tuple[Cause, ...]


def claimed(standing: Iterable[Standing], suspicions: Suspicions) -> set[Variable]:
    """Variables that raise nothing now: of standing alerts, or mute."""
    members = {variable for each in standing for variable in (*each.leads, *each.echoes)}
    return members | {variable for variable, _ in suspicions.mute}


def follow(standing: Iterable[Standing], moving: Mapping[Variable, Mover], patience: int) -> tuple[Standing, ...]:
    """Each standing alert with one more window; `calm` has reached `patience` where it ends."""
    return tuple(
        msgspec.structs.replace(each, calm=0 if each.alive(moving) else min(each.calm + 1, patience))
        for each in standing
    )


def settle(
    standing: tuple[Standing, ...], causes: Iterable[Cause], at_once: set[Variable], suspicions: Suspicions
) -> tuple[tuple[Standing, ...], tuple[Cause, ...]]:
    """New causes join an alert that may explain them; of the others, those that are ripe are to be raised."""
    ripe = []
    for cause in causes:
        home = next((i for i, each in enumerate(standing) if each.explains(cause.lead)), None)
        if home is not None:
            heard = msgspec.structs.replace(
                standing[home], echoes=tuple(dict.fromkeys((*standing[home].echoes, *cause.variables)))
            )
            standing = (*standing[:home], heard, *standing[home + 1 :])
        elif suspicions.ripe(cause.variables) or at_once.intersection(cause.variables):
            ripe.append(cause)
    return standing, tuple(sorted(ripe, key=lambda cause: ORDER.index(cause.lead.family)))
