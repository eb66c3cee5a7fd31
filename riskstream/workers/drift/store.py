"""What the sidecar writes, and what it finds again when it starts: one transaction carries the reports of windows, the
state of their verdicts, the checkpoint and the offsets that were read.

So a window is reported with the state that it led to, or not at all. Making the producer ends what an earlier instance
had under way, and stops that instance should it still run.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import aiokafka
import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, retry_if_not_exception_type, stop_after_delay
from tenacity.wait import wait_random_exponential

from riskstream.schemas.drift import DriftReport, decode_report, encode_report, report_key
from riskstream.workers.drift.connection import connection
from riskstream.workers.drift.windows import Checkpoint
from riskstream.workers.errors import Unavailable
from riskstream.workers.settings import Settings

log = structlog.get_logger(__name__)

LARGEST_BYTES = 8 << 20
READ_WITHIN_S = 60.0
TRANSACTION_TIMEOUT_MS = 30_000


class Closing(NamedTuple):
    """All that one or more closed windows come to. `states` by model and length."""

    reports: Sequence[DriftReport]
    states: Mapping[tuple[str, int], bytes]
    checkpoint: Checkpoint


class Store:
    """The sidecar's end of `drift-reports` and `drift-state`. Used by one task."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: aiokafka.AIOKafkaProducer | None = None

    async def open(self) -> Self:
        """Raises Unavailable. From now on no earlier instance can publish."""
        await self.close()
        producer = aiokafka.AIOKafkaProducer(
            **connection(self._settings),
            transactional_id=f"{self._settings.drift_group}-reports",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_request_size=LARGEST_BYTES,
            compression_type="gzip",
        )
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise Unavailable(f"the transaction coordinator does not answer: {error!r}") from error
        self._producer = producer
        return self

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer:
            await producer.stop()

    async def publish(self, closing: Closing) -> None:
        """On return all of it is visible. Raises Unavailable, also when another instance has taken over."""
        patience = stop_after_delay(self._settings.kafka_give_up_ms / 1000)
        wanted = retry_if_exception_type((KafkaError, OSError)) & retry_if_not_exception_type(ProducerFenced)
        try:
            async for attempt in AsyncRetrying(
                stop=patience, wait=wait_random_exponential(multiplier=0.1, max=2), retry=wanted
            ):
                with attempt:
                    await self._attempt(closing)
        except ProducerFenced as error:
            raise Unavailable("another instance of the sidecar has taken over") from error
        except RetryError as error:
            raise Unavailable(f"reports were not published: {error.last_attempt.exception()!r}") from error

    async def _attempt(self, closing: Closing) -> None:
        if self._producer is None:
            await self.open()
        producer, settings = self._producer, self._settings
        assert producer is not None  # noqa: S101 - opened above
        try:
            async with producer.transaction():
                for report in closing.reports:
                    await producer.send(settings.drift_topic, encode_report(report), report_key(report), partition=0)
                for (model, length), state in closing.states.items():
                    await self._remember(producer, f"state|{model}|{length}", state)
                await self._remember(producer, "checkpoint", msgspec.json.encode(closing.checkpoint))
                offsets = {
                    TopicPartition(settings.stats_topic, number): mark.at
                    for number, mark in closing.checkpoint.marks.items()
                }
                if offsets:
                    await producer.send_offsets_to_transaction(offsets, settings.drift_group)
        except ProducerFenced:
            raise
        except (KafkaError, OSError):
            await self.close()  # a new producer settles what became of the transaction
            raise

    async def _remember(self, producer: aiokafka.AIOKafkaProducer, what: str, value: bytes) -> None:
        key = f"{self._settings.drift_group}|{what}".encode()
        await producer.send(self._settings.drift_state_topic, value, key, partition=0)

    async def remembered(self) -> tuple[Checkpoint, dict[tuple[str, int], bytes]]:
        """The checkpoint and the states of the last transaction; nothing at the first start."""
        prefix = f"{self._settings.drift_group}|"
        found = {key: value async for key, value in self._read(self._settings.drift_state_topic, None)}
        mine = {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}
        checkpoint = msgspec.json.decode(mine.pop("checkpoint", b"{}"), type=Checkpoint)
        states = {}
        for key, value in mine.items():
            _, model, length = key.split("|")
            states[model, int(length)] = value
        return checkpoint, states

    async def recent(self, days: float) -> AsyncIterator[DriftReport]:
        """Reports of the last days, for the page; unreadable ones are passed over."""
        async for _, value in self._read(self._settings.drift_topic, days):
            try:
                yield decode_report(value)
            except msgspec.DecodeError as error:
                log.warning("a report cannot be read", reason=str(error))

    async def _read(self, topic: str, days: float | None) -> AsyncIterator[tuple[str, bytes]]:
        """Keys and values of the topic's one partition, committed, up to its end as it is now."""
        part = TopicPartition(topic, 0)
        consumer = aiokafka.AIOKafkaConsumer(
            **connection(self._settings), isolation_level="read_committed", fetch_max_wait_ms=100
        )
        try:
            await consumer.start()
            consumer.assign([part])
            await self._begin(consumer, part, days)
            end = (await consumer.end_offsets([part]))[part]
            deadline, empty = time.monotonic() + READ_WITHIN_S, 0
            # The last records may be a transaction's markers, which are never seen: two looks without any is the end.
            while await consumer.position(part) < end and empty < 2:
                if time.monotonic() > deadline:
                    raise Unavailable(f"{topic} was not read to its end within {READ_WITHIN_S:.0f} s")
                messages = (await consumer.getmany(part, timeout_ms=500)).get(part, [])
                empty = 0 if messages else empty + 1
                for message in messages:
                    yield (message.key or b"").decode(), message.value or b""
        except (KafkaError, OSError) as error:
            raise Unavailable(f"{topic} cannot be read: {error!r}") from error
        finally:
            await consumer.stop()

    async def _begin(self, consumer: aiokafka.AIOKafkaConsumer, part: TopicPartition, days: float | None) -> None:
        if days is None:
            await consumer.seek_to_beginning(part)
            return
        since = int((time.time() - days * 86_400) * 1000)
        found: dict[Any, Any] = await consumer.offsets_for_times({part: since})
        if found.get(part):
            consumer.seek(part, found[part].offset)
        else:
            await consumer.seek_to_end(part)
