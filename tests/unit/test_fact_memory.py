"""Facts in one array: whatever moves, each user keeps the own ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from riskstream.workers.fact_memory import ANEW, LENGTH, PROFILED, ROOM, START, STATE, UNDER_WAY, FactMemory

WORDS = 4
Step = tuple[str, int, list[int]]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["batch", "batch", "batch", "leave", "trim"]),
        st.integers(0, 5),
        st.lists(st.integers(0, 5), min_size=1, max_size=40),
    ),
    max_size=40,
)


def rows(numbers: list[int]) -> np.ndarray:
    return np.repeat(np.array(numbers, np.int64)[:, np.newaxis], WORDS, axis=1)


def small() -> FactMemory:
    memory = FactMemory(WORDS, 0)
    memory.facts = memory.facts[:30]  # so that it is soon too small
    return memory


@given(STEPS)
def test_everybody_keeps_the_own_facts_in_order(steps: list[Step]) -> None:
    memory, seats, expected, number = small(), dict[int, int](), dict[int, list[int]](), 0
    for what, user, users in steps:
        if what == "batch":
            for one in dict.fromkeys(users):
                if one not in seats:
                    expected[one] = list(range(-one, 0))
                    taken = memory.take(owner=one % 2, lengths=np.array([one]))
                    memory.fill(taken, rows(expected[one]))
                    (seats[one],) = taken.tolist()
            numbers = list(range(number, number + len(users)))
            left_out = np.array([one % 3 == 0 for one in numbers])
            of = np.array([seats[one] for one in users])
            first, position = memory.lay(of, rows(numbers))
            for k, one in enumerate(users):
                seen = [*expected[one], *(n for n, other in zip(numbers[:k], users, strict=False) if other == one)]
                assert memory.facts[first[k] : position[k] + 1, 0].tolist() == [*seen, numbers[k]]
            memory.keep(of, position, left_out, 1_000)
            for one, fact in zip(users, numbers, strict=True):
                expected[one] += [fact] * (fact % 3 != 0)
            number += len(users)
        elif what == "leave" and user in seats:
            memory.leave(np.array([seats.pop(user)]))
            del expected[user]
        elif what == "trim" and len(expected.get(user, [])) > 3:
            memory.trim(seats[user], 3, 4)
            expected[user] = expected[user][-3:]
    assert {user: memory.history(seat)[:, 2].tolist() for user, seat in seats.items()} == expected
    for owner in (0, 1):
        assert memory.rows[owner] == sum(memory.seats[seat, ROOM] for user, seat in seats.items() if user % 2 == owner)
    assert (memory.all_rows, memory.all_users) == (memory.rows.total(), memory.users.total())


def test_a_seat_says_once_that_its_facts_are_to_be_written() -> None:
    memory = small()
    seats = memory.take(7, np.zeros(2, np.int64))
    of = seats[[0, 1, 0]]
    _, position = memory.lay(of, rows([1, 2, 3]))
    pending, _ = memory.keep(of, position, np.array([False, True, False]), 9)
    assert pending.tolist() == [[seats[0], 7]]
    raw, ends, _ = memory.hand_over(seats)
    assert (np.frombuffer(raw, np.int64)[::WORDS].tolist(), ends) == ([1, 3], [64, 64])


def test_what_was_handed_over_is_so_once_and_a_history_that_is_written_anew_as_a_whole() -> None:
    memory = small()
    seats = memory.take(7, np.zeros(2, np.int64))
    for number in (1, 2):
        _, position = memory.lay(seats, rows([number, 10 * number]))
        pending, _ = memory.keep(seats, position, np.zeros(2, np.bool_), 9)
        assert pending[:, 0].tolist() == seats.tolist()
        raw, ends, anew = memory.hand_over(seats)
        assert np.frombuffer(raw, np.int64)[::WORDS].tolist() == [number, 10 * number]
        assert (ends, anew.tolist()) == ([32, 64], [False, False])
    memory.seats[seats[1], STATE] |= ANEW | PROFILED
    raw, ends, anew = memory.hand_over(seats)
    assert np.frombuffer(raw, np.int64)[::WORDS].tolist() == [10, 20]
    assert (ends, anew.tolist()) == ([0, 64], [False, True])
    assert memory.seats[seats, STATE].tolist() == [UNDER_WAY, UNDER_WAY | PROFILED]


def test_a_seat_whose_history_has_become_too_long_is_named() -> None:
    memory = small()
    seats = memory.take(0, np.zeros(2, np.int64))
    of = seats[[0, 1, 0]]
    _, position = memory.lay(of, rows([1, 2, 3]))
    _, long = memory.keep(of, position, np.zeros(3, np.bool_), 1)
    assert long.tolist() == [seats[0]]


def test_rooms_that_stand_empty_are_used_again() -> None:
    memory = small()
    for _ in range(100):
        (seat,) = memory.take(0, np.array([20]))
        memory.leave(np.array([seat]))
    assert len(memory.facts) == 30
    assert memory.rows[0] == 0
    assert memory.seats[:, LENGTH].sum() == 0


def test_who_moves_to_a_larger_room_leaves_the_old_one_to_others() -> None:
    memory = small()
    grown = memory.take(0, np.array([3]))
    left = memory.seats[grown[0], START]
    memory.lay(np.repeat(grown, 4), rows([1, 2, 3, 4]))
    assert memory.seats[grown[0], START] != left
    assert memory.seats[memory.take(0, np.array([3]))[0], START] == left


def test_each_of_many_has_the_own_ones_filled_in() -> None:
    memory = small()
    seats = memory.take(0, np.array([2, 0, 30, 1]))
    memory.fill(seats, rows(list(range(33))))
    lives = [memory.history(seat)[:, 1].tolist() for seat in seats.tolist()]
    assert lives == [[0, 1], [], list(range(2, 32)), [32]]
