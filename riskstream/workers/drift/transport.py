"""Faust's way to Kafka, changed in three points: it reads committed records only, gives all partitions to one member
of the group, and writes nothing.

Faust itself reads uncommitted records unless it is told to publish by transactions of its own. A window needs every
partition, so a second instance of the sidecar stands by.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import aiokafka
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.transport.drivers import aiokafka as driver

from riskstream.workers.drift.connection import connection
from riskstream.workers.settings import Settings

HOLDER = b"holder"


class OneMember(AbstractPartitionAssignor):  # type: ignore[misc]
    """All partitions to the member that had them before, else to the first by its id."""

    name = "riskstream-one-member"
    version = 0

    def __init__(self) -> None:
        self._holds = False

    def assign(
        self, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        chosen = min(members, key=lambda member: (members[member].user_data != HOLDER, member))
        topics = sorted({topic for metadata in members.values() for topic in metadata.subscription})
        whole = [(topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in topics]
        return {
            member: ConsumerProtocolMemberAssignment(self.version, whole if member == chosen else [], b"")
            for member in members
        }

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(self.version, list(topics), HOLDER if self._holds else b"")

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        self._holds = bool(assignment.assignment)


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    settings: Settings

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        return aiokafka.AIOKafkaConsumer(
            **connection(self.settings),
            group_id=self.settings.drift_group,
            isolation_level="read_committed",
            partition_assignment_strategy=[OneMember()],
            auto_offset_reset="earliest",
            enable_auto_commit=False,  # offsets are committed with the reports, in their transaction
            session_timeout_ms=self.settings.session_timeout_ms,
            heartbeat_interval_ms=max(500, self.settings.session_timeout_ms // 3),
            max_poll_interval_ms=self.settings.max_poll_interval_ms,
            max_poll_records=500,
            fetch_max_wait_ms=200,
        )


class _NoProducer(driver.Producer):
    """Reports go out by a transactional producer of our own; Faust's would only be one more connection."""

    async def on_start(self) -> None: ...

    async def on_stop(self) -> None: ...

    async def flush(self) -> None: ...


def transport_class(settings: Settings) -> type[driver.Transport]:
    """A transport for an app that is run by these settings."""

    class OurConsumer(driver.Consumer):
        def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
            thread = _ConsumerThread(self, loop=self.loop, beacon=self.beacon)
            thread.settings = settings
            return thread

    class Transport(driver.Transport):
        Consumer: ClassVar[Any] = OurConsumer
        Producer: ClassVar[Any] = _NoProducer

    return Transport
