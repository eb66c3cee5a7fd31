"""Ways to a real Redis that do not wait long."""

from riskstream.workers.history_store import HistoryStore
from riskstream.workers.redis_line import connect


def quick_store(url: str, give_up_ms: int = 300, timeout_ms: int = 100) -> HistoryStore:
    return HistoryStore(connect(url, timeout_ms), ttl_ms=60_000, give_up_ms=give_up_ms, probe_ms=100)
