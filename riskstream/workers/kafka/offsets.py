"""How far the group has come in each partition, as the broker tells, and how it is told."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from riskstream.schemas.gaps import Gap, decode_gaps
from riskstream.workers.errors import Unavailable

REQUEST_TIMEOUT_S = 10.0
UNSETTLED = "If it is well otherwise, a transaction may hang: kafka-transactions.sh find-hanging"
NO_OFFSET = -1001


class Span(NamedTuple):
    """What the broker knows of a partition: the log's first and next offset, the group's committed one or None with
    the metadata that was committed beside it."""

    log_start: int
    log_end: int
    committed: int | None
    note: str = ""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What an operator had the group skip."""
        return decode_gaps(self.note)


def read_spans(consumer: Consumer, topic: str, partitions: Iterable[int]) -> dict[int, Span]:
    """Raises Unavailable."""
    wanted = [TopicPartition(topic, number) for number in partitions]
    try:
        return {
            part.partition: Span(
                *consumer.get_watermark_offsets(part, timeout=REQUEST_TIMEOUT_S, cached=False),
                None if part.offset == NO_OFFSET else part.offset,
                part.metadata or "",
            )
            for part in consumer.committed(wanted, timeout=REQUEST_TIMEOUT_S)
        }
    except KafkaException as error:
        raise Unavailable(f"the broker does not say how far the group has come: {error}. {UNSETTLED}") from error


def positions(topic: str, offsets: Mapping[int, int], notes: Mapping[int, str]) -> list[TopicPartition]:
    """Offsets to commit. A commit replaces the metadata, too, so what is noted there goes along."""
    return [TopicPartition(topic, number, offset, notes.get(number, "")) for number, offset in offsets.items()]
