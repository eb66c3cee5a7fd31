"""Simulated payments as records with a partition, malformed ones among them."""

from functools import cache

from riskstream.models.simulation import SimulationConfig, simulate
from riskstream.models.simulation.log import SimulatedLog
from riskstream.schemas.partitioner import partitions_of
from riskstream.workers.simulate import messages

Record = tuple[int, bytes | None, bytes | None]


@cache
def log_of(events: int = 3_000, users: int = 60, seed: int = 11) -> SimulatedLog:
    """Few users over many days, so that windows fill; some events twice, some late."""
    return simulate(
        SimulationConfig(seed=seed, users=users, events=events, days=45, repeat_share=0.01, disorder_share=0.02)
    )


def records_of(log: SimulatedLog, partitions: int, malformed_share: float = 0.02, seed: int = 3) -> list[Record]:
    """Each on the partition of the contract, which is not where librdkafka would put it by itself."""
    found = list(messages(log, malformed_share, seed))
    places = partitions_of([message.key or b"" for message in found], partitions).tolist()
    return [(place, message.key, message.value) for place, message in zip(places, found, strict=True)]
