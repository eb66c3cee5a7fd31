"""The embedded stack: real servers that come up, can be hurt, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from redis import Redis

from riskstream.deploy.stack import LocalStack, RedisServer, StackError, temporary_stack
from riskstream.deploy.stack.local import temporary_folder

STARTER = """
import signal, sys, time
from pathlib import Path
from riskstream.deploy.stack import LocalStack
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has it ignored
with LocalStack(Path(sys.argv[1])) as stack:
    print(stack.broker.pid, stack.redis.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own, and process group, that runs a stack."""
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def own_stack() -> Iterator[LocalStack]:
    """A second stack, beside the shared one."""
    with temporary_stack() as stack:
        yield stack
    assert not stack.data_dir.exists()


def servers(starter: subprocess.Popen[str]) -> list[int]:
    assert starter.stdout
    return [int(pid) for pid in starter.stdout.readline().split()]


def all_end(pids: list[int]) -> bool:
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(psutil.pid_exists(pid) for pid in pids)


def topics(stack: LocalStack) -> set[str]:
    return set(AdminClient({"bootstrap.servers": stack.bootstrap_servers}).list_topics(timeout=20).topics)


def make_topic(stack: LocalStack, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
    admin.create_topics([NewTopic(name, 2)])[name].result(20)


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGINT])
def test_nothing_survives_the_starter(starter: subprocess.Popen[str], death: signal.Signals) -> None:
    pids = servers(starter)
    assert len(pids) == 2
    os.killpg(starter.pid, death)
    starter.wait(30)
    assert all_end(pids)


def test_servers_listen_on_this_machine_only(stack: LocalStack) -> None:
    sockets = [s for pid in (stack.broker.pid, stack.redis.pid) for s in psutil.Process(pid).net_connections()]
    listening = {s.laddr.ip.removeprefix("::ffff:") for s in sockets if s.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_two_stacks_do_not_disturb_each_other(stack: LocalStack, own_stack: LocalStack) -> None:
    Redis.from_url(own_stack.redis_url).set("mine", 1)
    make_topic(own_stack, "mine")
    assert not Redis.from_url(stack.redis_url).exists("mine")
    assert "mine" not in topics(stack)


def test_a_broker_keeps_its_topics_and_port_over_a_kill(own_stack: LocalStack) -> None:
    make_topic(own_stack, "kept")
    port = own_stack.broker.port
    own_stack.broker.kill()
    own_stack.broker.start()
    assert "kept" in topics(own_stack)
    assert own_stack.broker.port == port


def test_a_paused_server_answers_after_resume(private_redis: RedisServer) -> None:
    client = Redis.from_url(private_redis.url, socket_timeout=0.3, retry=None)
    private_redis.pause()
    with pytest.raises(Exception, match=r"[Tt]imeout"):
        client.ping()
    private_redis.resume()
    assert client.ping()


def test_redis_never_evicts_and_forgets_at_a_restart(private_redis: RedisServer) -> None:
    client = Redis.from_url(private_redis.url)
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    client.set("key", 1)
    private_redis.restart()
    assert not client.exists("key")


def test_redis_with_append_only_remembers(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, append_only=True)
    server.start()
    Redis.from_url(server.url).set("key", 1)
    server.restart()
    assert Redis.from_url(server.url).exists("key")
    server.kill()


def test_a_second_starter_finds_the_server_or_is_refused(private_redis: RedisServer) -> None:
    second = RedisServer(private_redis.data_dir)
    assert second.find()
    assert second.pid == private_redis.pid
    with pytest.raises(StackError, match="runs already"):
        second.start()


def test_what_a_killed_run_left_is_deleted_and_what_runs_is_not(tmp_path: Path) -> None:
    left = tmp_path / "runs" / "left"
    left.mkdir(parents=True)
    with temporary_folder(tmp_path) as one, temporary_folder(tmp_path) as two:
        assert set((tmp_path / "runs").iterdir()) == {one, two}
    assert not list((tmp_path / "runs").iterdir())


def test_a_stale_pid_file_never_leads_to_a_stranger(tmp_path: Path) -> None:
    (tmp_path / "redis.pid").write_text(str(os.getpid()))
    server = RedisServer(tmp_path)
    assert not server.find()
    server.stop()
    server.start()
    server.kill()


def test_a_server_that_cannot_start_says_why(private_redis: RedisServer, tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "other")
    server.data_dir.mkdir()
    (server.data_dir / "port").write_text(str(private_redis.port))
    with pytest.raises(StackError, match=r"(?s)redis ended while starting.*Address already in use"):
        server.start()
