"""The life of a model's versions: proposed, approved, live, retired. No state is stored, the history tells it.

    proposed --approve--> approved --live--> live      any of the three --retire--> retired, for good
                             ^----- another is live -----'

At most one version of a name is live. The history is a list of changes that only grows; read in order, each change
either takes effect or is overruled by one before it, and every reader comes to the same end.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from riskstream.models.bundle import Version

State = Literal["proposed", "approved", "live", "retired"]

# The state to come -> the states it may come from.
BEFORE: dict[State, tuple[State, ...]] = {
    "proposed": (),
    "approved": ("proposed",),
    "live": ("approved",),
    "retired": ("proposed", "approved", "live"),
}
RUNNABLE: tuple[State, ...] = ("approved", "live")
"""What a worker may run."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody made `version` be `to`. `seq` is one more than the number of changes that the writer saw."""

    seq: Annotated[int, Meta(ge=1)]
    at: Annotated[datetime, Meta(tz=True)]
    by: str
    version: Version
    to: State
    why: str


@dataclass(frozen=True)
class Step:
    """A change that took effect, and the version that was live until then, if this one replaced it."""

    change: Change
    replaced: str | None = None


@dataclass
class History:
    """The changes of a name's versions, oldest first, and where they lead."""

    states: dict[str, State]
    steps: list[Step] = field(default_factory=list)
    overruled: list[Change] = field(default_factory=list)

    @property
    def live(self) -> str | None:
        return next((version for version, state in self.states.items() if state == "live"), None)


def fold(versions: Iterable[str], changes: Iterable[tuple[str, Change]]) -> History:
    """The history of `versions`, all proposed at first. `changes` have a key each, which decides between equals."""
    history = History(dict.fromkeys(versions, "proposed"))
    for _, change in sorted(changes, key=lambda item: (item[1].seq, item[1].at, item[0])):
        if history.states.get(change.version) not in BEFORE[change.to]:
            history.overruled.append(change)
            continue
        replaced = history.live if change.to == "live" else None
        if replaced:
            history.states[replaced] = "approved"
        history.states[change.version] = change.to
        history.steps.append(Step(change, replaced))
    return history
