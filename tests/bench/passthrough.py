"""Consume, produce, commit, and nothing else, as a process: what is left of a worker without Redis and a model.

The worker's own client settings and delivery modes, two producers in turn as the worker has them.
"""

import sys
from itertools import cycle
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from riskstream.workers.kafka.config import consumer_config, producer_config, transactional_config
from riskstream.workers.settings import Settings, load_settings

WITHIN_S = 30.0


def main() -> int:
    settings = load_settings()
    consumer = Consumer({**consumer_config(settings), "auto.offset.reset": "earliest"})
    consumer.subscribe([settings.input_topic])
    send = _exactly_once(settings, consumer) if settings.delivery == "exactly_once" else _flushed(settings, consumer)
    while True:
        first = consumer.poll(0.1)
        if first is not None:
            send([first, *consumer.consume(settings.max_batch - 1, 0)])


def _exactly_once(settings: Settings, consumer: Consumer) -> Any:
    producers = [Producer(transactional_config(settings, turn)) for turn in ("a", "b")]
    for producer in producers:
        producer.init_transactions(WITHIN_S)
    turns = cycle(producers)

    def send(messages: list[Message]) -> None:
        producer = next(turns)
        producer.begin_transaction()
        _produce(producer, settings.output_topic, messages)
        producer.send_offsets_to_transaction(_next(messages), consumer.consumer_group_metadata(), WITHIN_S)
        producer.commit_transaction(WITHIN_S)

    return send


def _flushed(settings: Settings, consumer: Consumer) -> Any:
    producer = Producer(producer_config(settings))

    def send(messages: list[Message]) -> None:
        _produce(producer, settings.output_topic, messages)
        producer.flush(WITHIN_S)
        consumer.commit(offsets=_next(messages), asynchronous=False)

    return send


def _produce(producer: Producer, topic: str, messages: list[Message]) -> None:
    for message in messages:
        producer.produce(topic, message.value(), message.key(), message.partition() or 0)


def _next(messages: list[Message]) -> list[TopicPartition]:
    ends = {(message.topic(), message.partition()): message.offset() for message in messages}
    return [TopicPartition(topic or "", number or 0, (offset or 0) + 1) for (topic, number), offset in ends.items()]


if __name__ == "__main__":
    sys.exit(main())
