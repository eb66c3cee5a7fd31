"""The join against a real Redis: what is read is believed only with its mark, and a doubt is said or refused."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from riskstream.deploy.stack import LocalStack, RedisServer
from riskstream.models.domain import load_domain
from riskstream.schemas.decode import Decoded
from riskstream.schemas.history import Keys, profile_key
from riskstream.schemas.payment import Payment, PaymentProfile
from riskstream.schemas.score import (
    HISTORY_PARTIAL,
    HISTORY_UNAVAILABLE,
    PROFILE_INVALID,
    PROFILE_STALE,
    PROFILE_UNAVAILABLE,
)
from riskstream.schemas.texts import Texts
from riskstream.workers.errors import StateLost, Unavailable
from riskstream.workers.history_store import HistoryStore
from riskstream.workers.join import Join, Joined
from riskstream.workers.metrics import Metrics
from riskstream.workers.profiles import Profiles
from riskstream.workers.redis_line import connect
from riskstream.workers.working_set import LogSpan, Partition, WorkingSet
from tests.support.stores import quick_store

DOMAIN = load_domain("riskstream.models.payment")
NOW, DAY = 1_750_000_000_000, 86_400_000
NewJoin = Callable[..., Join]


@pytest.fixture
def keys(unique_name: Callable[[str], str]) -> Keys:
    return Keys.of(unique_name("ns"), "t", 0)


@pytest.fixture
def new_join(stack: LocalStack, keys: Keys) -> Iterator[NewJoin]:
    """A worker's join that owns partition 0 up to offset 100, its state taken from what Redis holds."""
    stores: list[HistoryStore] = []

    def make(url: str = stack.redis_url, degrade: bool = True, complete: bool = True) -> Join:
        store = quick_store(url)
        stores.append(store)
        working_set = WorkingSet(DOMAIN.layout, 512, 1 << 20, log_is_complete=complete)
        working_set.open(0, keys, store.applied([keys])[0], LogSpan(0, 100))
        return Join(
            DOMAIN,
            working_set,
            store,
            Profiles(DOMAIN, DAY),
            Metrics(CollectorRegistry()),
            write_behind_ms=0,
            write_behind_users=1,
            degrade=degrade,
        )

    yield make
    for store in stores:
        store.close()


def payment(user: str, event_time: int = NOW) -> Payment:
    return Payment(
        event_id=f"e-{user}", user_id=user, event_time=event_time, amount=1, currency="EUR", merchant_id="m",
        mcc="0001", country="DE", channel="web",
    )  # fmt: skip


def joined(join: Join, offset: int, *events: Payment) -> Joined:
    offsets = np.arange(offset, offset + len(events))
    users, ids = ([getattr(event, name).encode() for event in events] for name in ("user_id", "event_id"))
    decoded = Decoded(np.arange(len(events)), DOMAIN.columns(events), Texts.of(ids), Texts.of(users), {})
    return join(np.zeros(len(events), np.int64), offsets, decoded)


def commit(join: Join, offset: int, *events: Payment) -> None:
    """A batch that goes all the way up to where its facts wait to be written behind."""
    result = joined(join, offset, *events)
    join.working_set.absorb(result.gathered, np.zeros(len(events), np.bool_))
    join.working_set.partitions[0].position = offset + len(events)


def refuse_to_commit(offsets: dict[int, int]) -> None:
    raise Unavailable(f"no commit of {offsets}")


def settled(join: Join) -> Join:
    """All is written, and the user's profile and history are known."""
    commit(join, 0, payment("u"))
    commit(join, 1, payment("u"))
    join.flush([partition_of(join)])
    return join


def writing(join: Join) -> Join:
    """A batch has gone on while the fact before it is on its way, and Redis does not come to it yet."""
    settled(join)
    commit(join, 2, payment("u"))
    join.store.client.client_pause(5_000, all=False)  # of writes
    join.write_behind()
    return join


@contextmanager
def writes_go_on_soon(server: RedisServer) -> Iterator[None]:
    """Inside, a Redis whose writes are paused comes to them in a moment. By a client of its own: the join's is used,
    and closed, by another thread."""
    client = connect(server.url, 5_000)
    timer = Timer(0.02, client.client_unpause)
    timer.start()
    yield
    timer.join()
    client.close()


def partition_of(join: Join) -> Partition:
    return join.working_set.partitions[0]


def forget(join: Join) -> None:
    """Everybody leaves, as if the partition had gone and come again."""
    join.flush([partition_of(join)])
    partition = partition_of(join)
    join.working_set.open(0, partition.keys, partition.mark, LogSpan(0, 100))


