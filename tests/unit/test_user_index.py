"""The index of users against a dictionary."""

import random

import numpy as np
import pytest

from riskstream.schemas.texts import Texts
from riskstream.workers.user_index import NOBODY, UserIndex

SIZES = (1, 3, 7, 8, 9, 16, 17, 64, 128, 129, 256)


def find(index: UserIndex, *users: tuple[int, bytes]) -> list[int]:
    numbers = np.array([number for number, _ in users], np.int64)
    seats: list[int] = index.find(numbers, Texts.of([name for _, name in users])).tolist()
    return seats


def add(index: UserIndex, partition: int, *users: bytes, first: int = 0) -> None:
    """In seats from `first` on."""
    index.add(partition, Texts.of(users), np.arange(first, first + len(users)))


@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_and_goes_everyone_is_found_in_the_own_seat(seed: int) -> None:
    rng = random.Random(seed)
    index, seats, vacant = UserIndex(), {}, list(range(3_000))
    names = [bytes(rng.choices(b"ab", k=size)) for size in SIZES for _ in range(200)]
    for _ in range(400):
        partition = rng.randrange(3)
        new = [n for n in dict.fromkeys(rng.sample(names, 20)) if (partition, n) not in seats][: len(vacant)]
        taken = [vacant.pop(rng.randrange(len(vacant))) for _ in new]
        index.add(partition, Texts.of(new), np.array(taken, np.int64))
        seats.update({(partition, name): seat for name, seat in zip(new, taken, strict=True)})
        leaving = rng.sample(sorted(seats), min(len(seats), rng.randrange(40)))
        index.remove(np.array([seats[user] for user in leaving], np.int64))
        vacant += [seats.pop(user) for user in leaving]
        wanted = [(rng.randrange(3), rng.choice(names)) for _ in range(50)]
        assert find(index, *wanted) == [seats.get(user, NOBODY) for user in wanted]
    assert index.users(np.array(list(seats.values()), np.int64)) == [name for _, name in seats]


def test_the_same_id_in_two_partitions_is_two_users() -> None:
    index = UserIndex()
    add(index, 0, b"u", first=4)
    add(index, 7, b"u", first=5)
    assert find(index, (0, b"u"), (7, b"u"), (1, b"u")) == [4, 5, NOBODY]


def test_a_longer_id_than_any_before_makes_room_for_itself() -> None:
    index = UserIndex()
    add(index, 0, b"short")
    add(index, 0, b"l" * 256, first=1)
    assert index.users(np.array([0, 1])) == [b"short", b"l" * 256]


def test_ids_that_differ_in_a_zero_at_the_end_are_two() -> None:
    index = UserIndex()
    add(index, 0, b"u", b"u\0", b"")
    assert find(index, (0, b""), (0, b"u\0"), (0, b"u")) == [2, 1, 0]


def test_users_stay_found_while_the_table_grows() -> None:
    index, names = UserIndex(), [b"user-%d" % number for number in range(20_000)]
    for start in range(0, len(names), 500):
        add(index, 0, *names[start : start + 500], first=start)
    assert find(index, *((0, name) for name in names)) == list(range(20_000))


def test_a_table_where_all_users_meet_in_one_place_still_tells_them_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskstream.workers.user_index.secrets.randbits", lambda _bits: 0)
    index, names = UserIndex(), [b"prefix-%03d" % number + b"=" * 128 for number in range(200)]  # hashed by their end
    add(index, 0, *names)
    index.remove(np.arange(0, 200, 3))
    found = find(index, *((0, name) for name in names))
    assert found == [NOBODY if seat % 3 == 0 else seat for seat in range(200)]


def test_nobody_to_add_or_to_remove_is_no_change() -> None:
    index = UserIndex()
    add(index, 0)
    index.remove(np.empty(0, np.int64))
    assert find(index) == []
