"""The topics a worker and the sidecar need: what they should be like, making them, saying where others differ."""

import time
from dataclasses import dataclass

from riskstream.workers.errors import Unavailable
from riskstream.workers.kafka.admin import Topic, create_topics, describe_topics
from riskstream.workers.settings import Settings

DAY_MS = 86_400_000
PARTITIONS = 12
REPORTS_KEPT_DAYS = 30
BROKER_DEFAULT = -1
SHOWN_WITHIN_S = 10.0
HEADROOM = 65_536
"""Bytes by which a dead letter may be larger than its original: the headers that say why."""


@dataclass(frozen=True)
class Wish:
    """What was asked for. `partitions` None: as many as the input topic has. `replication` -1: the broker's default."""

    partitions: int | None = None
    replication: int = BROKER_DEFAULT
    input_retention_days: int = 31


@dataclass(frozen=True)
class Outcome:
    """What became of one topic: `state` is created, exists or differs; `note` says what differs."""

    topic: str
    partitions: int
    state: str
    note: str = ""


def ensure_topics(settings: Settings, wish: Wish) -> list[Outcome]:
    """Make the topics that are missing and look at the others; these are never changed. Raises Unavailable.

    A worker's topics have one number of partitions: a score goes to the partition that its event came from, and adding
    partitions would cut users off from their histories. The sidecar's have one, since one instance writes them.
    """
    names = (*settings.topics, *(settings.drift_topics if settings.stats else ()))
    found = describe_topics(settings, names)
    source = found.get(settings.input_topic)
    worker_partitions = wish.partitions or (source.partitions if source else PARTITIONS)
    partitions = {name: worker_partitions if name in settings.topics else 1 for name in names}
    made = dict(found)
    for name in names:  # the input first: what it takes, the dead letters must take too
        if name not in found:
            config = _config(settings, wish, name, made.get(settings.input_topic))
            create_topics(settings, {name: partitions[name]}, wish.replication, config)
            made[name] = _described(settings, name)
    source = made[settings.input_topic]
    return [_outcome(made[name], partitions[name], name in found, source, settings) for name in names]


def _described(settings: Settings, name: str) -> Topic:
    """A topic that was just made; the broker that is asked may not have heard of it yet."""
    deadline = time.monotonic() + SHOWN_WITHIN_S
    while not (topic := describe_topics(settings, (name,)).get(name)):
        if time.monotonic() > deadline:
            raise Unavailable(f"topic {name} was made, but the broker does not show it")
        time.sleep(0.2)
    return topic


def _config(settings: Settings, wish: Wish, name: str, source: Topic | None) -> dict[str, str]:
    config = {}
    if wish.replication >= 3:
        config["min.insync.replicas"] = "2"  # an acknowledged score survives the loss of a broker
    if name == settings.input_topic:
        # Histories are rebuilt from the input after a loss of Redis, so it should reach back over their horizon.
        config["retention.ms"] = str(wish.input_retention_days * DAY_MS)
    if name == settings.dead_letter_topic and source:
        config["max.message.bytes"] = str(source.max_message_bytes + HEADROOM)
    if name == settings.stats_topic:
        # The broker packs anew what workers pack with lz4: the sidecar's client has no library for that.
        config["compression.type"] = "gzip"
    if name in settings.drift_topics:
        config["cleanup.policy"] = "compact"  # a repeat overwrites
    if name == settings.drift_topic:
        # A window's key never comes again, so compaction alone would keep every report for ever.
        config |= {"cleanup.policy": "compact,delete", "retention.ms": str(REPORTS_KEPT_DAYS * DAY_MS)}
    return config


def _outcome(topic: Topic, partitions: int, existed: bool, source: Topic, settings: Settings) -> Outcome:
    notes = []
    if topic.partitions != partitions:
        notes.append(f"has {topic.partitions} partitions, not {partitions}")
    if topic.name == settings.dead_letter_topic and topic.max_message_bytes <= source.max_message_bytes:
        notes.append(
            f"max.message.bytes is {topic.max_message_bytes}: the largest input records ({source.max_message_bytes}) "
            "do not fit with the headers that say why"
        )
    state = "differs" if notes else "exists" if existed else "created"
    return Outcome(topic.name, topic.partitions, state, "; ".join(notes))