def past(result: Joined, row: int = 0) -> list[int]:
    """Offsets of the facts that the row sees."""
    gathered = result.gathered
    return [int(offset) for offset in gathered.facts[gathered.first[row] : gathered.position[row], 0]]


def test_a_history_that_left_memory_comes_back_from_redis(new_join: NewJoin) -> None:
    join = new_join()
    commit(join, 0, payment("u"), payment("v"), payment("u"))
    forget(join)
    assert past(joined(join, 3, payment("u"))) == [0, 2]


def test_the_next_owner_finds_what_was_flushed(new_join: NewJoin) -> None:
    first = new_join()
    commit(first, 0, payment("u"))
    first.flush([partition_of(first)])
    assert past(joined(new_join(), 1, payment("u"))) == [0]


def test_what_was_written_behind_has_arrived_when_the_next_batch_has_read(new_join: NewJoin, keys: Keys) -> None:
    join = new_join()
    commit(join, 0, payment("u"))
    join.write_behind()
    joined(join, 1, payment("v"))
    assert join.store.applied([keys]) == [partition_of(join).mark]
    assert partition_of(join).applied.offset == 1


def test_a_batch_that_has_to_read_writes_nothing(new_join: NewJoin, keys: Keys) -> None:
    join = new_join()
    commit(join, 0, payment("u"))
    joined(join, 1, payment("v"))
    assert join.store.applied([keys]) == [None]


def test_a_batch_of_known_users_does_not_wait_for_redis_to_write(new_join: NewJoin, private_redis: RedisServer) -> None:
    join = writing(new_join(private_redis.url))
    joined(join, 3, payment("u"))
    assert partition_of(join).unsettled
    join.store.client.client_unpause()
    join.write_behind()  # due again: this waits
    assert partition_of(join).applied.offset == 3


def test_who_reads_while_writes_are_on_their_way_finds_what_they_lead_to(
    new_join: NewJoin, private_redis: RedisServer
) -> None:
    join = writing(new_join(private_redis.url))
    with writes_go_on_soon(private_redis):
        joined(join, 3, payment("new"))
    assert partition_of(join).applied.offset == 3


def test_what_was_on_its_way_when_the_connection_broke_is_written_again(
    new_join: NewJoin, private_redis: RedisServer
) -> None:
    join = writing(new_join(private_redis.url))
    join.store.client.client_kill_filter(_type="normal", skipme=True)
    join.store.client.client_unpause()
    join.flush([partition_of(join)])
    assert partition_of(join).applied.offset == 3
    forget(join)
    assert past(joined(join, 3, payment("u"))) == [0, 1, 2]


def test_a_redis_that_has_forgotten_the_script_is_told_it_again(new_join: NewJoin, private_redis: RedisServer) -> None:
    join = settled(new_join(private_redis.url))
    commit(join, 2, payment("u"))
    join.store.client.script_flush()
    join.write_behind()
    join.write_behind()
    assert partition_of(join).applied.offset == 3


def test_state_that_is_taken_while_writes_are_on_their_way_is_what_they_lead_to(
    new_join: NewJoin, private_redis: RedisServer
) -> None:
    join = writing(new_join(private_redis.url))
    keys = partition_of(join).keys
    with writes_go_on_soon(private_redis):
        (mark,) = join.store.applied([keys])
    assert join.working_set.open(0, keys, mark, LogSpan(0, 3)) == 3
    assert past(joined(join, 3, payment("u"))) == [0, 1, 2]


def test_the_answer_for_a_partition_that_has_come_again_meanwhile_is_not_for_it(
    new_join: NewJoin, private_redis: RedisServer
) -> None:
    join = settled(new_join(private_redis.url))
    commit(join, 2, payment("u"))
    join.write_behind()
    old = partition_of(join)
    join.working_set.open(0, old.keys, old.mark, LogSpan(0, 3), rebuild=True)
    join.flush([])
    assert partition_of(join).applied.offset == 0


def test_nothing_is_written_that_is_not_committed(new_join: NewJoin, keys: Keys) -> None:
    join = new_join()
    join.working_set.open(0, keys, None, LogSpan(0, 0))
    commit(join, 0, payment("u"))
    join.commit = refuse_to_commit
    with pytest.raises(Unavailable, match="no commit"):
        join.write_behind()
    assert partition_of(join).applied.offset == 0


