"""Simulated payments as records with a partition, malformed ones among them."""

import zlib
from functools import cache

from riskstream.models.simulation import SimulationConfig, simulate
from riskstream.models.simulation.log import SimulatedLog
from riskstream.workers.simulate import messages

Record = tuple[int, bytes | None, bytes | None]


@cache
def log_of(events: int = 3_000, users: int = 60, seed: int = 11) -> SimulatedLog:
    """Few users over many days, so that windows fill; some events twice, some late."""
    return simulate(
        SimulationConfig(seed=seed, users=users, events=events, days=45, repeat_share=0.01, disorder_share=0.02)
    )


def records_of(log: SimulatedLog, partitions: int, malformed_share: float = 0.02, seed: int = 3) -> list[Record]:
    return [
        (zlib.crc32(message.key or b"") % partitions, message.key, message.value)
        for message in messages(log, malformed_share, seed)
    ]
