"""`riskstream inspect USER`: what Redis holds of a user, in words. Reads only, and scores nothing."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from riskstream.models.domain import Domain, load_domain
from riskstream.models.history import aggregate
from riskstream.schemas.facts import EVENT_TIME, OFFSET
from riskstream.schemas.history import Applied, Keys, decode_histories
from riskstream.workers.history_store import HistoryStore
from riskstream.workers.kafka.admin import describe_topics
from riskstream.workers.redis_line import connect
from riskstream.workers.settings import Settings
from riskstream.workers.settings_sources import SettingsError

SHOWN_FACTS = 20
LARGEST_NUMBER = 10**13  # what is larger in a fact is the hash of an id


@dataclass(frozen=True)
class Holding:
    """The facts of a user in one partition, and up to which offset of the input they are complete."""

    partition: int
    applied: Applied
    facts: NDArray[np.int64]


def inspect_user(settings: Settings, user: str, console: Console) -> int:
    """Print all that is known of `user`; 1 if nothing is. Raises Unavailable, DomainError, SettingsError."""
    domain = load_domain(settings.domain)
    topic = describe_topics(settings, (settings.input_topic,)).get(settings.input_topic)
    if topic is None:
        raise SettingsError([f"RISKSTREAM_INPUT_TOPIC: there is no topic {settings.input_topic} on the broker."])
    client = connect(settings.redis_url, settings.redis_timeout_ms)
    store = HistoryStore(client, ttl_ms=0, give_up_ms=settings.redis_give_up_ms)
    prefixes = [Keys.of(settings.history_namespace, settings.input_topic, number) for number in range(topic.partitions)]
    # Every partition is asked: a producer with another partitioner may have sent some events elsewhere.
    stored = [store.history(keys, user.encode()) for keys in prefixes]
    store.close()
    holdings = [
        holding for number, (mark, raw, _) in enumerate(stored) if (holding := _holding(domain, number, mark, raw))
    ]
    for holding in holdings:
        for table in (facts_table(domain, holding), features_table(domain, holding)):
            console.print(table)
    if len(holdings) > 1:
        console.print("This user's events are in several partitions: their producers partition differently.")
    profile = stored[0][2]
    console.print(profile_table(domain, profile) if profile else "There is no profile of this user.")
    if not holdings:
        console.print(f"There is no history of this user in the {topic.partitions} partitions of {topic.name}.")
    return 0 if holdings or profile else 1


def _holding(domain: Domain, partition: int, mark: bytes | None, raw: bytes | None) -> Holding | None:
    if mark is None or raw is None:
        return None
    applied = Applied.decode(mark)
    facts = decode_histories([raw], domain.layout, applied).facts
    return Holding(partition, applied, facts) if len(facts) else None


def facts_table(domain: Domain, holding: Holding) -> Table:
    """The newest facts by offset, newest first. Ids are kept as hashes and shown as such."""
    count, shown = len(holding.facts), min(len(holding.facts), SHOWN_FACTS)
    title = f"Partition {holding.partition}: {count} facts, complete below offset {holding.applied.offset}"
    table = Table(*domain.layout.words, title=title, title_justify="left")
    table.caption = f"the newest {shown}" if shown < count else None
    for fact in holding.facts[::-1][:shown].tolist():
        table.add_row(*map(_cell, domain.layout.words, fact))
    return table


def features_table(domain: Domain, holding: Holding) -> Table:
    """What the history says, measured right after the user's newest event, as a next event would find it."""
    at = int(holding.facts[:, EVENT_TIME].max())
    values = measure(domain, holding.facts, at)
    table = Table(
        "feature", "value", "unit", "meaning", title=f"History features at {_moment(at)}", title_justify="left"
    )
    for row in domain.features.rows:
        if row.copied and not row.copied.startswith("same_"):  # these compare with an event
            table.add_row(row.name, f"{values[row.copied]:,.6g}", row.unit, row.description)
    return table


def measure(domain: Domain, facts: NDArray[np.int64], at: int) -> dict[str, float]:
    """The history's columns for an event at `at` that is like none before."""
    event = np.zeros((1, facts.shape[1]), np.int64)
    event[0, OFFSET], event[0, EVENT_TIME] = np.iinfo(np.int64).max, at
    flat = np.ascontiguousarray(np.concatenate([facts, event]))
    spec = domain.features.spec
    measured = aggregate(spec, flat, np.zeros(1, np.int64), np.array([len(facts)], np.int64))
    return dict(zip(spec.columns, measured.values[0].tolist(), strict=True))


def profile_table(domain: Domain, raw: bytes) -> Table:
    """The profile's fields as stored; one that a worker cannot read says so."""
    table = Table("field", "value", title="Profile", title_justify="left")
    try:
        fields: dict[str, Any] = msgspec.structs.asdict(msgspec.json.decode(raw, type=domain.profile))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        table.add_row("cannot be read", str(error))
        return table
    for name, value in fields.items():
        is_moment = name.endswith("_at") and value is not None
        table.add_row(name, _moment(value) if is_moment else "" if value is None else str(value))
    return table


def _cell(word: str, value: int) -> str:
    if word == "event_time":
        return _moment(value)
    if word == "country":
        return "".join(chr(ord("A") + letter) for letter in divmod(value - 1, 26)) if value else ""
    return f"{value & 0xFFFF_FFFF_FFFF_FFFF:016x}"[:8] if abs(value) > LARGEST_NUMBER else str(value)


def _moment(epoch_ms: int) -> str:
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
