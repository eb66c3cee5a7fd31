"""`riskstream offsets`: how far the group has come, and letting it go on behind a place that cannot be read.

What is skipped is never scored. So that it is not lost silently, a record of the gap goes to the dead letters in the
same transaction, and the gap stays noted beside the group's offset: no worker ever reads it, to build histories either.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.table import Table

from riskstream.schemas.dead_letter import gap_headers
from riskstream.schemas.gaps import LONGEST_NOTE, Gap, encode_gaps
from riskstream.schemas.history import Applied, Keys
from riskstream.workers.errors import Halt, Unavailable
from riskstream.workers.history_store import HistoryStore
from riskstream.workers.kafka.admin import describe_topics
from riskstream.workers.kafka.group import Group
from riskstream.workers.kafka.offsets import Span
from riskstream.workers.redis_line import connect
from riskstream.workers.settings import Settings


@dataclass(frozen=True)
class Skip:
    """What is to be skipped: the gap in a partition, and the gaps that the group knows then."""

    partition: int
    gap: Gap
    note: str

    @property
    def words(self) -> str:
        count = self.gap.end - self.gap.start
        return f"partition {self.partition}: {count:,} offsets, {self.gap.start} to {self.gap.end - 1}"


def offsets_table(settings: Settings) -> Table:
    """Each partition's log, the group's offset in it and how far Redis has come. Raises Unavailable, Halt."""
    with Group(settings) as group:
        spans, members = group.spans(range(_partitions(settings))), group.members()
    applied = _applied(settings, spans)
    table = Table("partition", "log start", "group", "log end", "lag", "in Redis", "skipped", title_justify="left")
    table.title = f"Group {settings.group} on {settings.input_topic}, {len(members)} running"
    for number, span in spans.items():
        at = span.committed
        lag = span.log_end - (span.log_start if at is None else at)
        skipped = ", ".join(f"{gap.start}-{gap.end - 1}" for gap in span.gaps)
        cells = number, span.log_start, "-" if at is None else at, span.log_end, lag, applied.get(number, "-"), skipped
        table.add_row(*map(str, cells))
    return table


def plan_skip(settings: Settings, partition: int, end: int | None, on_probe: Callable[[int], None]) -> Skip:
    """What to skip from the group's offset on, up to `end` or, by default, the first offset that can be read.

    Raises Halt with what to do instead, Unavailable.
    """
    with Group(settings) as group:
        if members := group.members():
            raise Halt(
                f"group {settings.group} is running: {', '.join(members)}. Stop all its workers first; "
                "one that was killed leaves the group after its session timeout."
            )
        span = group.spans(range(_partitions(settings))).get(partition)
        if span is None:
            raise Halt(f"topic {settings.input_topic} has no partition {partition}.")
        start = span.log_start if span.committed is None else span.committed
        if end is None:
            end = _behind(group, partition, span, start, on_probe)
    if not start < end <= span.log_end:
        raise Halt(
            f"partition {partition}: the group goes on at offset {start} and the log ends at {span.log_end}, "
            f"so --to must be from {start + 1} to {span.log_end}."
        )
    note = encode_gaps([*span.gaps, Gap(start, end)])
    if len(note) > LONGEST_NOTE:
        raise Halt(f"partition {partition} has too many gaps to note them all beside the group's offset.")
    return Skip(partition, Gap(start, end), note)


def carry_out(settings: Settings, skip: Skip, by: str, reason: str, now: datetime) -> None:
    """Record the gap and move the group, in one transaction. Raises Halt, Unavailable."""
    headers = gap_headers(settings.input_topic, skip.partition, skip.gap, by, reason, now.astimezone(UTC).isoformat())
    record = (settings.dead_letter_topic, skip.partition, None, None, headers)
    with Group(settings) as group:
        group.skip(record, skip.gap.end, skip.note)


def _behind(group: Group, partition: int, span: Span, start: int, on_probe: Callable[[int], None]) -> int:
    if start < span.log_start:
        return span.log_start
    if start >= span.log_end:
        raise Halt(f"partition {partition}: the group has come to the end, there is nothing to skip.")
    on_probe(start)
    if group.readable(partition, start):
        raise Halt(f"partition {partition} can be read at offset {start}. To skip it all the same, say where to: --to.")
    end = group.first_readable(partition, start, span.log_end, on_probe)
    if end is None:
        raise Halt(
            f"partition {partition}: nothing from offset {start} to the end of the log can be read. "
            f"Say where to: --to {span.log_end} goes on with what is still to come."
        )
    return end


def _partitions(settings: Settings) -> int:
    topic = describe_topics(settings, (settings.input_topic,)).get(settings.input_topic)
    if topic is None:
        raise Halt(f"there is no topic {settings.input_topic} on the broker. See RISKSTREAM_INPUT_TOPIC.")
    return topic.partitions


def _applied(settings: Settings, spans: Mapping[int, Span]) -> dict[int, int]:
    """The offset of each applied mark; none while Redis is away."""
    store = HistoryStore(
        connect(settings.redis_url, settings.redis_timeout_ms), ttl_ms=0, give_up_ms=settings.redis_give_up_ms
    )
    keys = [Keys.of(settings.history_namespace, settings.input_topic, number) for number in spans]
    try:
        marks = store.applied(keys)
    except Unavailable:
        return {}
    finally:
        store.close()
    return {number: Applied.decode(mark).offset for number, mark in zip(spans, marks, strict=True) if mark}
