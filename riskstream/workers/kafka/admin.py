"""Topics: what they are, and making those a worker needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from riskstream.workers.errors import Unavailable
from riskstream.workers.kafka.config import common_config
from riskstream.workers.settings import Settings

TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Topic:
    """A topic as the broker describes it. `max_message_bytes` bounds what can be written to it."""

    name: str
    topic_id: str
    partitions: int
    max_message_bytes: int


def describe_topics(settings: Settings, names: tuple[str, ...]) -> dict[str, Topic]:
    """The existing ones of `names`. Raises Unavailable when no broker answers."""
    client = AdminClient(common_config(settings))
    try:
        futures = client.describe_topics(TopicCollection(list(names)), request_timeout=TIMEOUT_S)
        found = {name: future.result(TIMEOUT_S) for name, future in futures.items() if _exists(future)}
        limits = _message_limits(client, found) if found else {}
    except (KafkaException, TimeoutError) as error:
        raise Unavailable(f"no broker at {settings.bootstrap_servers} describes the topics: {error}") from error
    return {
        name: Topic(name, str(topic.topic_id), len(topic.partitions), limits[name]) for name, topic in found.items()
    }


def create_topics(
    settings: Settings, partitions: Mapping[str, int], replication: int, config: Mapping[str, str]
) -> None:
    """Make topics with the given numbers of partitions. Raises Unavailable with the broker's reason."""
    client = AdminClient(common_config(settings))
    new = [NewTopic(name, count, replication, config=dict(config)) for name, count in partitions.items()]
    try:
        for future in client.create_topics(new, request_timeout=TIMEOUT_S).values():
            future.result(TIMEOUT_S)
    except (KafkaException, TimeoutError) as error:
        raise Unavailable(f"topics were not created: {error}") from error


def _exists(future: object) -> bool:
    try:
        future.result(TIMEOUT_S)  # type: ignore[attr-defined]
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return False
        raise
    return True


def _message_limits(client: AdminClient, names: Mapping[str, object]) -> dict[str, int]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    futures = client.describe_configs(resources, request_timeout=TIMEOUT_S)
    return {
        resource.name: int(future.result(TIMEOUT_S)["max.message.bytes"].value) for resource, future in futures.items()
    }
