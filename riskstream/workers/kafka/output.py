"""The producers: everything that comes of a batch becomes visible together with its input offsets."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol, cast

from confluent_kafka import KafkaError, KafkaException, Producer

from riskstream.workers.errors import Aborted, Fenced, Halt, OutcomeUnclear, Unavailable
from riskstream.workers.kafka.config import BATCH_BYTES, producer_config, transactional_config
from riskstream.workers.kafka.deadline import Deadline
from riskstream.workers.kafka.offsets import positions
from riskstream.workers.settings import Settings

DEADLINE_GRACE_S = 1.0
UNACKNOWLEDGED_MOST = 4_096
"""Records, and one batch."""
NO_NOTES: Mapping[int, str] = MappingProxyType({})

Headers = list[tuple[str, bytes | None]]


Outgoing = tuple[str, int, bytes | None, bytes | None, Headers | None]
"""One record to publish: topic, partition, key, value, headers. The partition is the input record's, so the order of a
user's events is kept. A plain tuple: making one costs a third of what a named one does."""


class Output(Protocol):
    """Publishes batches, each with the input offsets it covers."""

    def open(self) -> None:
        """Make ready; settles what an earlier process of this slot left open. Raises Unavailable, Halt."""

    def publish(self, records: Iterable[Outgoing], offsets: Mapping[int, int], group: Any) -> None:
        """In a transaction the records are visible on return, and offsets committed with them. At least once they are
        on their way. Raises Aborted, OutcomeUnclear, Halt."""

    def settle(self) -> None:
        """Wait until all that was published is visible. Raises OutcomeUnclear."""


class TransactionalOutput:
    """One transaction a batch, by two producers in turn.

    While the coordinator still writes the markers of a transaction it refuses the same producer's next one; the
    other producer does not have to wait. A batch is committed before the next is produced, so order is kept. After one
    has committed, the other begins: that is between the client's threads alone, and the next batch need not wait for
    them.
    """

    def __init__(
        self,
        settings: Settings,
        deadline: Deadline,
        batch_bytes: int = BATCH_BYTES,
        notes: Mapping[int, str] = NO_NOTES,
    ) -> None:
        """`batch_bytes` is what the topics take as one batch of records; a larger record travels alone. `notes` are
        committed with the offsets of their partitions. Somebody watches the `deadline`."""
        self._settings = settings
        self._notes = notes
        self._batch_bytes = batch_bytes
        self._timeout_s = settings.transaction_timeout_ms / 1000
        self._producers: list[Producer] = []
        self._deadline = deadline
        self._has_begun = False
        """Whether the first producer's next transaction has."""

    def open(self) -> None:
        """Two new producers with the same ids. This fences the old ones' late requests and settles what happened."""
        self._has_begun = False
        for producer in self._producers:
            producer.purge()
        self._producers = [
            Producer(transactional_config(self._settings, turn, self._batch_bytes)) for turn in ("a", "b")
        ]
        try:
            for producer in self._producers:
                producer.init_transactions(self._timeout_s)
        except KafkaException as error:
            raise _refused(error, Unavailable("the transaction coordinator does not answer")) from error

    def publish(self, records: Iterable[Outgoing], offsets: Mapping[int, int], group: Any) -> None:
        producer = self._producers[0]
        self._producers.reverse()
        has_begun, self._has_begun = self._has_begun, False
        try:
            if not has_begun:
                producer.begin_transaction()
            _produce(producer, records, self._timeout_s)
            if offsets:
                self._send_offsets(producer, offsets, group)
        except KafkaException as error:
            self._abort(producer, error)
        try:
            producer.commit_transaction(self._timeout_s)
        except KafkaException as error:
            if _kafka_error(error).txn_requires_abort():
                self._abort(producer, error)
            raise _refused(error, OutcomeUnclear(f"commit: {error}")) from error
        with suppress(KafkaException):  # the next batch then begins, and is told
            self._producers[0].begin_transaction()
            self._has_begun = True

    def settle(self) -> None:
        """Each publish has."""

    def _send_offsets(self, producer: Producer, offsets: Mapping[int, int], group: Any) -> None:
        at = positions(self._settings.input_topic, offsets, self._notes)
        # Without its group coordinator librdkafka waits for ever, whatever the timeout (its issue 5456).
        send = partial(producer.send_offsets_to_transaction, at, group, self._timeout_s)
        self._deadline.keep(send, self._timeout_s + DEADLINE_GRACE_S)

    def _abort(self, producer: Producer, cause: KafkaException) -> None:
        refused = _refused(cause, Aborted(str(cause)))
        if isinstance(refused, Fenced):
            raise refused from cause
        try:
            producer.abort_transaction(self._timeout_s)
        except KafkaException as error:
            raise _refused(error, OutcomeUnclear(f"abort: {error}, after: {cause}")) from error
        raise refused from cause


