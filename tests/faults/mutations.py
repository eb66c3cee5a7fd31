"""Mechanisms taken out, one at a time, and the named fault that must notice: see `make mutants`."""

from pathlib import Path
from typing import NamedTuple

WORKERS = Path("riskstream/workers")


class Mutation(NamedTuple):
    """`old` stands exactly once in `file` and becomes `new`. `caught_by` is the node of a test."""

    mechanism: str
    file: Path
    old: str
    new: str
    caught_by: str


WITHOUT_MEMBERSHIP = """at, __import__("confluent_kafka").Consumer(
            {"bootstrap.servers": self._settings.bootstrap_servers, "group.id": self._settings.group}
        ).consumer_group_metadata(), self._timeout_s)"""

MUTATIONS = (
    Mutation(
        "offsets are fenced by the group's metadata",
        WORKERS / "kafka/output.py",
        "at, group, self._timeout_s)",
        WITHOUT_MEMBERSHIP,
        "test_zombies.py::test_one_that_wakes_before_its_offsets_are_sent[classic]",
    ),
    Mutation(
        "a batch is aborted whose partitions were lost while it was scored",
        WORKERS / "kafka/output.py",
        "at, group, self._timeout_s)",
        WITHOUT_MEMBERSHIP,
        "test_zombies.py::test_one_that_wakes_while_it_reads_and_learns_that_it_was_expelled",
    ),
    Mutation(
        "read_committed on the input: aborted records are not scored",
        WORKERS / "kafka/config.py",
        '"isolation.level": "read_committed",',
        '"isolation.level": "read_uncommitted",',
        "test_upstream.py::test_what_upstream_has_aborted_is_not_scored",
    ),
    Mutation(
        "read_committed on the input: committed offsets are settled ones",
        WORKERS / "kafka/config.py",
        '"isolation.level": "read_committed",',
        '"isolation.level": "read_uncommitted",',
        "test_zombies.py::test_a_commit_that_arrives_while_another_takes_over",
    ),
    Mutation(
        "a batch is committed before the next is produced",
        WORKERS / "kafka/output.py",
        "            producer.commit_transaction(self._timeout_s)\n",
        """            if "later" not in self.__dict__:
                from concurrent.futures import ThreadPoolExecutor
                self.pool, self.later = ThreadPoolExecutor(2), None
            before, self.later = self.later, self.pool.submit(producer.commit_transaction, self._timeout_s)
            if before:
                before.result()
""",
        "test_network.py::test_between_worker_and_broker[a batch's records come late]",
    ),
    Mutation(
        "state is taken again after an abort",
        WORKERS / "loop.py",
        '                self._doubt_batch("aborted", str(error))\n',
        "",
        "test_network.py::test_between_worker_and_broker[a batch is refused once]",
    ),
    Mutation(
        "new producers settle an unclear commit before anything is taken again",
        WORKERS / "loop.py",
        "        if doubt.renew:\n",
        """        if doubt.renew and doubt.cause == "unclear":
            self.source.seek({number: each.position for number, each in self.working_set.partitions.items()})
            self._doubt = None
            return
        if doubt.renew:
""",
        "test_network.py::test_between_worker_and_broker[the answer to a commit is lost]",
    ),
    Mutation(
        "the applied mark moves by compare-and-set",
        WORKERS / "history_store.py",
        "if mark ~= ARGV[1] then return mark end\n",
        "",
        "test_redis.py::test_emptied",
    ),
    Mutation(
        "the mark is read with the histories",
        WORKERS / "join.py",
        "            if mark != partition.mark:\n",
        "            if False:\n",
        "test_redis.py::test_emptied_just_after_a_start",
    ),
    Mutation(
        "records below the committed offset are facts only",
        WORKERS / "scoring.py",
        "partitions[n].position < partitions[n].live_from]",
        "partitions[n].position < 0]",
        "test_kill_points.py::test_a_worker_killed_at[half-way through the Redis write]",
    ),
)
