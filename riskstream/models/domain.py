"""A domain: what kind of event is scored, and all that is particular to it. The rest of the house is the same for all.

A team adds its own as a module with the attribute `DOMAIN`, in any package, and names the module in the settings.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from riskstream.models.features import Columns, FeatureSet
from riskstream.schemas.columns import Column, ColumnTable, Hash, Integer, Selection
from riskstream.schemas.exact import longest_text
from riskstream.schemas.facts import WORD, FactLayout

LONGEST_ID = 64
"""Characters of an id, as the contract of scores says."""

COMMON_COLUMNS: Mapping[str, Column] = {"event_time": Integer("event_time"), "event_hash": Hash("event_id")}
"""What the flow itself computes with, of every domain."""


class DomainError(ValueError):
    """A module that cannot serve as a domain; the message says what it lacks."""


@dataclass(frozen=True)
class Domain:
    """Event, profile, fact and features of one kind, belonging together.

    Events have at least `event_id`, `user_id` (texts of at most 64 characters) and `event_time` (epoch ms), and live on
    a topic keyed by `user_id`.

    - `columns`: the table of what becomes of the event's fields, COMMON_COLUMNS among its rows.
    - `facts(columns, offsets)`: the events as facts, rows of the layout's words. By FactRows, workers can take their
      fast path.
    - `profiles(profiles)`: an array per profile field, of numbers that a float64 holds; None, like a missing field,
      gives NaN or the code 0. How old a profile may be at an event is `profile_max_age_ms`; who joins them enforces it.
    """

    name: str
    event: type[msgspec.Struct]
    profile: type[msgspec.Struct]
    layout: FactLayout
    features: FeatureSet
    columns: ColumnTable
    facts: Callable[[Columns, NDArray[np.int64]], NDArray[np.int64]]
    profiles: Callable[[Sequence[Any]], Mapping[str, NDArray[Any]]]
    profile_max_age_ms: int

    def __post_init__(self) -> None:
        words = [self.features.spec.value, *(word for _, word in self.features.spec.distinct)]
        if not all(0 <= word < len(self.layout.words) for word in words):
            raise DomainError(f"domain {self.name}: the history reads a word that the fact {self.layout.words} lacks")
        missing = {"event_id", "user_id", "event_time"} - set(self.event.__struct_fields__)
        if missing:
            raise DomainError(f"domain {self.name}: the event {self.event.__name__} lacks {sorted(missing)}")
        if unbounded := [name for name in ("event_id", "user_id") if not _is_id(longest_text(self.event, name))]:
            raise DomainError(
                f"domain {self.name}: {' and '.join(unbounded)} must be texts of at most {LONGEST_ID} characters, "
                "like riskstream.schemas.fields.Id, or a score might be too large for its topic"
            )
        if unlike := COMMON_COLUMNS.items() - self.columns.rows.items():
            raise DomainError(f"domain {self.name}: the columns must have {dict(unlike)}")
        if unknown := {row.field for row in self.columns.rows.values()} - set(self.event.__struct_fields__):
            raise DomainError(f"domain {self.name}: columns of fields that {self.event.__name__} lacks: {unknown}")


def _is_id(longest: int | None) -> bool:
    return longest is not None and longest <= LONGEST_ID


class FactRows:
    """The `facts` of a domain whose columns bear the names of the fact's words. Of a fraction, the whole part."""

    def __init__(self, layout: FactLayout) -> None:
        self.selection = Selection(layout.words[1:])

    def __call__(self, columns: Columns, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        words, places, is_float = self.selection.of(columns)
        if words.shape[1] != len(offsets):  # compiled code does not check indexes
            raise ValueError(f"columns of {words.shape[1]} events, and offsets of {len(offsets)}")
        facts = np.empty((len(offsets), 1 + len(places)), WORD)
        lay_facts(words, places, is_float, offsets, facts)
        return facts


_TABLE = types.Array(types.int64, 2, "C", readonly=True)
_PLACES = types.Array(types.int64, 1, "C", readonly=True)
_OFFSETS = types.Array(types.int64, 1, "A", readonly=True)


_FLAGS = types.Array(types.boolean, 1, "C", readonly=True)


@njit(types.void(_TABLE, _PLACES, _FLAGS, _OFFSETS, types.int64[:, ::1]), cache=True, nogil=True)
def lay_facts(words, places, is_float, offsets, facts):  # type: ignore[no-untyped-def]
    """Fill `facts` [n, words], the offsets first. For compiled code."""
    for row in range(len(offsets)):
        facts[row, 0] = offsets[row]
        for word in range(len(places)):
            bits = words[places[word], row]
            facts[row, 1 + word] = np.int64(np.int64(bits).view(np.float64)) if is_float[word] else bits


def load_domain(path: str) -> Domain:
    """The domain of the module `path`, such as `riskstream.models.payment`; DomainError says what is wrong with it."""
    try:
        module = importlib.import_module(path)
    except (ImportError, TypeError, ValueError) as error:
        raise DomainError(f"cannot import the domain module {path!r}: {error}") from error
    domain = getattr(module, "DOMAIN", None)
    if not isinstance(domain, Domain):
        raise DomainError(f"the module {path!r} has no attribute DOMAIN of type {Domain.__module__}.Domain")
    return domain
