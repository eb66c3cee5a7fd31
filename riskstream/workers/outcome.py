"""What a batch comes to, on the way and in the end."""

from collections.abc import Mapping
from typing import Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from riskstream.models.history import Aggregates
from riskstream.schemas.dead_letter import Rejection
from riskstream.schemas.decode import Decoded
from riskstream.workers.join import Joined
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.kafka.output import Outgoing
from riskstream.workers.working_set import WorkingSet


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
    partitions: NDArray[np.int64]
    offsets: NDArray[np.int64]
    vectors: NDArray[np.float32]
    scores: NDArray[np.float64]
    decisions: NDArray[np.uint8]
    repeated: NDArray[np.bool_]
    probabilities: NDArray[np.float64] | None = None  # [k, classes]


class Decided(msgspec.Struct, frozen=True):
    """What the stages up to `decide` make of a batch. `ended`: the time, in seconds, at which each did."""

    decoded: Decoded
    joined: Joined
    aggregates: Aggregates
    scored: Scored
    ended: dict[str, float]

    def absorb_by(self, memory: WorkingSet) -> None:
        memory.absorb(self.joined.gathered, self.aggregates.repeated)

    def decided(self) -> Self:
        return self


class Work(Protocol):
    """What was computed for a batch."""

    def absorb_by(self, memory: WorkingSet) -> None:
        """The facts that were laid there become history, repeats left out. Before another batch is laid."""

    def decided(self) -> Decided:
        """All of it, made when it is asked for."""


class Answers(msgspec.Struct):
    """What leaves for a batch: the records to publish, and the offsets to commit with them. `refused` are those that
    leave as dead letters, by their index; `began` and `ended`, in seconds, are of all this, and so is `committed`, once
    it was.

    What else the batch came to, `outcome` tells: whoever waits for the records does not wait for that.
    """

    batch: Batch
    records: list[Outgoing]
    offsets: Mapping[int, int]
    refused: Mapping[int, Rejection]
    began: float
    ended: float
    work: Work
    committed: float | None = None
    _outcome: "Outcome | None" = None

    def outcome(self) -> "Outcome":
        self._outcome = self._outcome or self._told()
        return self._outcome

    def _told(self) -> "Outcome":
        decided = self.work.decided()
        ended = {"consume": self.began, **decided.ended, "publish": self.ended}
        if self.committed is not None:
            ended["commit"] = self.committed
        return Outcome(
            self.batch, self.records, self.offsets, decided.decoded, decided.joined, decided.aggregates, decided.scored,
            self.refused, ended,
        )  # fmt: skip


class Outcome(msgspec.Struct, frozen=True):
    """What a batch came to, for those who count.

    Its arrays are counted some batches later, so nobody writes into them; `joined.gathered` is the memory's own and
    changes with the next batch. `ended`: the time, in seconds, at which each stage did, "commit" only where there was
    something to commit.
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
