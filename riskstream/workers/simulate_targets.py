"""The simulator's ends in this environment: the input topic, Redis and files of the settings. For the command line."""

from pathlib import Path

import typer

from riskstream.models.simulation import SimulatedLog, SimulationConfig
from riskstream.workers.errors import Unavailable
from riskstream.workers.history_store import HistoryStore
from riskstream.workers.kafka.upstream import upstream_producer
from riskstream.workers.redis_line import connect
from riskstream.workers.settings import Settings
from riskstream.workers.simulate import (
    Pace,
    encode_profiles,
    messages,
    profiles_to_parquet,
    progress_bar,
    to_parquet,
    to_topic,
)


def send(settings: Settings, log: SimulatedLog, malformed_share: float, seed: int, rate: float | None) -> int:
    """Send the log to the input topic. Raises Unavailable if the broker did not take all of it."""
    records = messages(log, malformed_share, seed)
    with progress_bar(f"to {settings.input_topic}", len(records)) as advance:
        sent = to_topic(upstream_producer(settings), settings.input_topic, records, Pace(rate), advance)
    if sent.undelivered:
        raise Unavailable(f"{sent.undelivered} of {sent.sent} records were not acknowledged by the broker")
    typer.echo(f"{sent.delivered} records are in {settings.input_topic}")
    return 0


def profiles_to_redis(settings: Settings, log: SimulatedLog) -> None:
    """Write the customers' profiles to where workers read them. Raises Unavailable."""
    store = HistoryStore(connect(settings.redis_url, settings.redis_timeout_ms), ttl_ms=0)
    store.put_profiles(encode_profiles(log))
    store.close()
    typer.echo(f"{len(log.profiles)} profiles are in Redis")


def write_parquet(path: Path, log: SimulatedLog, config: SimulationConfig) -> None:
    """Write the log with its labels and the times at which they became known."""
    to_parquet(path, log, config)
    typer.echo(f"{len(log.events)} events are in {path}")


def write_profiles(path: Path, log: SimulatedLog, days: int) -> None:
    """Write the profiles as they were on each day."""
    typer.echo(f"{profiles_to_parquet(path, log, days)} profiles are in {path}")
