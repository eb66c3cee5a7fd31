"""What to simulate, and the streams of chance: one per part, so a change in one leaves the others as they were."""

from dataclasses import dataclass

import numpy as np

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000


@dataclass(frozen=True)
class SimulationConfig:
    """The same value gives the same log, event for event."""

    seed: int = 7
    users: int = 2_000
    events: int = 100_000  # in all: honest, fraudulent and repeated
    days: int = 30
    start_ms: int = 1_788_220_800_000  # 2026-09-01 UTC
    fraud_share: float = 0.01
    repeat_share: float = 0.0  # the same event sent again, up to an hour later
    disorder_share: float = 0.0  # events that reach the log up to five minutes after their time

    def __post_init__(self) -> None:
        if min(self.users, self.events, self.days) < 1:
            raise ValueError("a simulation needs at least one user, one event and one day")
        for name in ("fraud_share", "repeat_share", "disorder_share"):
            if not 0.0 <= getattr(self, name) <= 0.5:
                raise ValueError(f"{name} must lie between 0 and 0.5")

    @property
    def span_ms(self) -> int:
        return self.days * DAY_MS

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.span_ms

    def chance(self, part: str) -> np.random.Generator:
        """The random stream of one part."""
        return np.random.default_rng([self.seed, *part.encode()])
