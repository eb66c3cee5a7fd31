"""A broker whose controller is another process, as in any real cluster, so that the broker alone can be killed.

A lone Kafka that is both comes back from kill -9 with leaders that are nobody for a moment, while its transaction
coordinator already ends what was under way: it takes such partitions for deleted and leaves their transactions open.
"""

from pathlib import Path

from riskstream.deploy.stack.kafka import Broker

# A broker that is paused is not given up: with nobody to take over, its partitions would be without a leader, which
# the coordinator takes for deleted too. In a cluster of several, another replica leads.
PATIENCE = {"broker.session.timeout.ms": "18000"}


class Controller(Broker):
    """Knows who leads what; holds no records."""

    name = "controller"

    def _properties(self) -> dict[str, str]:
        _, port = self._ports()
        here = f"CONTROLLER://127.0.0.1:{port}"
        roles = {"process.roles": "controller", "node.id": "100", "listeners": here, "advertised.listeners": here}
        return {**super()._properties(), **PATIENCE, **roles}

    @property
    def quorum_port(self) -> int:
        return self._ports()[1]


class ControlledBroker(Broker):
    """`kill`, `pause` and `restart` are the broker's alone; `start` and `stop` are for both."""

    quorum = "--no-initial-controllers"

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.controller = Controller(data_dir / "controller", heap_mib=128)

    def start(self) -> None:
        if not self.controller.running:
            self.controller.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self.controller.stop()

    def restart(self) -> None:
        super().stop()
        super().start()

    def _properties(self) -> dict[str, str]:
        port = self.controller.quorum_port
        whole = super()._properties()
        doors = {
            key: ",".join(door for door in whole[key].split(",") if not door.startswith("CONTROLLER"))
            for key in ("listeners", "advertised.listeners")
        }
        bootstrap = {"controller.quorum.bootstrap.servers": f"127.0.0.1:{port}"}
        # The judge reads every offset that was ever committed: nothing is compacted.
        return {**whole, **doors, **bootstrap, **PATIENCE, "process.roles": "broker", "log.cleaner.enable": "false"}
