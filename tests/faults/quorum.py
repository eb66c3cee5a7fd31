"""A broker whose controller is another process, as in any real cluster, so that the broker alone can be killed.

Kafka's transaction coordinator takes a partition without a leader for a deleted one, and leaves its transaction open.
In a cluster of several another replica leads at once. A lone broker must see to it that nobody leads only while it is
away: it does not hand its partitions over to nobody before it stops, and it stays away until its controller has given
it up, or it would go on by its old log, and end transactions while the controller says that nobody leads.
"""

import time
from pathlib import Path

from riskstream.deploy.stack import LocalStack
from riskstream.deploy.stack.kafka import Broker

SESSION_S = 18.0
"""A broker that is paused for less is not given up."""
NOTICED_S = 1.5
"""The controller looks once a second whose session is over."""


class Controller(Broker):
    """Knows who leads what; holds no records."""

    name = "controller"

    def __init__(self, data_dir: Path, session_s: float) -> None:
        super().__init__(data_dir, heap_mib=128)
        self.session = {"broker.session.timeout.ms": f"{session_s * 1000:.0f}"}

    def _properties(self) -> dict[str, str]:
        _, port = self._ports()
        here = f"CONTROLLER://127.0.0.1:{port}"
        roles = {"process.roles": "controller", "node.id": "100", "listeners": here, "advertised.listeners": here}
        return {**super()._properties(), **self.session, **roles}

    @property
    def quorum_port(self) -> int:
        return self._ports()[1]


class ControlledBroker(Broker):
    """`kill`, `pause` and `restart` are the broker's alone; `start` and `stop` are for both."""

    quorum = "--no-initial-controllers"

    def __init__(self, data_dir: Path, session_s: float = SESSION_S) -> None:
        super().__init__(data_dir)
        self.controller = Controller(data_dir / "controller", session_s)
        self.given_up_s = session_s + NOTICED_S
        self._may_start_at = 0.0

    def start(self) -> None:
        if not self.controller.running:
            self.controller.start()
        time.sleep(max(0.0, self._may_start_at - time.monotonic()))
        super().start()

    def kill(self) -> None:
        super().kill()
        self._may_start_at = time.monotonic() + self.given_up_s

    def stop(self) -> None:
        self.leave()
        self.controller.stop()

    def leave(self) -> None:
        """SIGTERM, and wait. `start` makes it come back."""
        super().stop()
        self._may_start_at = time.monotonic() + self.given_up_s

    def restart(self) -> None:
        self.leave()
        self.start()

    def _properties(self) -> dict[str, str]:
        port = self.controller.quorum_port
        whole = super()._properties()
        doors = {
            key: ",".join(door for door in whole[key].split(",") if not door.startswith("CONTROLLER"))
            for key in ("listeners", "advertised.listeners")
        }
        bootstrap = {"controller.quorum.bootstrap.servers": f"127.0.0.1:{port}"}
        alone = {"process.roles": "broker", "controlled.shutdown.enable": "false"}
        # The judge reads every offset that was ever committed: nothing is compacted.
        return {**whole, **doors, **bootstrap, **self.controller.session, **alone, "log.cleaner.enable": "false"}


class ControlledStack(LocalStack):
    """The local stack with such a broker."""

    broker: ControlledBroker

    def __init__(self, data_dir: Path, session_s: float = SESSION_S) -> None:
        super().__init__(data_dir)
        self.broker = ControlledBroker(data_dir / "kafka", session_s)
