"""What a batch comes from and is joined with, where neither Kafka nor Redis matters."""

from collections.abc import Sequence

from riskstream.workers.errors import Unavailable
from riskstream.workers.history_store import Read, Reply


class NobodyStored:
    """A Redis without histories and profiles, which can be told that profiles have changed, or to be away."""

    down = False

    def __init__(self) -> None:
        self.changed: set[bytes] = set()
        self.is_away = False

    def is_quiet(self) -> bool:
        return not self.changed

    def changed_profiles(self) -> set[bytes]:
        changed, self.changed = self.changed, set()
        return changed

    def exchange(self, writes: Sequence[object], reads: Sequence[Read], profiles: Sequence[object]) -> Reply:
        if self.is_away:
            raise Unavailable("Redis is away")
        return Reply([], [(b"", [None] * len(read.users)) for read in reads], [None] * len(profiles))


class Message:
    """Of a record without headers."""

    def headers(self) -> None:
        return None
