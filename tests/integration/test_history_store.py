"""The Redis end against a real Redis: what it refuses, what it repeats, and how long it waits."""

import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
import redis

from riskstream.deploy.stack import LocalStack, RedisServer
from riskstream.schemas.history import Keys, Namespace, namespace_key, profile_key
from riskstream.workers.errors import Halt, Unavailable
from riskstream.workers.history_store import APPEND, GONE, REPLACE, HistoryStore, Read, Write
from tests.support.stores import quick_store

RECORD = Namespace(
    group="g", topic="t", topic_id="id-1", partitions=3, layout="payment", layout_version=1, capacity=512
)


@pytest.fixture
def keys(unique_name: Callable[[str], str]) -> Keys:
    return Keys.of(unique_name("ns"), "t", 0)


@pytest.fixture
def store(stack: LocalStack) -> Iterator[HistoryStore]:
    store = quick_store(stack.redis_url, give_up_ms=2_000, timeout_ms=1_000)
    yield store
    store.close()


@pytest.fixture
def private_store(private_redis: RedisServer) -> Iterator[HistoryStore]:
    """A quick one, on the Redis of this test alone."""
    store = quick_store(private_redis.url)
    yield store
    store.close()


def write(keys: Keys, expected: bytes, applied: bytes, mode: bytes = REPLACE, **values: bytes) -> Write:
    modes = bytearray(mode * len(values))
    return Write(keys, expected, applied, modes, [user.encode() for user in values], list(values.values()))


def mark_after(store: HistoryStore, *writes: Write) -> bytes:
    return store.exchange(list(writes), [], []).marks[-1]


def stored(store: HistoryStore, keys: Keys, user: bytes = b"u") -> bytes | None:
    return store.history(keys, user)[1]


def test_histories_and_the_mark_move_together_and_read_back_together(store: HistoryStore, keys: Keys) -> None:
    first, more = write(keys, b"", b"1", u=b"ab", v=b"x"), write(keys, b"1", b"2", APPEND, u=b"cd")
    reply = store.exchange([first, more], [Read(keys, [b"u", b"nobody", b"v"])], [])
    assert reply.marks == [b"1", b"2"]
    assert reply.histories == [(b"2", [b"abcd", None, b"x"])]


def test_a_wrong_mark_changes_nothing_and_is_told(store: HistoryStore, keys: Keys) -> None:
    mark_after(store, write(keys, b"", b"1", u=b"ab"))
    assert mark_after(store, write(keys, b"0", b"2", REPLACE, u=b"zombie")) == b"1"
    assert mark_after(store, write(keys, b"", b"2", APPEND, u=b"zombie")) == b"1"
    assert store.history(keys, b"u")[:2] == (b"1", b"ab")


def test_a_mark_that_is_gone_changes_nothing(store: HistoryStore, keys: Keys) -> None:
    assert mark_after(store, write(keys, b"1", b"2", u=b"ab")) == b""
    assert store.history(keys, b"u")[:2] == (None, None)


def test_the_same_write_again_succeeds_and_is_done_once(store: HistoryStore, keys: Keys) -> None:
    mark_after(store, write(keys, b"", b"1", u=b"ab"))
    again = write(keys, b"1", b"2", APPEND, u=b"cd")
    assert [mark_after(store, again), mark_after(store, again)] == [b"2", b"2"]
    assert stored(store, keys) == b"abcd"


def test_an_append_to_a_key_that_is_gone_asks_for_the_whole(store: HistoryStore, keys: Keys) -> None:
    mark_after(store, write(keys, b"", b"1", v=b"x"))
    assert mark_after(store, write(keys, b"1", b"2", APPEND, v=b"y", u=b"cd")) == GONE
    assert store.exchange([], [Read(keys, [b"u", b"v"])], []).histories == [(b"1", [None, b"x"])]


def test_histories_expire_and_marks_do_not(store: HistoryStore, keys: Keys) -> None:
    mark_after(store, write(keys, b"", b"1", u=b"ab"), write(keys, b"1", b"2", APPEND, u=b"cd"))
    assert 59_000 < store.client.pttl(keys.history(b"u")) <= 60_000
    assert store.client.pttl(keys.applied) == -1


def test_profiles_come_in_the_order_asked(store: HistoryStore, unique_name: Callable[[str], str]) -> None:
    user = unique_name("u").encode()
    store.put_profiles([(profile_key(user), b"{}")])
    assert store.exchange([], [], [b"nobody", user]).profiles == [None, b"{}"]


def test_a_lost_script_is_loaded_anew(private_store: HistoryStore, keys: Keys) -> None:
    mark_after(private_store, write(keys, b"", b"1", u=b"ab"))
    private_store.client.script_flush()
    assert mark_after(private_store, write(keys, b"1", b"2", APPEND, u=b"cd")) == b"2"
    assert stored(private_store, keys) == b"abcd"


