"""The group as an operator meets it: who runs in it, how far it has come, and moving it past what cannot be read."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from riskstream.workers.errors import Halt, Unavailable
from riskstream.workers.kafka.config import common_config, consumer_config, transactional_config
from riskstream.workers.kafka.offsets import REQUEST_TIMEOUT_S, Span, positions, read_spans
from riskstream.workers.kafka.output import Outgoing
from riskstream.workers.kafka.probe import probe
from riskstream.workers.settings import Settings


class Group:
    """Looks without joining. Use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer = Consumer(consumer_config(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def members(self) -> list[str]:
        """The clients that are in the group now. Raises Unavailable."""
        client = AdminClient(common_config(self._settings))
        try:
            described = client.describe_consumer_groups([self._settings.group], request_timeout=REQUEST_TIMEOUT_S)
            group = described[self._settings.group].result(REQUEST_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return []
            raise Unavailable(f"the broker does not describe the group: {error}") from error
        except TimeoutError as error:
            raise Unavailable("the broker does not describe the group") from error
        return sorted(f"{member.client_id} on {member.host.lstrip('/')}" for member in group.members)

    def spans(self, partitions: Iterable[int]) -> dict[int, Span]:
        """Raises Unavailable."""
        return read_spans(self._consumer, self._settings.input_topic, partitions)

    def first_readable(self, number: int, start: int, end: int, on_probe: Callable[[int], None]) -> int | None:
        """The first offset after `start`, which cannot be read, that can be. None if nothing below `end` can.

        `on_probe` is told each offset that is tried. Raises Unavailable.
        """
        bad, step = start, 1
        while True:
            good = start + step
            if good >= end:
                return None
            on_probe(good)
            if self.readable(number, good):
                break
            bad, step = good, step * 2
        while good - bad > 1:
            middle = (good + bad) // 2
            on_probe(middle)
            good, bad = (middle, bad) if self.readable(number, middle) else (good, middle)
        return good

    def readable(self, number: int, offset: int) -> bool:
        """Whether reading can begin at `offset`. Raises Unavailable if the broker is away."""
        return probe(self._settings, number, offset) in ("record", "end")

    def skip(self, record: Outgoing, end: int, note: str) -> None:
        """Publish the record of the gap and let the group go on at `end`, both or nothing.

        Raises Halt when the group is running, Unavailable when nothing was done or nobody knows whether it was.
        """
        topic, number, key, value, headers = record
        timeout_s = self._settings.transaction_timeout_ms / 1000
        at = positions(self._settings.input_topic, {number: end}, {number: note})
        producer = Producer(transactional_config(self._settings, "skip"))
        try:
            producer.init_transactions(timeout_s)
            producer.begin_transaction()
            producer.produce(topic, value, key, number, headers=cast(Any, headers))
            producer.send_offsets_to_transaction(at, self._consumer.consumer_group_metadata(), timeout_s)
            producer.commit_transaction(timeout_s)
        except KafkaException as error:
            if error.args[0].code() in RUNNING:
                raise Halt(
                    f"nothing was skipped: a worker of group {self._settings.group} has come meanwhile"
                ) from error
            raise Unavailable(f"look with `riskstream offsets show` whether it was skipped: {error}") from error


RUNNING = {
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.STALE_MEMBER_EPOCH,
    KafkaError.FENCED_MEMBER_EPOCH,
}
"""How the broker says that a group has members."""
