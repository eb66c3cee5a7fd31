"""The layout of a fact: a fixed-width record of one event, a row of little-endian int64 words.

The first three words are the same in every domain; a domain names the rest. The position of a word is its
contract: words are only ever added at the end, together with a new layout version.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

OFFSET, EVENT_TIME, EVENT_HASH = 0, 1, 2
COMMON_WORDS = ("offset", "event_time", "event_hash")
WORD = np.dtype("<i8")


@dataclass(frozen=True)
class FactLayout:
    """Names of the words of a domain's fact, in order, and the version that guards stored bytes."""

    name: str
    version: int
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[:3] != COMMON_WORDS:
            raise ValueError(f"fact layout {self.name}: the first words must be {COMMON_WORDS}, not {self.words[:3]}")

    @cached_property
    def size(self) -> int:
        """Bytes of one fact."""
        return len(self.words) * WORD.itemsize

    def index(self, word: str) -> int:
        return self.words.index(word)
