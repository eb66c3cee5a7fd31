"""Gaps: offsets of the input that an operator skipped, so that nobody ever reads them again.

They are kept as the metadata of the group's committed offset, `gaps=100-104,230-231`, each from its first offset up to
the one after its last. So they are as durable as the offset itself, and change in the same transaction.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

_PREFIX = "gaps="
_NOTE = re.compile(rf"{_PREFIX}\d+-\d+(,\d+-\d+)*")

LONGEST_NOTE = 4_096
"""Characters of metadata that a broker takes, unless it was told otherwise (`offset.metadata.max.bytes`)."""


class Gap(NamedTuple):
    """Skipped offsets: `start`, and all below `end`."""

    start: int
    end: int


def encode_gaps(gaps: Iterable[Gap]) -> str:
    """The note for a committed offset; gaps that touch become one. No gaps are an empty note."""
    joined: list[Gap] = []
    for start, end in sorted(gaps):
        if joined and start <= joined[-1].end:
            joined[-1] = Gap(joined[-1].start, max(joined[-1].end, end))
        else:
            joined.append(Gap(start, end))
    return _PREFIX + ",".join(f"{gap.start}-{gap.end}" for gap in joined) if joined else ""


def decode_gaps(note: str | None) -> tuple[Gap, ...]:
    """The gaps in a committed offset's metadata; none if the metadata is something else's."""
    if not note or not _NOTE.fullmatch(note):
        return ()
    pairs = (pair.split("-") for pair in note.removeprefix(_PREFIX).split(","))
    return tuple(Gap(int(start), int(end)) for start, end in pairs)


def past(gaps: Iterable[Gap], offset: int) -> int:
    """The first offset from `offset` on that lies in no gap."""
    for gap in sorted(gaps):
        if gap.start <= offset < gap.end:
            offset = gap.end
    return offset
