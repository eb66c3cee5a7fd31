"""A replayed log: the order it is given in, what comes later and other users do not matter; Parquet there and back."""

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from riskstream.models.domain import Domain, load_domain
from riskstream.models.features import FeatureSet
from riskstream.models.history import aggregate
from riskstream.models.offline import CHUNK, Log, read_log, replay, write_log
from riskstream.models.payment import DOMAIN
from riskstream.schemas.digests import vector_digest
from riskstream.schemas.history import Keys
from riskstream.schemas.payment import Payment
from riskstream.workers.working_set import LogSpan, WorkingSet
from tests.support.facts import gather_known
from tests.support.tiny_domain import DOMAIN as LOGINS
from tests.support.tiny_domain import Login
from tests.unit.payment_log import payments, profiles_for

LOG = payments()
PARTITIONS = np.array([int(payment.user_id[-1]) % 2 for payment in LOG], np.int32)
OFFSETS = np.arange(len(LOG)) + 1_000
PROFILES = profiles_for(LOG)


def digests(log: list[Payment] = LOG, partitions: NDArray[np.int32] = PARTITIONS) -> list[str]:
    return vector_digest(replay(DOMAIN, log, partitions, OFFSETS[: len(log)], PROFILES[: len(log)]).features)


def test_a_log_may_be_given_in_any_order() -> None:
    order = np.random.default_rng(4).permutation(len(LOG))
    straight = replay(DOMAIN, LOG, PARTITIONS, OFFSETS, PROFILES)
    mixed = [LOG[k] for k in order]
    found = replay(DOMAIN, mixed, PARTITIONS[order], OFFSETS[order], [PROFILES[k] for k in order])
    assert vector_digest(found.features) == [digests()[k] for k in order]
    places = np.append(order, -1)
    np.testing.assert_array_equal(places[found.original], np.append(straight.original, -1)[order])


def test_an_original_is_the_first_of_its_event() -> None:
    first = {payment.event_id: k for k, payment in reversed(list(enumerate(LOG)))}
    expected = [-1 if first[p.event_id] == k else first[p.event_id] for k, p in enumerate(LOG)]
    assert replay(DOMAIN, LOG, PARTITIONS, OFFSETS).original.tolist() == expected
    assert max(expected) > 0


@pytest.mark.parametrize("known", [0, 1, 100, 399])
def test_what_comes_later_changes_no_earlier_row(known: int) -> None:
    later = np.random.default_rng(known).permutation(np.arange(known, len(LOG)))
    shuffled = [*LOG[:known], *(replace(LOG[k], amount=7) for k in later)]
    assert digests(shuffled)[:known] == digests()[:known]
    assert digests(LOG[:known], PARTITIONS[:known]) == digests()[:known]


def test_users_and_partitions_have_histories_of_their_own() -> None:
    for user in ("u-0", "u-1"):
        rows = [k for k, payment in enumerate(LOG) if payment.user_id == user]
        alone = replay(DOMAIN, [LOG[k] for k in rows], PARTITIONS[rows], OFFSETS[rows], [PROFILES[k] for k in rows])
        assert vector_digest(alone.features) == [digests()[k] for k in rows]
    apart = replay(DOMAIN, [LOG[0], LOG[0]], np.array([0, 1], np.int32), np.array([0, 0]))
    assert apart.original.tolist() == [-1, -1]


def test_a_record_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        replay(DOMAIN, [LOG[0], LOG[0]], np.zeros(2, np.int32), np.zeros(2, np.int64))


def in_batches(domain: Domain, size: int) -> list[str]:
    """The digests a worker arrives at that takes `size` events at a time and keeps histories in its working set."""
    spec = domain.features.spec
    memory = WorkingSet(domain.layout, spec.capacity, max_bytes=10**9)
    for number in (0, 1):
        memory.open(number, Keys.of("n", "t", number), None, LogSpan(0, 0))
    found: list[str] = []
    for at in range(0, len(LOG), size):
        events, numbers = LOG[at : at + size], PARTITIONS[at : at + size].tolist()
        users = [event.user_id.encode() for event in events]
        columns = domain.columns(events)
        gathered = gather_known(memory, numbers, users, domain.facts(columns, OFFSETS[at : at + size]))
        aggregates = aggregate(spec, gathered.facts, gathered.first, gathered.position)
        memory.absorb(gathered, aggregates.repeated)
        profiles = domain.profiles(PROFILES[at : at + size])
        found += vector_digest(domain.features.assemble(columns, aggregates.values, profiles))
    return found


