"""The flow: consume -> decode -> join -> assemble -> score -> decide -> publish -> commit.

One batch goes left to right once. Each record leaves as a risk score or as a dead letter; there is no third way out.
Records below the committed offset, read again to take state, leave only their facts.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from types import MappingProxyType
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from riskstream.models.domain import Domain
from riskstream.models.history import Aggregates, aggregate
from riskstream.models.outputs import Answer
from riskstream.models.policy import Policy
from riskstream.models.tree_walk import Trees
from riskstream.schemas.dead_letter import Headers, Letter, Rejection, dead_letter_headers, fitted
from riskstream.schemas.decode import Decoded, Decoder
from riskstream.schemas.encode import Scores, Stamp, encode_scores
from riskstream.workers.batch_counts import BatchCounts
from riskstream.workers.fast_path import FastPath, TreeModel
from riskstream.workers.join import Join, Joined
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.kafka.output import Outgoing
from riskstream.workers.metrics import Metrics
from riskstream.workers.outcome import Answers, Decided, Live, Scored
from riskstream.workers.working_set import WorkingSet

T = TypeVar("T")

NONE_REFUSED: Mapping[int, Rejection] = MappingProxyType({})


@dataclass(frozen=True)
class Model:
    """What turns feature vectors into decisions, and how it is named in each score."""

    label: str
    scorer: Callable[[NDArray[np.float32]], Answer]
    policy: Policy
    classes: tuple[str, ...] = ()  # of a model whose answers have a probability for each
    trees: Trees | None = None  # of one that is nothing else


@dataclass(frozen=True)
class Topics:
    """Where records go; all have `partitions`. A dead letter above `dead_letter_bytes` leaves without a part."""

    scores: str
    dead_letters: str
    dead_letter_bytes: int
    partitions: int


@dataclass(slots=True)
class Scoring:
    """One batch in, its answers out. Touches nothing but the join's reads until their outcome is absorbed."""

    domain: Domain
    decoder: Decoder
    join: Join
    model: Model
    working_set: WorkingSet
    topics: Topics
    metrics: Metrics
    clock: Callable[[], float] = time.time
    timer: Callable[[], float] = time.perf_counter

    _counts: BatchCounts = field(init=False)
    _fast_path: FastPath | None = field(init=False)

    def __post_init__(self) -> None:
        self._counts = BatchCounts(self.metrics, self.topics.partitions)
        model, self._fast_path = self.model, None
        if model.trees:
            trees = TreeModel(model.label, model.trees, model.policy)
            self._fast_path = FastPath.of(self.domain, self.decoder, self.join, self.working_set, trees, self.timer)

    def __call__(self, batch: Batch) -> Answers:
        """Raises what the join raises, and NonFiniteScore."""
        began = self.timer()
        scored_at = int(self.clock() * 1000)
        if self._fast_path and (taken := self._fast_path(batch, scored_at)):
            scores, work = taken
            records = [*self._outgoing(batch.partitions, batch.records.keys, scores)]
            return Answers(batch, records, batch.next_offsets, NONE_REFUSED, began, self.timer(), work)
        decided, live = self._by_stages(batch)
        records = [*self._scores(batch, scored_at, decided)]
        if live.refused:
            records += self._dead_letters(batch, live.refused)
        if len(records) != live.records:
            raise RuntimeError(f"{live.records} records went in and {len(records)} would come out")
        return Answers(batch, records, live.offsets, live.refused, began, self.timer(), decided)

    def _by_stages(self, batch: Batch) -> tuple[Decided, Live]:
        timer = self.timer
        ended = {}
        decoded = self.decoder(batch.records)
        ended["decode"] = timer()
        numbers, offsets = _at(decoded.rows, batch.partition_array, batch.offset_array)
        joined = self.join(numbers, offsets, decoded)
        ended["join"] = timer()
        aggregates, vectors = self._assemble(joined)
        live = self._live(batch, decoded)
        vectors, repeated = _at(live.rows, vectors, aggregates.repeated)
        ended["assemble"] = timer()
        answer = self.model.scorer(vectors)
        ended["score"] = timer()
        decisions = self.model.policy.decide(answer.risk)
        ended["decide"] = timer()
        numbers, offsets = _at(live.rows, numbers, offsets)
        scored = Scored(live.rows, numbers, offsets, vectors, answer.risk, decisions, repeated, answer.probabilities)
        return Decided(decoded, joined, aggregates, scored, ended), live

    def absorb(self, answers: Answers) -> None:
        """After the commit was confirmed, or, at least once, the records are on their way: the facts become history,
        the positions move, the counts count."""
        answers.work.absorb_by(self.working_set)
        for number, offset in answers.batch.next_offsets.items():
            self.working_set.partitions[number].position = offset
        self.working_set.evict()
        self._counts.note(answers, self.clock())

    def _live(self, batch: Batch, decoded: Decoded) -> Live:
        """Mostly all, which the partitions' positions tell."""
        partitions, ends = self.working_set.partitions, batch.next_offsets
        if not self._recovering(batch):
            rows = np.arange(len(decoded.rows)) if decoded.rejections else decoded.rows
            return Live(rows, decoded.rejections, len(batch.offsets), ends)
        live_from = {number: partitions[number].live_from for number in ends}
        live = batch.offset_array >= np.array([live_from[number] for number in batch.partitions], np.int64)
        return Live(
            live[decoded.rows].nonzero()[0],
            {index: rejection for index, rejection in decoded.rejections.items() if live[index]},
            int(np.count_nonzero(live)),
            {number: offset for number, offset in ends.items() if offset > live_from[number]},
        )

    def _recovering(self, batch: Batch) -> bool:
        """Whether it begins with records that are facts only."""
        partitions = self.working_set.partitions
        return bool([n for n in batch.next_offsets if partitions[n].position < partitions[n].live_from])

    def _assemble(self, joined: Joined) -> tuple[Aggregates, NDArray[np.float32]]:
        features = self.domain.features
        gathered = joined.gathered
        aggregates = aggregate(features.spec, gathered.facts, gathered.first, gathered.position)
        if len(gathered.unread):
            aggregates.values[gathered.unread] = np.nan
        return aggregates, features.assemble(joined.columns, aggregates.values, joined.profile)

    def _scores(self, batch: Batch, scored_at: int, decided: Decided) -> Iterable[Outgoing]:
        decoded, joined, scored = decided.decoded, decided.joined, decided.scored
        rows, event_times = scored.rows, joined.columns["event_time"]
        indexes, event_times, degraded = _at(rows, decoded.rows, event_times, joined.degraded)
        users, event_ids = decoded.users, decoded.event_ids
        if len(rows) < len(decoded.rows):
            users, event_ids = users.take(rows), event_ids.take(rows)
        values = encode_scores(
            Stamp(self.model.label, self.domain.features.id, batch.topic, scored_at),
            Scores(
                event_ids,
                users,
                scored.scores,
                scored.decisions,
                scored.vectors,
                scored.partitions,
                scored.offsets,
                event_times,
                scored.repeated,
                degraded,
                _named(self.model.classes, scored),
            ),
        )
        return self._outgoing(scored.partitions.tolist(), _of(batch.records.keys, indexes), values)

    def _outgoing(
        self, partitions: Sequence[int], keys: Sequence[bytes | None], scores: Sequence[bytes]
    ) -> Iterable[Outgoing]:
        return zip(repeat(self.topics.scores), partitions, keys, scores, repeat(None))

    def _dead_letters(self, batch: Batch, refused: Mapping[int, Rejection]) -> Iterator[Outgoing]:
        limit = self.topics.dead_letter_bytes
        for index, rejection in refused.items():
            message = batch.messages[index]
            partition, value = batch.partitions[index], batch.records.values[index]
            origin = (batch.topic, partition, batch.offsets[index], batch.records.timestamps[index])
            why = dead_letter_headers(rejection, "decode", *origin)
            original = cast(Headers, message.headers() or [])
            letter = fitted(Letter(batch.records.keys[index], value, original, why), limit)
            headers = [*letter.original, *letter.added]
            yield self.topics.dead_letters, partition, letter.key, letter.value, headers


def _named(classes: tuple[str, ...], scored: Scored) -> Sequence[dict[str, float]] | None:
    if scored.probabilities is None:
        return None
    return [dict(zip(classes, row, strict=True)) for row in scored.probabilities.tolist()]


def _at(rows: NDArray[np.int64], *columns: NDArray[Any]) -> Sequence[NDArray[Any]]:
    """Entries of columns of one length, at ascending rows; the columns themselves if these are all, as they mostly
    are."""
    return columns if len(rows) == len(columns[0]) else [column[rows] for column in columns]


def _of(values: Sequence[T], rows: NDArray[np.int64]) -> Sequence[T]:
    """The same of a list."""
    return values if len(rows) == len(values) else [values[row] for row in rows.tolist()]
