"""The fast path: what most batches are, from bytes to decisions in one compiled call.

A worker that rests between batches finds nothing of itself in the processor's caches, and the way from stage to stage
then costs as much as the stages. So batches take it that have nothing out of the ordinary: good records of users who
are in memory with their profiles, on partitions at their everyday work, for a model of nothing but trees. All others go
stage by stage, and so does whatever turns out to be otherwise on the way. Both give the same bits.
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from riskstream.models.domain import Domain, FactRows
from riskstream.models.history import Aggregates
from riskstream.models.policy import Policy
from riskstream.models.tree_walk import Trees
from riskstream.schemas.decode import Decoder
from riskstream.workers import fast_pass
from riskstream.workers.join import Join, Joined
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.outcome import Decided, Live, Scored
from riskstream.workers.working_set import WorkingSet

_NS = 1e-9
_run: Any = fast_pass.run  # its arguments are told there
_STAGES = [*enumerate(fast_pass.STAGES)]
_LAST = len(_STAGES) - 1


class FastPath:
    """Of one domain, model and memory."""

    def __init__(
        self, domain: Domain, decoder: Decoder, join: Join, working_set: WorkingSet, trees: Trees, policy: Policy
    ) -> None:
        """`domain` is one that it covers, see `of`."""
        self._decoder, self._join, self._working_set = decoder, join, working_set
        self._plan: Any = decoder.reader.plan
        layout, program = domain.columns.layout, domain.features.program
        facts: Any = domain.facts
        self._time_row, self._facts = layout.place["event_time"], facts.selection.places(layout)
        self._assembling = (
            *domain.features.spec.program,
            *program.event.places(layout),
            *program.profile.places(join.profiles.layout),
            *(program.constants, program.steps, program.results),
            *(*trees[:-1], policy.review, policy.decline),
        )
        self._columns, self._features = len(domain.features.spec.columns), len(domain.features.rows)
        self._clock = np.zeros(len(fast_pass.STAGES) + 2, np.int64)

    @classmethod
    def of(
        cls, domain: Domain, decoder: Decoder, join: Join, working_set: WorkingSet, trees: Trees | None, policy: Policy
    ) -> Self | None:
        """None where there is more than compiled code knows: another model, a function among the features or for the
        facts, events with fields that the reader does not read."""
        features = domain.features
        plain = isinstance(domain.facts, FactRows) and not features.program.functions and decoder.reader.plan
        if trees is None or trees.width != len(features.rows) or not plain:
            return None
        return cls(domain, decoder, join, working_set, trees, policy)

    def __call__(self, batch: Batch, timer: Callable[[], float]) -> Decided | None:
        """None if the batch is to go stage by stage. Nothing is touched but what a join touches."""
        if not self._working_set.is_steady:
            return None
        self._join.forget_changed()
        decoder, records, count = self._decoder, batch.records, len(batch.offsets)
        places = [*batch.partitions, *batch.offsets]
        read = decoder.reader.given(self._plan, records.keys, records.values, records.timestamps, places)
        profile, degraded = self._join.profiles.room(count)
        ints, repeated = np.empty((4, count), np.int64), np.empty(count, np.bool_)
        values, vectors = np.empty((count, self._columns)), np.empty((count, self._features), np.float32)
        risk, decisions = np.empty(count), np.empty(count, np.uint8)
        memory, profiles = self._working_set.arrays(), self._join.profiles.arrays()
        if not _run(
            *read, self._time_row, *self._facts, *memory, *profiles,
            *self._assembling, ints, profile.words, values, repeated, vectors, risk, degraded, decisions, self._clock,
        ):  # fmt: skip
            return None
        now, clock = timer(), self._clock.tolist()
        ended = {stage: now - _NS * (clock[_LAST] - clock[at]) for at, stage in _STAGES}
        decoded = decoder.all_of(read)
        gathered = self._working_set.gathered(ints[0], ints[1], ints[2])
        joined = Joined(decoded.columns, gathered, profile, degraded, 0)
        live = Live(decoded.rows, decoded.rejections, count, batch.next_offsets)
        partitions, offsets = read.numbers[-2 * count : -count], read.numbers[-count:]
        scored = Scored(decoded.rows, partitions, offsets, vectors, risk, decisions, repeated)
        return Decided(decoded, joined, Aggregates(values, ints[3], repeated), live, scored, ended)