def test_offsets_are_committed_once(new_join: NewJoin, keys: Keys) -> None:
    join = new_join()
    join.working_set.open(0, keys, None, LogSpan(0, 0))
    commits: list[dict[int, int]] = []
    join.commit = commits.append
    for offset in range(3):
        commit(join, offset, payment("u"))
        join.write_behind()
    join.flush([partition_of(join)])
    join.flush([partition_of(join)])
    assert commits == [{0: 0}, {0: 1}, {0: 2}, {0: 3}]
    assert partition_of(join).applied.offset == 3


def test_who_recovers_commits_nothing_below_what_is_committed(new_join: NewJoin, keys: Keys) -> None:
    join = new_join()
    commits: list[dict[int, int]] = []
    join.commit = commits.append
    join.working_set.open(0, keys, None, LogSpan(0, 5))
    commit(join, 0, payment("u"))
    join.flush([partition_of(join)])
    assert commits == [{0: 5}]
    assert partition_of(join).applied.offset == 1


def test_who_cannot_commit_scores_nothing_after_state_was_taken(new_join: NewJoin, keys: Keys) -> None:
    join = new_join()
    join.write_behind_ms = join.write_behind_users = 10**9  # nothing is due
    join.commit = refuse_to_commit
    join.working_set.open(0, keys, None, LogSpan(0, 0))
    with pytest.raises(Unavailable, match="no commit"):
        joined(join, 0, payment("u"))


def test_what_is_not_due_is_not_written(new_join: NewJoin) -> None:
    join = settled(new_join())
    join.write_behind_ms, join.write_behind_users = 10**9, 2
    commit(join, 2, payment("u"))
    join.write_behind()
    assert not partition_of(join).unsettled
    commit(join, 3, payment("v"))
    join.write_behind()
    assert partition_of(join).unsettled


def test_an_emptied_redis_is_not_taken_for_a_new_user(new_join: NewJoin, private_redis: RedisServer) -> None:
    join = new_join(private_redis.url)
    commit(join, 0, payment("u"))
    forget(join)
    join.store.client.flushall()
    with pytest.raises(StateLost, match="mark_differs"):
        joined(join, 1, payment("u"))


def test_a_zombie_writes_nothing_over_the_owners_mark(new_join: NewJoin) -> None:
    zombie = new_join()
    commit(zombie, 0, payment("u"))
    owner = new_join()
    commit(owner, 0, payment("u"), payment("v"))
    owner.flush([partition_of(owner)])
    with pytest.raises(StateLost, match="mark_differs"):
        zombie.write_behind()
    with pytest.raises(StateLost, match="mark_differs"):
        zombie.flush([partition_of(zombie)])


def test_a_deleted_key_is_written_as_a_whole(new_join: NewJoin, keys: Keys) -> None:
    join = new_join()
    commit(join, 0, payment("u"))
    join.flush([partition_of(join)])
    join.store.client.delete(keys.history(b"u"))
    commit(join, 1, payment("u"))
    forget(join)
    assert past(joined(join, 2, payment("u"))) == [0, 1]


def test_a_history_that_is_cut_off_is_rebuilt_and_then_believed(new_join: NewJoin, keys: Keys) -> None:
    join = new_join()
    commit(join, 0, payment("u"))
    forget(join)
    join.store.client.append(keys.history(b"u"), b"x")
    with pytest.raises(StateLost, match="corrupt"):
        joined(join, 1, payment("u"))
    join.working_set.open(0, keys, partition_of(join).mark, LogSpan(0, 1), rebuild=True)
    commit(join, 0, payment("u"))
    forget(join)
    assert past(joined(join, 1, payment("u"))) == [0]


def test_without_redis_scores_say_so_and_state_is_taken_again_when_it_is_back(
    new_join: NewJoin, private_redis: RedisServer
) -> None:
    join = new_join(private_redis.url)
    commit(join, 0, payment("u"))
    private_redis.pause()
    result = joined(join, 1, payment("u"), payment("v"))
    assert result.degraded.tolist() == [PROFILE_UNAVAILABLE, PROFILE_UNAVAILABLE | HISTORY_UNAVAILABLE]
    assert past(result) == [0]
    join.working_set.absorb(result.gathered, np.zeros(2, np.bool_))
    private_redis.resume()
    time.sleep(0.15)
    with pytest.raises(StateLost, match="redis_back"):
        joined(join, 3, payment("u"))


def test_a_partition_that_left_facts_out_takes_its_state_again_though_all_its_users_are_known(
    new_join: NewJoin,
) -> None:
    join = new_join()
    commit(join, 0, payment("u"))
    joined(join, 1, payment("u"))
    join.working_set.give_up_writing(partition_of(join))
    with pytest.raises(StateLost, match="redis_back"):
        joined(join, 1, payment("u"))


