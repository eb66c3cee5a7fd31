"""What can go wrong in the world. Each Kafka or Redis error is translated into one of these where its client lives."""

from collections.abc import Iterable


class Unavailable(Exception):
    """Not now: a dependency is away. Bounded retries, then the declared degraded mode or an uncommitted exit."""


class StateLost(Exception):
    """Redis does not hold what this worker believes of these partitions; their state must be taken again."""

    def __init__(self, partitions: Iterable[int], cause: str) -> None:
        self.partitions = sorted(partitions)
        self.cause = cause
        super().__init__(f"partitions {self.partitions}: {cause}")


class Aborted(Exception):
    """The batch's transaction was aborted cleanly: nothing of it is visible or committed."""


class OutcomeUnclear(Exception):
    """Nobody here knows whether the batch's transaction was committed; only the coordinator does."""


class Fenced(OutcomeUnclear):
    """The coordinator refuses this producer's epoch: it waited longer than its transaction, or its slot is shared."""


class Halt(Exception):
    """The worker must stop uncommitted until an operator has done what the message says."""


class RegistryError(Exception):
    """The registry refuses, or holds what cannot be read. The message says why and what to do."""


class UnknownVersion(RegistryError):
    """There is no such model or version."""
