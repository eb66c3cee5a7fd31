"""The consumer: one batch at a time, and which partitions are whose."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, cast

import structlog
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from riskstream.schemas.gaps import Gap
from riskstream.workers.errors import Halt, Unavailable
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.kafka.config import consumer_config
from riskstream.workers.kafka.offsets import Span, positions, read_spans
from riskstream.workers.kafka.probe import HALTING, Found, probe
from riskstream.workers.settings import Settings

log = structlog.get_logger(__name__)

SKIPPABLE = {KafkaError._AUTO_OFFSET_RESET, KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION}
SKIP = (
    "If the records cannot be restored, stop all workers of the group and run "
    "`riskstream offsets skip --partition {} --reason ...`, which leaves a record of the gap."
)
"""What an operator can do about a place that cannot be read."""


class Ownership(Protocol):
    """Who is told when partitions come and go."""

    def assigned(self, spans: Mapping[int, Span]) -> dict[int, int]:
        """Partitions have come; answers where to read each from."""

    def revoked(self, partitions: list[int]) -> None:
        """They go, and this worker still owns them while it is told."""

    def lost(self, partitions: list[int]) -> None:
        """They have gone, and another worker may own them already."""

    def position(self, partition: int) -> int:
        """The offset to read next."""


class Stop(NamedTuple):
    """Where reading cannot go on, and what is said of it."""

    code: int
    halt: Halt


class Input:
    """The input topic as this worker sees it. Used by one thread."""

    def __init__(self, settings: Settings, ownership: Ownership, on_error: Callable[[str], None]) -> None:
        """`on_error` is told the name of each error that the client reports."""
        self._settings = settings
        self._on_error = on_error
        self._topic = settings.input_topic
        self._is_transactional = settings.delivery == "exactly_once"
        self._skips_past = settings.start == "latest"
        self._ownership = ownership
        self._rebalanced = False
        self._failure: Exception | None = None
        self._stops: dict[int | None, Stop] = {}
        self._gaps: dict[int, tuple[Gap, ...]] = {}
        self.notes: dict[int, str] = {}
        """Metadata of the committed offsets, to be committed with the next ones."""
        self._consumer = self._joined()

    def _joined(self) -> Consumer:
        consumer = Consumer(consumer_config(self._settings), logger=logging.getLogger("librdkafka"))
        consumer.subscribe([self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        return consumer

    def take(self, most: int, timeout_s: float) -> Batch | None:
        """Wait for a first record, then take what has been fetched already. None when nothing came.

        Callbacks of the group run in here. A batch that straddles a change of ownership is given back: it may hold
        records of a partition that has gone, or that begins anew elsewhere. Raises Halt, and what went wrong while
        partitions came or went.
        """
        for number, stop in list(self._stops.items()):
            self._resume(number, stop)
        self._rebalanced = False
        self._failure = None
        first = self._consumer.poll(timeout_s)
        taken = [first] if first is not None else []
        if taken and most > 1:
            taken += self._consumer.consume(most - 1, 0)
        if self._failure is not None:
            raise self._failure
        messages = self._records(taken)
        if self._gaps and not self._rebalanced:
            messages = self._cut_at_gaps(messages)
        if self._rebalanced:
            self._give_back(messages)
            return None
        return Batch.of(self._topic, messages, self._group()) if messages else None

    def spans(self, partitions: Iterable[int]) -> dict[int, Span]:
        """Raises Unavailable.

        A group without offsets that starts at the latest commits that choice here and now: else the next owner would
        choose anew and pass over what came meanwhile.
        """
        spans = read_spans(self._consumer, self._topic, partitions)
        self.notes.update((number, span.note) for number, span in spans.items())
        self._gaps = {number: gaps for number, gaps in self._gaps.items() if number not in spans}
        self._gaps.update((number, span.gaps) for number, span in spans.items() if span.gaps)
        new = {number: span.log_end for number, span in spans.items() if span.committed is None and self._skips_past}
        if new:
            self.commit(new)
            log.info("the group starts at the latest offsets", offsets=new)
        return {number: span._replace(committed=new.get(number, span.committed)) for number, span in spans.items()}

    def lags(self, positions: Mapping[int, int]) -> dict[int, int]:
        """Offsets between each position and the end of the log, as far as the last fetch told; asks nobody."""
        spans = {
            n: self._consumer.get_watermark_offsets(TopicPartition(self._topic, n), cached=True) for n in positions
        }
        return {n: max(0, spans[n][1] - position) for n, position in positions.items()}

    def seek(self, starts: dict[int, int]) -> None:
        """Go on reading owned partitions from these offsets. Raises Unavailable."""
        for number, offset in starts.items():
            self._stops.pop(number, None)
            place = TopicPartition(self._topic, number, offset)
            try:
                self._consumer.seek(place)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE:
                    raise Unavailable(f"cannot seek: {error}") from error
                self.restart(place)  # the client no longer fetches a place that it could not read

    def restart(self, place: TopicPartition) -> None:
        """Have the client begin anew with an owned partition, whatever state it was in. Raises Unavailable."""
        try:
            self._consumer.incremental_unassign([place])
            self._consumer.incremental_assign([place])
        except KafkaException as error:
            raise Unavailable(f"cannot begin to read anew: {error}") from error

    def begin_anew(self, number: int) -> None:
        """Read on where the owner stands, with nothing left of what the client was doing there. Raises Unavailable."""
        self.restart(TopicPartition(self._topic, number, self._ownership.position(number)))

    def renew(self) -> None:
        """Leave the group and join it with a new client: the partitions are revoked in here, and come back."""
        self.close()
        self._consumer = self._joined()

    def ends(self, numbers: Iterable[int]) -> dict[int, int]:
        """The next offset of each partition's log, stable ones only, asked of the broker. Raises Unavailable."""
        return {number: span.log_end for number, span in read_spans(self._consumer, self._topic, numbers).items()}

    def probe(self, number: int, offset: int) -> Found:
        """What another reader finds there. Takes some seconds. Raises Unavailable."""
        return probe(self._settings, number, offset)

    def owned(self) -> list[int]:
        return [part.partition for part in self._consumer.assignment()]

    def pause(self, partitions: Iterable[int]) -> None:
        self._consumer.pause([TopicPartition(self._topic, number) for number in partitions])

    def commit(self, offsets: dict[int, int]) -> None:
        """Outside of a transaction: raises Unavailable when the broker did not take them."""
        wanted = positions(self._topic, offsets, self.notes)
        try:
            self._consumer.commit(offsets=wanted, asynchronous=False)
        except KafkaException as error:
            raise Unavailable(f"offsets were not committed: {error}") from error

    def close(self) -> None:
        """Leave the group; the partitions are revoked in here."""
        self._consumer.close()

    def _group(self) -> Any:
        """What a transaction commits offsets with. Asked anew each time, as the group changes; its own thread answers,
        for which other commits need not wait."""
        return self._consumer.consumer_group_metadata() if self._is_transactional else None

    def _records(self, taken: list[Message]) -> list[Message]:
        """The records. What came before an error that does not go away is scored first; the next `take` sees to it."""
        if not self._stops and not any(map(Message.error, taken)):  # an error is true; compared with None, it raises
            return taken
        messages = []
        for message in taken:
            error, number = message.error(), message.partition()
            if number in self._stops:
                continue  # the client goes on behind what it could not read
            if error is None:
                messages.append(message)
                continue
            self._on_error(error.name())
            if error.fatal() or error.code() in HALTING:
                self._stops[number] = Stop(error.code(), _halt(message, error))
            else:
                log.warning("consumer error, librdkafka goes on trying", error=error.str(), code=error.name())
        return messages

    def _resume(self, number: int | None, stop: Stop) -> None:
        """Raises the Halt, unless the log does have the place: behind a damaged batch the client may lose its own."""
        if number is None or stop.code != KafkaError._AUTO_OFFSET_RESET:
            raise stop.halt
        place = TopicPartition(self._topic, number, self._ownership.position(number))
        span = read_spans(self._consumer, self._topic, [number])[number]
        if not span.log_start <= place.offset <= span.log_end:
            raise stop.halt
        log.warning("the client lost its place and begins anew", partition=number, offset=place.offset)
        self._stops.pop(number)
        self.restart(place)

    def _cut_at_gaps(self, messages: list[Message]) -> list[Message]:
        """What comes before the next gap: the owner then goes on behind it. Skipped records may well be readable."""
        ahead = {number: gap for number, gaps in self._gaps.items() if (gap := self._next_gap(number, gaps))}
        kept, before = [], set()
        for message in messages:
            number, offset = cast(int, message.partition()), cast(int, message.offset())
            gap = ahead.get(number)
            if gap and offset < gap.start:
                before.add(number)
            if not gap or offset < gap.start or (offset >= gap.end and number not in before):
                kept.append(message)
        return kept

    def _next_gap(self, number: int, gaps: tuple[Gap, ...]) -> Gap | None:
        position = self._ownership.position(number)
        return next((gap for gap in gaps if gap.end > position), None)

    def _forget(self, parts: list[TopicPartition]) -> None:
        for part in parts:
            self._gaps.pop(part.partition, None)
            self._stops.pop(part.partition, None)

    def _give_back(self, messages: list[Message]) -> None:
        given_back = {cast(int, message.partition()) for message in messages} & set(self.owned())
        self.seek({number: self._ownership.position(number) for number in given_back})

    # An exception that leaves a callback would take fetched records with it: it is kept and raised by `take`.

    def _on_assign(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        self._rebalanced = True
        starts: dict[int, int] = {}
        try:
            starts = self._ownership.assigned(self.spans(part.partition for part in parts))
        except Exception as error:
            self._failure = error
        # Start offsets must be given here: seeking in this callback fails under KIP-848. After a failure the caller
        # seeks, which a partition without any offset would refuse.
        consumer.incremental_assign(
            [TopicPartition(part.topic, part.partition, starts.get(part.partition, OFFSET_END)) for part in parts]
        )

    def _on_revoke(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        self._rebalanced = True
        self._forget(parts)
        try:
            self._ownership.revoked([part.partition for part in parts])
        except Exception as error:
            self._failure = error
        consumer.incremental_unassign(parts)

    def _on_lost(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        self._rebalanced = True
        self._forget(parts)
        self._ownership.lost([part.partition for part in parts])
        consumer.incremental_unassign(parts)


def _halt(message: Message, error: KafkaError) -> Halt:
    where = f"{message.topic()}[{message.partition()}] at offset {message.offset()}"
    reason = HALTING.get(error.code(), "the consumer cannot go on")
    mend = f" {SKIP.format(message.partition())}" if error.code() in SKIPPABLE else ""
    return Halt(f"{where}: {reason} ({error.str()}).{mend}")
