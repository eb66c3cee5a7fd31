"""The flow: consume -> decode -> join -> assemble -> score -> decide -> publish -> commit.

One batch goes left to right once. Each record leaves as a risk score or as a dead letter; there is no third way out.
Records below the committed offset, read again to take state, leave only their facts.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.domain import Domain
from riskstream.models.history import Aggregates, aggregate
from riskstream.models.outputs import Answer
from riskstream.models.policy import Policy
from riskstream.schemas.dead_letter import Headers, Letter, Rejection, dead_letter_headers, fitted
from riskstream.schemas.decode import Decoded, Decoder
from riskstream.schemas.encode import Scores, Stamp, encode_scores
from riskstream.workers.batch_counts import BatchCounts, Committed
from riskstream.workers.join import Join, Joined
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.kafka.output import Outgoing
from riskstream.workers.metrics import Metrics
from riskstream.workers.working_set import WorkingSet

T = TypeVar("T")


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


# What each batch makes, and it is often one event, are structs: a fifth of what a NamedTuple takes.
class Live(msgspec.Struct, frozen=True):
    """What of a batch is to be answered: `rows` int64[k] of the join, and what was refused, by its index; so many
    `records` in all. `offsets` are to be committed with the answers."""

    rows: NDArray[np.int64]
    refused: Mapping[int, Rejection]
    records: int
    offsets: Mapping[int, int]


class Scored(msgspec.Struct, frozen=True):
    """The live rows of a batch after `decide`. `rows` int64[k] are rows of the join; the rest has k entries."""

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    scores: NDArray[np.float64]
    decisions: NDArray[np.uint8]
    repeated: NDArray[np.bool_]
    probabilities: NDArray[np.float64] | None = None  # [k, classes]


class Outcome(msgspec.Struct, frozen=True):
    """What a batch comes to: the records to publish, the offsets to commit with them, and what to absorb afterwards.

    Its arrays are counted some batches later, so nobody writes into them; `joined.gathered` is the memory's own and
    changes with the next batch. `ended`: the time, in seconds, at which each stage did; who commits adds its own.
    """

    batch: Batch
    records: list[Outgoing]
    offsets: Mapping[int, int]
    decoded: Decoded
    joined: Joined
    aggregates: Aggregates
    scored: Scored
    refused: Mapping[int, Rejection]
    ended: dict[str, float]


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
    timer: Callable[[], float] = time.perf_counter

    _counts: BatchCounts = field(init=False)

    def __post_init__(self) -> None:
        self._counts = BatchCounts(self.metrics, self.topics.partitions)

    def __call__(self, batch: Batch) -> Outcome:
        """Raises what the join raises, and NonFiniteScore."""
        timer = self.timer
        ended = {"consume": timer()}
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
        scored = Scored(live.rows, vectors, answer.risk, decisions, repeated, answer.probabilities)
        records = list(self._scores(batch, decoded, joined, scored))
        if live.refused:
            records += self._dead_letters(batch, live.refused)
        if len(records) != live.records:
            raise RuntimeError(f"{live.records} records went in and {len(records)} would come out")
        ended["publish"] = timer()
        return Outcome(batch, records, live.offsets, decoded, joined, aggregates, scored, live.refused, ended)

    def absorb(self, outcome: Outcome) -> None:
        """After the commit was confirmed, or, at least once, the records are on their way: the facts become history,
        the positions move, the counts count."""
        self.working_set.absorb(outcome.joined.gathered, outcome.aggregates.repeated)
        for number, offset in outcome.batch.next_offsets.items():
            self.working_set.partitions[number].position = offset
        self.working_set.evict()
        self._note(outcome)

    def _live(self, batch: Batch, decoded: Decoded) -> Live:
        """Mostly all, which the partitions' positions tell."""
        partitions, ends = self.working_set.partitions, batch.next_offsets
        recovering = [number for number in ends if partitions[number].position < partitions[number].live_from]
        if not recovering:
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

    def _assemble(self, joined: Joined) -> tuple[Aggregates, NDArray[np.float32]]:
        features = self.domain.features
        gathered = joined.gathered
        aggregates = aggregate(features.spec, gathered.facts, gathered.first, gathered.position)
        if len(gathered.unread):
            aggregates.values[gathered.unread] = np.nan
        return aggregates, features.assemble(joined.columns, aggregates.values, joined.profile)

    def _scores(self, batch: Batch, decoded: Decoded, joined: Joined, scored: Scored) -> Iterable[Outgoing]:
        rows, event_times = scored.rows, joined.columns["event_time"]
        indexes, event_times, degraded = _at(rows, decoded.rows, event_times, joined.degraded)
        numbers, offsets = _at(indexes, batch.partition_array, batch.offset_array)
        keys = cast("Sequence[bytes]", _of(batch.records.keys, indexes))
        stamp = Stamp(self.model.label, self.domain.features.id, batch.topic, int(self.clock() * 1000))
        users, event_ids = decoded.users, decoded.event_ids
        if len(rows) < len(decoded.rows):
            users, event_ids = users.take(rows), event_ids.take(rows)
        values = encode_scores(
            stamp,
            Scores(
                event_ids,
                users,
                scored.scores,
                scored.decisions,
                scored.vectors,
                numbers,
                offsets,
                event_times,
                scored.repeated,
                degraded,
                _named(self.model.classes, scored),
            ),
        )
        return zip(repeat(self.topics.scores), numbers.tolist(), keys, values, repeat(None))

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

    def _note(self, outcome: Outcome) -> None:
        scored, joined = outcome.scored, outcome.joined
        self._counts.note(
            Committed(
                outcome.batch,
                self.clock(),
                scored.rows,
                scored.decisions,
                scored.repeated,
                joined.degraded,
                joined.misses,
                outcome.refused,
                outcome.ended,
            )
        )


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
