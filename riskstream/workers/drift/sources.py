"""What still waits in the input for a worker to score it, as the broker tells."""

from collections.abc import Mapping

import structlog

from riskstream.workers.drift.progress import Source
from riskstream.workers.errors import Unavailable
from riskstream.workers.kafka.group import Group
from riskstream.workers.kafka.probe import probe
from riskstream.workers.settings import Settings

log = structlog.get_logger(__name__)


class Sources:
    """Looks at the workers' group. Used by one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._group = Group(settings)
        self._only_markers: dict[int, tuple[int, int]] = {}

    def __call__(self, counted: Mapping[int, int | None]) -> dict[int, Source]:
        """The input partitions of these numbers. Each comes with the offset up to which it is counted, None if nothing
        is. While the broker does not say, nothing is known of any."""
        if not counted:
            return {}
        try:
            spans = self._group.spans(counted)
            scored = {
                number: max(span.log_start, span.committed or 0, counted[number] or 0) for number, span in spans.items()
            }
            return {
                number: Source(span.log_end, self._waiting(number, scored[number], span.log_end))
                for number, span in spans.items()
            }
        except Unavailable as error:
            log.warning("whether partitions are silent is not known", reason=str(error))
            return {}

    def _waiting(self, number: int, scored: int, end: int) -> int:
        """The log may end with markers of transactions and what they aborted, which are never scored."""
        if scored >= end or self._only_markers.get(number) == (scored, end):
            return 0
        if probe(self._settings, number, scored) != "end":
            return end - scored
        self._only_markers[number] = scored, end
        return 0