@pytest.mark.parametrize("capacity", [512, 20], ids=["ample", "trimmed"])
@pytest.mark.parametrize("size", [1, 7, 256, 400])
def test_a_worker_arrives_at_the_same_vectors_in_any_batches(size: int, capacity: int) -> None:
    features = FeatureSet(DOMAIN.features.rows, dataclasses.replace(DOMAIN.features.spec, capacity=capacity))
    domain = dataclasses.replace(DOMAIN, features=features)
    assert in_batches(domain, size) == vector_digest(replay(domain, LOG, PARTITIONS, OFFSETS, PROFILES).features)


def pieces(size: int) -> list[Log]:
    labels = np.arange(len(LOG)) % 2
    kinds = np.array(["", "stolen card"])[labels]
    cuts = [slice(at, at + size) for at in range(0, len(LOG), size)]
    return [Log(LOG[c], PARTITIONS[c], OFFSETS[c], {"label": labels[c], "kind": kinds[c]}) for c in cuts]


def test_a_log_comes_back_from_parquet_as_it_was(tmp_path: Path) -> None:
    write_log(tmp_path / "log.parquet", Payment, pieces(150))
    (found,) = read_log(tmp_path / "log.parquet", Payment)
    assert found.events == LOG
    assert vector_digest(replay(DOMAIN, found.events, found.partitions, found.offsets, PROFILES).features) == digests()
    assert found.labels["label"].tolist() == [0, 1] * 200
    assert set(found.labels["kind"]) == {"", "stolen card"}


def test_a_log_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    many = [LOG[0]] * (CHUNK + 1)
    piece = Log(many, np.zeros(len(many), np.int32), np.arange(len(many)), {})
    write_log(tmp_path / "log.parquet", Payment, [piece])
    assert [len(found.events) for found in read_log(tmp_path / "log.parquet", Payment)] == [CHUNK, 1]


def test_an_event_that_breaks_the_contract_is_not_read(tmp_path: Path) -> None:
    broken = Log([replace(LOG[0], amount=-1)], PARTITIONS[:1], OFFSETS[:1], {})
    write_log(tmp_path / "log.parquet", Payment, [broken])
    with pytest.raises(msgspec.ValidationError, match="amount"):
        list(read_log(tmp_path / "log.parquet", Payment))


def test_a_field_that_came_later_takes_its_default_from_an_old_log(tmp_path: Path) -> None:
    class Grown(Payment, kw_only=True):
        wallet: str = "none"

    write_log(tmp_path / "log.parquet", Payment, pieces(400))
    (found,) = read_log(tmp_path / "log.parquet", Grown)
    assert found.events[0].wallet == "none"


def test_a_log_without_a_piece_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one piece"):
        write_log(tmp_path / "log.parquet", Payment, [])


def test_a_domain_of_ones_own_is_replayed_by_the_same_code() -> None:
    def login(k: int, minute: float, failures: int, address: str) -> Login:
        time = 1_750_000_000_000 + int(minute * 60_000)
        return Login(event_id=f"e{k}", user_id="u", event_time=time, failures=failures, address=address)

    log = [login(0, 0, 2, "a"), login(1, 1, 3, "b"), login(1, 1, 3, "b"), login(2, 5, 0, "a"), login(3, 5.5, 1, "c")]
    found = replay(LOGINS, log, np.zeros(5, np.int32), np.arange(5))
    assert found.features.tolist() == [[2, 0, 0], [3, 2, 1], [3, 2, 1], [0, 3, 1], [1, 3, 2]]
    assert found.original.tolist() == [-1, -1, 1, -1, -1]
    assert load_domain("tests.support.tiny_domain").features.id != DOMAIN.features.id
