"""The known faults of serving: the vectors of some events as each of them would have made them, the likeliest first."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from riskstream.models.dataset.lives import Lives
from riskstream.models.dataset.vectors import Ints, Snapshots

Vectors = NDArray[np.float32]
Suspect = tuple[str, Vectors]

NEIGHBOURS = 8  # events before and after, whose users may have been taken for the event's
BEHIND = 16  # newest facts that may not have been there
EVER = np.iinfo(np.int64).max


def suspects(lives: Lives, snapshots: Snapshots, right: Vectors, rows: Ints) -> Iterator[Suspect]:
    """Each fault with the vectors of the events `rows`, whose right ones are given. A fault may come several times."""
    yield "all features are zero", np.zeros_like(right)
    yield "all features are missing", np.full_like(right, np.nan)
    events = lives.facts[rows]
    found = snapshots.as_of(events.user, events.event_time, lives.domain.profile_max_age_ms)
    yield from _profiles(lives, snapshots, found, rows)
    yield from _histories(lives, snapshots, found, rows)
    for k, name in enumerate(lives.domain.features.names):
        for what, value in (("zero", 0.0), ("missing", np.nan)):
            wrong = right.copy()
            wrong[:, k] = value
            yield f"{name} is {what}", wrong
    yield from _mixed_up(lives, snapshots, found, rows)


def _profiles(lives: Lives, snapshots: Snapshots, found: Ints, rows: Ints) -> Iterator[Suspect]:
    """None, or another one than the newest that was there and is not too old."""
    events, past, nothing = lives.facts[rows], lives.past(rows), _nothing(rows)
    ever = snapshots.as_of(events.user, events.event_time, EVER)
    last = snapshots.as_of(events.user, np.full(len(rows), EVER), EVER)
    tried = {
        "no profile was joined": np.full(len(rows), -1),
        "a profile too old was used": ever,
        "a profile from after the event was used": last,
    }
    if len(snapshots.user):
        older = np.maximum(ever - 1, 0)
        tried["an older profile than the newest was used"] = np.where(snapshots.user[older] == events.user, older, -1)
        first = np.searchsorted(snapshots.user, events.user)
        tried["the oldest profile was used"] = np.where(ever >= 0, first, -1)
    for fault, places in tried.items():
        yield fault, lives.measure(past, rows, nothing, snapshots.at(places))


def _histories(lives: Lives, snapshots: Snapshots, found: Ints, rows: Ints) -> Iterator[Suspect]:
    """Not there, not up to date, or empty."""
    past, nothing, profiles = lives.past(rows), _nothing(rows), snapshots.at(found)
    events, features = lives.facts[rows], lives.domain.features
    unknown = np.full((len(rows), len(features.spec.columns)), np.nan)
    known = lives.domain.profiles(profiles)
    yield "no history was joined", features.assemble(events.columns, unknown, known)
    for behind in range(1, BEHIND + 1):
        short = [facts[: max(0, len(facts) - behind)] for facts in past]
        yield "the newest facts were left out of the windows", lives.measure(short, rows, nothing, profiles)
    yield "the history was empty", lives.measure(nothing, rows, nothing, profiles)


def _mixed_up(lives: Lives, snapshots: Snapshots, found: Ints, rows: Ints) -> Iterator[Suspect]:
    """The user of an event nearby was taken for the event's."""
    nothing, mine = _nothing(rows), snapshots.at(found)
    time, max_age_ms = lives.facts.event_time[rows], lives.domain.profile_max_age_ms
    for step in (sign * far for far in range(1, NEIGHBOURS + 1) for sign in (-1, 1)):
        others = lives.neighbours(rows, step)
        past, user = lives.past(rows, others), lives.facts.user[others]
        theirs = snapshots.at(snapshots.as_of(user, time, max_age_ms))
        yield "the history of another user was taken", lives.measure(past, rows, nothing, mine)
        yield "history and profile of another user were taken", lives.measure(past, rows, nothing, theirs)


def _nothing(rows: Ints) -> list[Ints]:
    return [np.empty(0, np.int64)] * len(rows)