class AtLeastOnceOutput:
    """An idempotent producer. Batches follow each other without waiting for the broker: most of what a small one takes
    would be that. Who commits offsets waits first, so none is committed whose score is not there. A crash may repeat
    scores; in their order, as the broker takes an idempotent producer's records in no other."""

    def __init__(
        self, settings: Settings, commit: Callable[[dict[int, int]], None], batch_bytes: int = BATCH_BYTES
    ) -> None:
        """`commit` has the group's offsets committed."""
        self._settings = settings
        self._commit = commit
        self._batch_bytes = batch_bytes
        self._timeout_s = settings.transaction_timeout_ms / 1000
        self._producer: Producer | None = None
        self._failed: list[str] = []

    def open(self) -> None:
        """A new producer; what the old one has not sent comes again."""
        if self._producer:
            self._producer.purge()
        self._producer = Producer(producer_config(self._settings, self._batch_bytes))
        self._failed = []
        # Knows the list alone: the client keeps it for each record that is not sent, and so would keep this output.
        self._on_delivery = partial(_note_failure, self._failed)

    def publish(self, records: Iterable[Outgoing], offsets: Mapping[int, int], group: Any) -> None:
        producer = cast(Producer, self._producer)
        if len(producer) >= UNACKNOWLEDGED_MOST:
            self.settle()
        _produce(producer, records, self._timeout_s, self._on_delivery)

    def settle(self) -> None:
        unsent = cast(Producer, self._producer).flush(self._timeout_s)
        if unsent or self._failed:
            raise OutcomeUnclear(f"{unsent} records unacknowledged, failed: {self._failed[:3]}")

    def commit(self, offsets: dict[int, int]) -> None:
        """Of records that were published, by partition. Raises OutcomeUnclear, Unavailable."""
        self.settle()
        self._commit(offsets)


def _note_failure(failed: list[str], error: KafkaError | None, _message: Any) -> None:
    if error is not None:
        failed.append(error.str())


def _produce(producer: Producer, records: Iterable[Outgoing], timeout_s: float, on_delivery: Any = None) -> None:
    produce: Any = producer.produce
    for topic, partition, key, value, headers in records:
        while True:
            try:
                # By position: naming the arguments costs as much again as the call. A callback has two places, and
                # what stands in the first, None as well, is taken.
                produce(topic, value, key, partition, on_delivery, None, 0, headers)
            except BufferError:
                _make_room(producer, timeout_s)
            else:
                break


def _make_room(producer: Producer, timeout_s: float) -> None:
    if producer.poll(timeout_s) == 0 and len(producer) > 0:
        time.sleep(0.01)


def _kafka_error(error: KafkaException) -> KafkaError:
    return cast(KafkaError, error.args[0])


def _refused(error: KafkaException, otherwise: Exception) -> Exception:
    """What a refusal means: Fenced, Halt where trying again cannot help, else `otherwise`."""
    code = _kafka_error(error).code()
    if code in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
        return Fenced(str(error))
    if code in (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED):
        return Halt(f"the broker does not let this user write: {_kafka_error(error).str()}")
    if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION):
        return Halt("an output topic or partition does not exist. Run `riskstream topics create`.")
    return otherwise