def test_a_redis_that_may_evict_is_refused(private_store: HistoryStore) -> None:
    private_store.client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(Halt, match=r"its maxmemory-policy is allkeys-lru.*config set maxmemory-policy noeviction"):
        private_store.check("ns", RECORD)


@pytest.mark.parametrize(
    ("field", "value"),
    [("topic_id", "id-2"), ("partitions", 4), ("layout", "login"), ("layout_version", 2), ("capacity", 16)],
)
def test_keys_written_for_something_else_are_refused(
    store: HistoryStore, unique_name: Callable[[str], str], field: str, value: object
) -> None:
    namespace = unique_name("ns")
    store.check(namespace, RECORD)
    store.check(namespace, RECORD)
    with pytest.raises(Halt, match=f"{field} is {value!r} here and .* there.*RISKSTREAM_HISTORY_NAMESPACE"):
        store.check(namespace, msgspec.structs.replace(RECORD, **{field: value}))


def test_of_two_groups_in_one_namespace_the_second_is_refused(
    store: HistoryStore, unique_name: Callable[[str], str]
) -> None:
    namespace = unique_name("ns")
    store.check(namespace, RECORD)
    with pytest.raises(Halt, match=r"belongs to group 'g', this worker is of group 'other'.*RISKSTREAM_GROUP=g"):
        store.check(namespace, msgspec.structs.replace(RECORD, group="other"))


def test_a_namespace_of_no_group_yet_is_taken(store: HistoryStore, unique_name: Callable[[str], str]) -> None:
    namespace = unique_name("ns")
    old = {name: value for name, value in msgspec.structs.asdict(RECORD).items() if name != "group"}
    store.client.set(namespace_key(namespace, "t"), msgspec.json.encode(old))
    store.check(namespace, RECORD)
    with pytest.raises(Halt, match="belongs to group 'g'"):
        store.check(namespace, msgspec.structs.replace(RECORD, group="other"))


def test_a_redis_that_lost_everything_is_checked_before_its_marks_are_read(private_redis: RedisServer) -> None:
    ours, theirs = quick_store(private_redis.url), quick_store(private_redis.url)
    ours.check("ns", RECORD)
    ours.client.flushall()
    theirs.check("ns", msgspec.structs.replace(RECORD, group="other"))
    with pytest.raises(Halt, match="belongs to group 'other'"):
        ours.applied([Keys.of("ns", "t", 0)])
    for store in (ours, theirs):
        store.close()


def test_a_damaged_namespace_record_is_refused(store: HistoryStore, unique_name: Callable[[str], str]) -> None:
    namespace = unique_name("ns")
    store.client.set(namespace_key(namespace, "t"), b"{")
    with pytest.raises(Halt, match=r"is damaged.*Choose another namespace"):
        store.check(namespace, RECORD)


def test_a_silent_redis_is_given_up_in_time_then_not_waited_for_and_works_when_it_is_back(
    private_store: HistoryStore, private_redis: RedisServer, keys: Keys
) -> None:
    errors: list[str] = []
    private_store.on_error = errors.append
    lost = write(keys, b"", b"1", u=b"ab")
    private_redis.pause()
    assert 0.2 < seconds_until_unavailable(private_store, lost) < 0.6
    assert seconds_until_unavailable(private_store, lost) < 0.05
    private_redis.resume()
    time.sleep(0.15)
    assert mark_after(private_store, lost) == b"1"
    assert stored(private_store, keys) == b"ab"
    assert set(errors) == {"exchange"}


def test_a_redis_that_was_restarted_takes_writes_at_the_first_probe(
    private_store: HistoryStore, private_redis: RedisServer, keys: Keys
) -> None:
    mark_after(private_store, write(keys, b"", b"1", u=b"ab"))
    private_redis.stop()
    seconds_until_unavailable(private_store, write(keys, b"1", b"2", u=b"cd"))
    private_redis.start()
    time.sleep(0.15)
    assert mark_after(private_store, write(keys, b"1", b"2", u=b"cd")) == b"", "the mark is gone with the data"


def test_a_client_never_retries_by_itself(private_redis: RedisServer) -> None:
    client = quick_store(private_redis.url).client
    private_redis.pause()
    start = time.monotonic()
    with pytest.raises(redis.exceptions.TimeoutError):
        client.get("key")
    assert time.monotonic() - start < 0.2


def seconds_until_unavailable(store: HistoryStore, write: Write) -> float:
    start = time.monotonic()
    with pytest.raises(Unavailable):
        store.exchange([write], [], [])
    return time.monotonic() - start
