"""The flow: consume -> decode -> join -> assemble -> score -> decide -> publish -> commit.

One batch goes left to right once. Each record leaves as a risk score or as a dead letter; there is no third way out.
Records below the committed offset, read again to take state, leave only their facts.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from riskstream.models.domain import Domain
from riskstream.models.features import vector_digest
from riskstream.models.history import Aggregates, aggregate
from riskstream.models.outputs import Answer
from riskstream.models.policy import Policy
from riskstream.schemas.dead_letter import Headers, Letter, Rejection, dead_letter_headers, fitted
from riskstream.schemas.decode import Decoded, Decoder
from riskstream.schemas.partitioner import partitions_of
from riskstream.schemas.score import DECISIONS, DEGRADED, Scores, Stamp, encode_scores
from riskstream.workers.join import Join, Joined
from riskstream.workers.kafka.input import Batch
from riskstream.workers.kafka.output import Outgoing
from riskstream.workers.metrics import Metrics
from riskstream.workers.working_set import WorkingSet

DEGRADED_NAMES = tuple(
    tuple(name for bit, name in enumerate(DEGRADED) if mask >> bit & 1) for mask in range(1 << len(DEGRADED))
)
"""The names for each value of a row's `degraded` bits."""


@dataclass(frozen=True)
class Model:
    """What turns feature vectors into decisions, and how it is named in each score."""

    label: str
    scorer: Callable[[NDArray[np.float32]], Answer]
    policy: Policy
    classes: tuple[str, ...] = ()  # of a model whose answers have a probability for each


@dataclass(frozen=True)
class Topics:
    """Where records go; all have `partitions`. A dead letter above `dead_letter_bytes` leaves without a part."""

    scores: str
    dead_letters: str
    dead_letter_bytes: int
    partitions: int


class Scored(NamedTuple):
    """The live rows of a batch after `decide`. `rows` int64[k] are rows of the join; the rest has k entries."""

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    scores: NDArray[np.float64]
    decisions: NDArray[np.uint8]
    repeated: NDArray[np.bool_]
    probabilities: NDArray[np.float64] | None = None  # [k, classes]


class Outcome(NamedTuple):
    """What a batch comes to: the records to publish, the offsets to commit with them, and what to absorb afterwards."""

    batch: Batch
    records: list[Outgoing]
    offsets: dict[int, int]
    decoded: Decoded
    joined: Joined
    aggregates: Aggregates
    scored: Scored
    refused: Mapping[int, Rejection]


