"""A topic read once from end to end, committed records only. In no group, commits nothing."""

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from riskstream.workers.errors import Unavailable
from riskstream.workers.kafka.admin import describe_topics
from riskstream.workers.kafka.config import common_config
from riskstream.workers.settings import Settings
from riskstream.workers.settings_sources import SettingsError

POLL_S = 1.0
MOST = 10_000


def committed_values(settings: Settings, topic: str) -> Iterator[bytes]:
    """The values of all records that are there, partition by partition in order. Raises Unavailable, SettingsError."""
    found = describe_topics(settings, (topic,)).get(topic)
    if found is None:
        raise SettingsError([f"there is no topic {topic} on the broker"])
    consumer = Consumer(
        {
            **common_config(settings),
            **settings.kafka_consumer_extra,
            "group.id": f"{settings.group}-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in range(found.partitions)])
        yield from _to_the_end(consumer, found.partitions, settings.kafka_give_up_ms / 1000)
    finally:
        consumer.close()


def _to_the_end(consumer: Consumer, partitions: int, give_up_s: float) -> Iterator[bytes]:
    """librdkafka retries by itself; what is left is to give up when nothing has come for too long."""
    ended: set[int | None] = set()
    heard = time.monotonic()
    while len(ended) < partitions:
        for message in consumer.consume(MOST, POLL_S):
            error, value = message.error(), message.value()
            if error is None:
                heard = time.monotonic()
                if value is not None:
                    yield value
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            elif error.fatal():
                raise Unavailable(f"the topic cannot be read: {error.str()}") from KafkaException(error)
        if time.monotonic() - heard > give_up_s:
            raise Unavailable(f"the brokers gave nothing for {give_up_s:.0f} s")
