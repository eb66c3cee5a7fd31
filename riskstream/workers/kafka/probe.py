"""A fresh reader, to tell a place that nobody can read from a client that no longer reads."""

import time
from threading import Thread
from typing import Literal

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from riskstream.workers.errors import Unavailable
from riskstream.workers.kafka.config import consumer_config
from riskstream.workers.kafka.offsets import REQUEST_TIMEOUT_S
from riskstream.workers.settings import Settings

log = structlog.get_logger(__name__)

PROBE_S = 5.0
"""A place that gives neither a record nor an error for so long, while the broker answers, cannot be read."""

CLOSE_S = 5.0
"""A reader that takes longer to close is left behind."""

HALTING = {
    KafkaError._AUTO_OFFSET_RESET: "the log no longer has the offset to read next, retention overtook the group",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the broker does not let this user read the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "the broker does not let this user join the group",
    KafkaError._BAD_MSG: "a record batch is damaged",
    KafkaError._BAD_COMPRESSION: "a record batch cannot be decompressed",
}
"""Errors that do not go away by themselves."""

Found = Literal["record", "end", "error", "nothing"]


def probe(settings: Settings, number: int, offset: int) -> Found:
    """What comes when reading begins at `offset`; `end` where only markers and aborted records are left.

    Raises Unavailable if the broker is away.
    """
    place = TopicPartition(settings.input_topic, number, offset)
    consumer = Consumer({**consumer_config(settings), "enable.partition.eof": True})
    try:
        consumer.assign([place])
        deadline = time.monotonic() + PROBE_S
        while (left := deadline - time.monotonic()) > 0:
            if (message := consumer.poll(left)) is None:
                continue
            if (error := message.error()) is None:
                return "record"
            if error.code() == KafkaError._PARTITION_EOF:
                return "end"
            if error.code() in HALTING:
                return "error"
        consumer.get_watermark_offsets(place, timeout=REQUEST_TIMEOUT_S, cached=False)
    except KafkaException as error:
        raise Unavailable(f"the broker does not answer: {error}") from error
    finally:
        _close(consumer)
    return "nothing"


def _close(consumer: Consumer) -> None:
    """Now and then librdkafka locks itself out for ever when it is told to end in the middle of a damaged batch: it is
    about to reset the offset, and on the way out its broker thread takes a partition's lock twice."""
    closing = Thread(target=consumer.close, name="close", daemon=True)
    closing.start()
    closing.join(CLOSE_S)
    if closing.is_alive():
        log.warning("a reader could not be closed and is left behind")
