"""A producer as an upstream service would have one: no transactions, keyed and partitioned as the contract says."""

from confluent_kafka import Producer

from riskstream.workers.kafka.config import common_config
from riskstream.workers.settings import Settings


def upstream_producer(settings: Settings) -> Producer:
    """For the simulator. Java's partitioner, since one user's events must be in one partition whoever sends them."""
    return Producer(
        {
            **common_config(settings),
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            "log_level": 3,  # it retries by itself; what is not delivered is counted
        }
    )