def test_without_redis_nothing_is_scored_if_so_chosen(new_join: NewJoin, private_redis: RedisServer) -> None:
    join = new_join(private_redis.url, degrade=False)
    private_redis.pause()
    with pytest.raises(Unavailable):
        joined(join, 0, payment("u"))


def test_a_horizon_that_begins_before_the_log_is_partial(new_join: NewJoin) -> None:
    join = new_join(complete=False)
    result = joined(join, 0, payment("u"), payment("u", NOW + 29 * DAY), payment("u", NOW + 30 * DAY))
    assert result.degraded.tolist() == [HISTORY_PARTIAL, HISTORY_PARTIAL, 0]


def test_profiles_too_old_or_broken_count_as_missing_and_are_said(
    new_join: NewJoin, unique_name: Callable[[str], str]
) -> None:
    join = new_join()
    good, old, broken, none = (unique_name(kind) for kind in ("good", "old", "broken", "none"))
    at = [PaymentProfile(computed_at=NOW - age, kyc_level=2) for age in (DAY, DAY + 1)]
    values = [*map(msgspec.json.encode, at), b'{"computed_at": "\xff']
    join.store.put_profiles([(profile_key(u.encode()), v) for u, v in zip((good, old, broken), values, strict=True)])
    result = joined(join, 0, *map(payment, (good, old, broken, none)))
    assert result.degraded.tolist() == [0, PROFILE_STALE, PROFILE_INVALID, 0]
    assert np.isnan(result.profile["kyc_level"]).tolist() == [False, True, True, True]


def put(join: Join, user: str, level: int) -> None:
    """Another system writes a profile."""
    profile = msgspec.json.encode(PaymentProfile(computed_at=NOW, kyc_level=level))
    join.store.put_profiles([(profile_key(user.encode()), profile)])


def level(join: Join, user: str) -> float:
    """As the next event of the user has it."""
    return float(joined(join, 0, payment(user)).profile["kyc_level"][0])


def comes_to(join: Join, user: str, wanted: float) -> bool:
    """Within a moment: who writes a profile may have the answer before others are told."""
    deadline = time.monotonic() + 1.0
    while not np.array_equal(level(join, user), wanted, equal_nan=True):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def test_a_profile_is_read_once_and_again_when_it_was_written(
    new_join: NewJoin, unique_name: Callable[[str], str]
) -> None:
    join, user = new_join(), unique_name("u")
    for expected in (1, 2):
        put(join, user, expected)
        assert comes_to(join, user, expected)
        reads = reads_of(join)
        assert level(join, user) == expected
        assert reads_of(join) == reads


def reads_of(join: Join) -> int:
    """How many MGET Redis has answered."""
    return int(join.store.client.info("commandstats")["cmdstat_mget"]["calls"])


def test_a_profile_ages_though_it_is_not_read_again(new_join: NewJoin, unique_name: Callable[[str], str]) -> None:
    join, user = new_join(), unique_name("u")
    put(join, user, 1)
    assert level(join, user) == 1
    assert joined(join, 0, payment(user, NOW + DAY + 1)).degraded.tolist() == [PROFILE_STALE]
    assert level(join, user) == 1


def test_a_profile_is_not_that_of_who_had_the_place_in_memory_before(
    new_join: NewJoin, unique_name: Callable[[str], str]
) -> None:
    join, user = new_join(), unique_name("u")
    put(join, user, 1)
    assert level(join, user) == 1
    forget(join)
    assert np.isnan(level(join, unique_name("v")))


def test_profiles_outlive_writing_behind(new_join: NewJoin, unique_name: Callable[[str], str]) -> None:
    join, user = new_join(), unique_name("u")
    put(join, user, 1)
    commit(join, 0, payment(user))
    join.flush([partition_of(join)])
    reads = reads_of(join)
    assert level(join, user) == 1
    assert reads_of(join) == reads


def test_a_redis_that_was_emptied_has_no_profiles(new_join: NewJoin, private_redis: RedisServer) -> None:
    join = new_join(private_redis.url)
    put(join, "u", 1)
    assert level(join, "u") == 1
    join.store.client.flushall()
    assert comes_to(join, "u", np.nan)


def test_a_redis_that_is_away_leaves_no_profile_to_be_believed(new_join: NewJoin, private_redis: RedisServer) -> None:
    join = new_join(private_redis.url)
    put(join, "u", 1)
    assert level(join, "u") == 1
    private_redis.stop()
    assert joined(join, 0, payment("u")).degraded.tolist() == [PROFILE_UNAVAILABLE]
