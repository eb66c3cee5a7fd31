"""What every measurement needs: the running stack, the bundles, a folder, and workloads made once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from riskstream.deploy.stack import LocalStack
from riskstream.models.domain import Domain
from riskstream.workers.settings import Settings, load_settings
from tests.bench.workload import Shape, Workload, make_workload

TREES = 300


@dataclass(frozen=True)
class World:
    """`bundles`: by number of trees. `wanted`: worker settings to measure with, besides the bench's own."""

    stack: LocalStack
    folder: Path
    domain: Domain
    bundles: Mapping[int, Path]
    wanted: Mapping[str, str]
    _made: dict[Shape, Workload] = field(default_factory=dict)

    def workload(self, shape: Shape) -> Workload:
        if shape not in self._made:
            self._made.clear()  # one at a time: they are large
            self._made[shape] = make_workload(shape, self.domain)
        return self._made[shape]

    def environment(self, name: str, more: Mapping[str, str] | None = None, trees: int = TREES) -> dict[str, str]:
        """A worker's settings on the topics of `name`, without their prefix."""
        source, scores, dead = topics_of(name)
        return {
            "BOOTSTRAP_SERVERS": self.stack.bootstrap_servers,
            "REDIS_URL": self.stack.redis_url,
            "BUNDLE": str(self.bundles[trees]),
            "GROUP": name,
            "INPUT_TOPIC": source,
            "OUTPUT_TOPIC": scores,
            "DEAD_LETTER_TOPIC": dead,
            "STATS_TOPIC": f"{name}-stats",
            "HEALTH_PORT": "0",
            "LOG_IS_COMPLETE": "true",
            "SESSION_TIMEOUT_MS": "15000",  # workers are paused while their backlog is loaded
            **self.wanted,
            **(more or {}),
        }

    def settings(self, name: str, **more: str) -> Settings:
        """The same for what runs in this process."""
        given = self.environment(name, more)
        return load_settings(slot="bench", **{key.lower(): value for key, value in given.items()})


def topics_of(name: str) -> tuple[str, str, str]:
    """Input, scores, dead letters."""
    return f"{name}-in", f"{name}-scores", f"{name}-dead"
