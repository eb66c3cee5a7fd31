"""A window of event time as the verdicts see it: sums of sketches, and how much of the input they cover."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from riskstream.models.drift.sketch import Sketch


@dataclass(frozen=True, eq=False)
class Window:
    """What all workers counted of one model's events with `start` <= event time < `end`, epoch milliseconds.

    `segments` (such as "channel=web") and `partitions` (of the input) each split `whole`; both are sorted and leave
    out what has no events; `segments` is empty if workers count none. `dead_letters` counts by reason, by the time of
    the record. `coverage` is the share of the input's partitions that had passed the window's end when it was closed;
    `unseen` the number of offsets by partition that no committed record of stats covers (a worker died before it had
    published them): an upper bound of the events that are missing here.
    """

    model: str
    start: int
    end: int
    whole: Sketch
    segments: Mapping[str, Sketch] = field(default_factory=dict)
    partitions: Mapping[int, Sketch] = field(default_factory=dict)
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    coverage: float = 1.0
    unseen: Mapping[int, int] = field(default_factory=dict)

    @property
    def length_ms(self) -> int:
        return self.end - self.start