@dataclass(slots=True)
class Scoring:
    """One batch in, its outcome out. Touches nothing but the join's reads until the outcome is absorbed."""

    domain: Domain
    decoder: Decoder
    join: Join
    model: Model
    working_set: WorkingSet
    topics: Topics
    metrics: Metrics
    clock: Callable[[], float] = time.time

    def __call__(self, batch: Batch) -> Outcome:
        """Raises what the join raises, and NonFiniteScore."""
        with self._stage("decode"):
            decoded = self.decoder(batch.records)
        with self._stage("join"):
            joined = self.join(*_where(batch, decoded), decoded)
        with self._stage("assemble"):
            aggregates, vectors = self._assemble(joined)
        live = self._live(batch)
        rows = np.flatnonzero(live[decoded.rows])
        with self._stage("score"):
            scores, probabilities = self.model.scorer(vectors[rows])
        with self._stage("decide"):
            decisions = self.model.policy.decide(scores)
        scored = Scored(rows, vectors[rows], scores, decisions, aggregates.original[rows] >= 0, probabilities)
        refused = {index: rejection for index, rejection in decoded.rejections.items() if live[index]}
        with self._stage("publish"):
            records = [*self._scores(batch, decoded, joined, scored), *self._dead_letters(batch, refused)]
        if len(records) != live.sum():
            raise RuntimeError(f"{live.sum()} records went in and {len(records)} would come out")
        offsets = {
            number: offset
            for number, offset in batch.next_offsets().items()
            if offset > self.working_set.partitions[number].live_from
        }
        return Outcome(batch, records, offsets, decoded, joined, aggregates, scored, refused)

    def absorb(self, outcome: Outcome) -> None:
        """After the commit was confirmed: the facts become history, the positions move, the counts count."""
        self.working_set.absorb(outcome.joined.gathered, outcome.aggregates.original >= 0)
        for number, offset in outcome.batch.next_offsets().items():
            self.working_set.partitions[number].position = offset
        self.working_set.evict()
        self._count(outcome)

    def _live(self, batch: Batch) -> NDArray[np.bool_]:
        partitions = self.working_set.partitions
        live_from = np.array([partitions[number].live_from for number in batch.partitions], np.int64)
        return np.asarray(batch.offsets, np.int64) >= live_from

    def _assemble(self, joined: Joined) -> tuple[Aggregates, NDArray[np.float32]]:
        features = self.domain.features
        gathered = joined.gathered
        aggregates = aggregate(features.spec, gathered.facts, gathered.first, gathered.position)
        if np.count_nonzero(gathered.known) < len(gathered.known):
            aggregates.values[~gathered.known] = np.nan
        return aggregates, features.assemble(joined.columns, aggregates.values, joined.profile)

    def _scores(self, batch: Batch, decoded: Decoded, joined: Joined, scored: Scored) -> Iterable[Outgoing]:
        indexes = decoded.rows[scored.rows].tolist()
        events = decoded.events if len(indexes) == len(decoded.events) else [decoded.events[row] for row in scored.rows]
        partitions = [batch.partitions[index] for index in indexes]
        stamp = Stamp(self.model.label, self.domain.features.id, batch.topic, int(self.clock() * 1000))
        values = encode_scores(
            stamp,
            Scores(
                [event.event_id for event in events],
                [event.user_id for event in events],
                scored.scores,
                scored.decisions,
                vector_digest(scored.vectors),
                partitions,
                [batch.offsets[index] for index in indexes],
                joined.columns["event_time"][scored.rows].tolist(),
                scored.repeated,
                joined.degraded[scored.rows],
                _named(self.model.classes, scored),
            ),
        )
        keys = [batch.records.keys[index] for index in indexes]
        return zip(repeat(self.topics.scores), partitions, keys, values, repeat(None))

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

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.metrics.stage_seconds[name].observe(time.perf_counter() - started)

    def _count(self, outcome: Outcome) -> None:
        metrics, scored = self.metrics, outcome.scored
        metrics.events_total.inc(len(outcome.records))
        metrics.batch_events.observe(len(outcome.batch.messages))
        for code, count in Counter(scored.decisions.tolist()).items():
            metrics.scores_total[DECISIONS[code]].inc(count)
        for mask, count in Counter(outcome.joined.degraded[scored.rows].tolist()).items():
            for name in DEGRADED_NAMES[mask]:
                metrics.degraded_total[name].inc(count)
        metrics.duplicates_total.inc(float(np.count_nonzero(scored.repeated)))
        for rejection in outcome.refused.values():
            metrics.dead_letters_total[rejection.reason].inc()
        metrics.recovered_facts_total.inc(len(outcome.batch.messages) - len(outcome.records))
        metrics.history_cache_bytes.set(self.working_set.size)
        belongs = partitions_of(outcome.batch.records.keys, self.topics.partitions)
        metrics.misplaced_records_total.inc(float(np.sum((belongs >= 0) & (belongs != outcome.batch.partitions))))
        timestamps = np.array(outcome.batch.records.timestamps, np.float64)
        metrics.event_age_seconds.observe(np.maximum(self.clock() - timestamps[timestamps >= 0] / 1000, 0.0))


def _named(classes: tuple[str, ...], scored: Scored) -> Sequence[dict[str, float]] | None:
    if scored.probabilities is None:
        return None
    return [dict(zip(classes, row, strict=True)) for row in scored.probabilities.tolist()]


def _where(batch: Batch, decoded: Decoded) -> tuple[Sequence[int], NDArray[np.int64]]:
    """Partition and offset of each accepted event."""
    indexes = decoded.rows.tolist()
    offsets = np.array([batch.offsets[index] for index in indexes], np.int64)
    return [batch.partitions[index] for index in indexes], offsets
