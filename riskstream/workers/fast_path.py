"""The fast path: what most batches are, from bytes to the bytes of their scores in one compiled call.

A worker that rests between batches finds nothing of itself in the processor's caches, and the way from stage to stage
then costs more than the stages. So batches take it that have nothing out of the ordinary: good records, on partitions
at their everyday work, for a model of nothing but trees. Users who are not in memory are brought there on the way. All
other batches go stage by stage, and so does whatever turns out to be otherwise. Both give the same bits.
"""

import time
from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import is_
from typing import Any, NamedTuple, Self, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.domain import Domain, FactRows
from riskstream.models.drift.counting import Events
from riskstream.models.history import Aggregates
from riskstream.models.policy import Policy
from riskstream.models.tree_walk import Trees
from riskstream.schemas.columns import PackedColumns
from riskstream.schemas.decode import Decoder
from riskstream.schemas.digests import is_short
from riskstream.schemas.encode import parts_of, row_bytes
from riskstream.schemas.texts import Texts
from riskstream.workers import fast_pass
from riskstream.workers.join import Join, Joined
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.outcome import Decided, Scored, Work
from riskstream.workers.working_set import WorkingSet

MOST = 4_096
"""Records of a batch. In a larger one, what lies between the stages is nothing."""

_ARENA = 1 << 16  # words, or what a batch takes by itself
_NS = 1e-9
# Not by their dispatchers, which look at each argument once more.
_run, _absorb = (
    cast(Any, next(iter(compiled.overloads.values()))).entry_point for compiled in (fast_pass.run, fast_pass.absorb)
)
_parted: Any = fast_pass.parted


class TreeModel(NamedTuple):
    """One of nothing but trees, and how it is named in each score."""

    label: str
    trees: Trees
    policy: Policy


Taken = tuple[list[bytes], Work]
"""What a batch came to: the bytes of its scores, and all the rest, for afterwards."""


class Computed(msgspec.Struct, frozen=True):
    """What one call has computed: where it lies, until somebody asks for it."""

    path: "FastPath"
    batch: Batch
    text: bytes
    arena: NDArray[np.int64]
    begin: int
    misses: int

    def absorb_by(self, memory: WorkingSet) -> None:
        self.path.absorb(self, memory)

    def decided(self) -> Decided:
        return self.path.decided(self)


class Collected(NamedTuple):
    """Some batches as one: partitions, offsets and timestamps of n records, int64[n] each, and the rest of them.
    `ended`: for each stage, when each batch had gone through it, in seconds."""

    places: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    event_times: NDArray[np.int64]
    events: Events
    ended: dict[str, NDArray[np.float64]]


