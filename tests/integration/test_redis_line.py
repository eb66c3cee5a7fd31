"""The connection to a real Redis: what was read to be kept is called changed once it may have."""

import time
from collections.abc import Callable, Iterator, Set

import pytest
import redis

from riskstream.deploy.stack import RedisServer
from riskstream.workers.redis_line import KEEP, RedisLine, connect


@pytest.fixture
def other(private_redis: RedisServer) -> Iterator["redis.Redis"]:
    """Another system's client."""
    client = connect(private_redis.url, 1_000)
    yield client
    client.close()


@pytest.fixture
def line(other: "redis.Redis") -> Iterator[RedisLine]:
    line = RedisLine(other)
    yield line
    line.close()


def keep(line: RedisLine, *keys: bytes) -> None:
    line.ask(line.kept((b"MGET", *keys)))


def told(line: RedisLine) -> Set[bytes] | None:
    """What it hears within a moment."""
    deadline = time.monotonic() + 1.0
    while (changed := line.changed()) == set() and time.monotonic() < deadline:
        time.sleep(0.001)
    return changed


def test_nothing_has_changed_as_long_as_nobody_writes(line: RedisLine, other: "redis.Redis") -> None:
    keep(line, b"a", b"b")
    other.set("c", 1)
    time.sleep(0.05)
    assert line.changed() == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda other: other.set("a", "new"),
        lambda other: other.delete("a"),
        lambda other: other.append("a", "more"),
        lambda other: other.rename("a", "b"),
        lambda other: other.pexpire("a", 1),
    ],
    ids=["written", "deleted", "appended to", "renamed", "expired"],
)
def test_a_change_is_told(line: RedisLine, other: "redis.Redis", change: Callable[["redis.Redis"], object]) -> None:
    other.set("a", "old")
    keep(line, b"a")
    change(other)
    assert told(line) == {b"a"}


def test_a_key_that_was_not_there_is_told_when_it_comes(line: RedisLine, other: "redis.Redis") -> None:
    keep(line, b"a")
    other.set("a", 1)
    assert told(line) == {b"a"}


def test_a_change_is_told_once_until_the_key_is_read_again(line: RedisLine, other: "redis.Redis") -> None:
    keep(line, b"a")
    for value in (1, 2):
        other.set("a", value)
        assert told(line) == {b"a"}
        keep(line, b"a")
        assert line.changed() == set()


def test_a_change_that_came_with_an_answer_waits_in_the_client_and_is_told(line: RedisLine) -> None:
    keep(line, b"a")
    assert line.changed() == set()
    line.ask([(b"SET", b"a", b"1")])  # Redis answers, and tells of the change in the same breath
    assert line.changed() == {b"a"}


def test_what_is_read_without_being_kept_is_not_told(line: RedisLine, other: "redis.Redis") -> None:
    line.ask([(b"GET", b"a")])
    other.set("a", 1)
    time.sleep(0.05)
    assert line.changed() == set()


def test_of_an_emptied_redis_everything_may_have_changed(line: RedisLine, other: "redis.Redis") -> None:
    keep(line, b"a")
    other.flushall()
    assert told(line) is None
    assert line.changed() == set()


def test_with_the_connection_everything_may_have_changed(line: RedisLine, other: "redis.Redis") -> None:
    keep(line, b"a")
    other.client_kill_filter(_type="normal", skipme=True)
    assert told(line) is None
    keep(line, b"a")
    assert line.changed() == set()


def test_thousands_of_changes_before_an_answer_are_all_told(line: RedisLine, other: "redis.Redis") -> None:
    keys = [b"k%d" % number for number in range(5_000)]
    keep(line, *keys)
    with other.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.set(key, 1)
        pipeline.execute()
    assert line.ask([(b"GET", b"k7")]) == [b"1"]
    assert told(line) == set(keys)


def test_after_a_refused_command_answers_are_not_mixed_up(line: RedisLine, other: "redis.Redis") -> None:
    other.set("a", 1)
    with pytest.raises(redis.exceptions.ResponseError):
        line.ask([(b"GET", b"a"), (b"NONSENSE",), (b"GET", b"b")])
    assert line.changed() is None
    assert line.ask([(b"GET", b"b")]) == [None]


def test_a_redis_that_does_not_tell_of_changes_is_asked_each_time(line: RedisLine, other: "redis.Redis") -> None:
    other.execute_command("ACL", "SETUSER", "default", "-client")
    with pytest.raises(redis.exceptions.ResponseError):
        line.ask([KEEP, (b"GET", b"a")])
    for value in (1, 2):
        other.set("a", value)
        assert line.ask(line.kept((b"GET", b"a")))[-1] == str(value).encode()
        assert line.changed() is None


def answered(line: RedisLine) -> list[object]:
    """What has come within a moment, without waiting for it."""
    deadline = time.monotonic() + 1.0
    while (answers := line.answers(wait=False)) is None and time.monotonic() < deadline:
        line.changed()
        time.sleep(0.001)
    assert answers is not None
    return answers


def test_answers_are_there_sooner_or_later_and_once(line: RedisLine) -> None:
    line.send([(b"SET", b"a", b"1"), (b"GET", b"a")])
    assert answered(line) == [b"OK", b"1"]
    assert line.answers(wait=True) == []


def test_who_asks_meanwhile_gets_the_own_answers(line: RedisLine) -> None:
    line.send([(b"ECHO", b"sent")])
    assert line.ask([(b"ECHO", b"asked")]) == [b"asked"]
    assert line.answers(wait=False) == [b"sent"]


def test_what_is_under_way_says_so(line: RedisLine, other: "redis.Redis") -> None:
    line.ask([(b"PING",)])
    other.client_pause(5_000, all=False)  # of writes
    line.send([(b"SET", b"late", b"1")])
    line.changed()
    assert line.answers(wait=False) is None
    other.client_unpause()
    assert line.answers(wait=True) == [b"OK"]


def test_changes_are_told_beside_answers(line: RedisLine, other: "redis.Redis") -> None:
    keep(line, b"a")
    line.send([(b"ECHO", b"before")])
    other.set("a", 1)
    line.send([(b"ECHO", b"after")])
    assert told(line) == {b"a"}
    assert answered(line) == [b"before", b"after"]


def test_with_the_connection_go_the_answers(line: RedisLine, other: "redis.Redis") -> None:
    line.ask([(b"PING",)])
    other.client_pause(5_000, all=False)
    line.send([(b"SET", b"lost", b"1")])
    other.client_kill_filter(_type="normal", skipme=True)
    assert told(line) is None
    assert line.answers(wait=False) == []


def test_a_refusal_is_an_error_for_who_waits(line: RedisLine) -> None:
    line.send([(b"EVALSHA", b"0" * 40, 0)])
    with pytest.raises(redis.exceptions.NoScriptError):
        line.answers(wait=True)