class FastPath:
    """Of one domain, memory and model."""

    def __init__(
        self, domain: Domain, decoder: Decoder, join: Join, working_set: WorkingSet, model: TreeModel,
        timer: Callable[[], float],
    ) -> None:  # fmt: skip
        """`domain` is one that it covers, see `of`. `timer` tells the seconds at which stages ended."""
        self._decoder, self._join, self._working_set, self._timer = decoder, join, working_set, timer
        self._is_quiet = join.store.is_quiet  # asked by itself, as that is nearly always so
        self._names = model.label, domain.features.id
        self._plan: Any = decoder.reader.plan
        self._time_row = domain.columns.layout.place["event_time"]
        self._rules = self._rules_for(domain, model)
        columns, profile, features = len(domain.columns.rows), join.profiles.layout, domain.features
        self._shape = columns + 4, len(profile.place), len(features.spec.columns), len(features.rows)
        self._first_words = fast_pass.words_of(1, self._shape)
        self._words = fast_pass.words_of(2, self._shape) - self._first_words
        # What is held, for which topic and arrays; and how many bytes of `_scores` a row takes.
        self._held, self._topic, self._arrays, self._row_bytes = None, "", (), 0
        self._scores = bytearray()
        # For all batches until it is used up: an array for each would take longer.
        self._arena, self._used = np.empty(0, np.int64), 0

    @classmethod
    def of(
        cls, domain: Domain, decoder: Decoder, join: Join, working_set: WorkingSet, model: TreeModel,
        timer: Callable[[], float],
    ) -> Self | None:  # fmt: skip
        """None where there is more than compiled code knows: many features, a function among them or for the facts,
        events with fields that the reader does not read."""
        features = domain.features
        plain = isinstance(domain.facts, FactRows) and not features.program.functions and decoder.reader.plan
        if model.trees.width != len(features.rows) or not is_short(model.trees.width) or not plain:
            return None
        return cls(domain, decoder, join, working_set, model, timer)

    def __call__(self, batch: Batch, scored_at: int) -> Taken | None:
        """None if the batch is to go stage by stage. Nothing is touched but what a join touches."""
        records, count = batch.records, len(batch.offsets)
        if count > MOST or not self._working_set.is_steady(batch.next_offsets):
            return None
        if not self._is_quiet():
            self._join.forget_changed()
        self._hold(batch.topic)
        sizes, text = self._decoder.reader.laid_out(self._plan, records.keys, records.values)
        numbers = array("q", [*sizes, *records.timestamps, *batch.partitions, *batch.offsets])
        begin, end = self._place(count)
        if len(self._scores) < (most := count * self._row_bytes + len(text)):
            self._scores = bytearray(most)
        turn = self._working_set.next_turn()
        given = turn, scored_at, count, text, numbers, self._arena, begin, self._scores
        size, misses = _run(self._held, *given, fast_pass.START), 0
        if size < 0:
            size, misses = self._helped(size, batch, given)
        if size == 0:
            return None
        self._used, raw = end, bytes(memoryview(self._scores)[:size])
        scores = [raw]
        if count > 1:
            scores = [raw[start:stop] for start, stop in pairwise(self._arena[end - count - 1 : end].tolist())]
        return scores, Computed(self, batch, text, self._arena, begin, misses)

    def _helped(self, size: int, batch: Batch, given: tuple[Any, ...]) -> tuple[int, int]:
        """What `run` lacked is brought to it, so that it goes on: users from Redis, and larger rooms. Its answer then,
        and how many rows' users were not in memory. Raises what the join raises. `given`: all that `run` takes between
        what it holds and the step.
        """
        misses = 0
        _, _, count, text, _, arena, begin, _ = given
        words, ints, *_ = _parted(arena, begin, count, self._shape)
        seats, first, position, _, _, partitions, _ = ints
        if size == fast_pass.LACKING:
            users = Texts(np.frombuffer(text, np.uint8), words[-2], words[-1])
            misses, answered = self._join.read(seats, partitions, users)
            if not answered:
                return 0, misses
            self._hold(batch.topic)
            size = _run(self._held, *given, fast_pass.KNOWN)
        if (short := fast_pass.LACKING - size) > 0:
            self._working_set.make_room(first[:short], position[:short])
            self._hold(batch.topic)
            size = _run(self._held, *given, fast_pass.ROOMY)
        return size, misses

    def _place(self, count: int) -> tuple[int, int]:
        """Words of the arena that so many records may have."""
        words = self._first_words + (count - 1) * self._words
        if self._used + words > len(self._arena):
            self._arena, self._used = np.empty(max(words, _ARENA), np.int64), 0
        return self._used, self._used + words

    def _hold(self, topic: str) -> None:
        """Anew once memory has been moved."""
        memory, profiles = self._working_set.arrays(), self._join.profiles
        arrays = *memory, profiles.kept
        if topic == self._topic and all(map(is_, arrays, self._arrays)):
            return
        parts = parts_of(*self._names, topic)
        self._held = fast_pass.hold(self._shape, *self._rules, parts, memory, profiles.arrays())
        self._topic, self._arrays, self._row_bytes = topic, arrays, row_bytes(parts)

    def _rules_for(self, domain: Domain, model: TreeModel) -> tuple[Any, ...]:
        layout, features, facts = domain.columns.layout, domain.features, cast(FactRows, domain.facts)
        program = features.program
        known = *program.event.places(layout), *program.profile.places(self._join.profiles.layout)
        return (
            self._decoder.reader.rules(self._plan, MOST),
            (self._time_row, *facts.selection.places(layout)),
            features.spec.program,
            (*known, program.constants, program.steps, program.results),
            (*model.trees[:-1], model.policy.review, model.policy.decline),
        )

    def absorb(self, computed: Computed, memory: WorkingSet) -> None:
        *_, seats, facts = memory.arrays()
        count = len(computed.batch.offsets)
        memory.note_kept(*_absorb(computed.arena, computed.begin, count, self._shape, memory.limit, seats, facts))

    def decided(self, computed: Computed) -> Decided:
        count = len(computed.batch.offsets)
        parted = _parted(computed.arena, computed.begin, count, self._shape)
        words, ints, profile, values, risks, vectors, repeated, degraded, decisions, clock, _ = parted
        seats, first, position, original, _, partitions, offsets = ints
        decoded = self._decoder.all_of(np.frombuffer(computed.text, np.uint8), words)
        columns = PackedColumns(self._join.profiles.layout, profile)
        gathered = self._working_set.gathered(seats, first, position)
        joined = Joined(decoded.columns, gathered, columns, degraded, computed.misses)
        scored = Scored(decoded.rows, partitions, offsets, vectors, risks, decisions, repeated)
        ended = dict(zip(fast_pass.STAGES, self._ended(clock).tolist(), strict=False))
        return Decided(decoded, joined, Aggregates(values, original, repeated), scored, ended)

    def collected(self, run: Sequence[Computed]) -> Collected:
        """What some batches in one arena came to, in one call. One by itself is told where it lies."""
        if len(run) == 1:
            (one,) = run
            parts = _parted(one.arena, one.begin, len(one.batch.offsets), self._shape)
            words, ints, _, _, risks, vectors, repeated, degraded, decisions, clock, _ = parts
            timestamps, partitions, offsets = ints[4:]
            event_times, events = words[self._time_row], (vectors, risks, decisions, degraded, repeated)
            marks = clock[np.newaxis, : len(fast_pass.STAGES)]
        else:
            begins = np.array([computed.begin for computed in run], np.int64)
            counts = np.array([len(computed.batch.offsets) for computed in run], np.int64)
            found = fast_pass.collect(run[0].arena, begins, counts, self._shape, self._time_row)
            partitions, offsets, timestamps, event_times, *events, marks = found
        ended = dict(zip(fast_pass.STAGES, self._ended(marks).T, strict=True))
        return Collected((partitions, offsets, timestamps), event_times, Events(*events), ended)

    def _ended(self, marks: NDArray[np.int64]) -> NDArray[np.float64]:
        """When, by the timer."""
        now, now_ns = self._timer(), time.monotonic_ns()
        return np.asarray(now - _NS * (now_ns - marks), np.float64)
