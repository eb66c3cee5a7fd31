"""The compiled history pass against the slow oracle, and against itself in other batches."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskstream.models.history import Aggregates, HistorySpec, Ints, aggregate
from riskstream.models.payment import HISTORY
from tests.unit.oracle import histories

SMALL = HistorySpec(
    windows=(("short", 10), ("mid", 50), ("long", 80)),
    horizon_ms=100,
    capacity=4,
    value=3,
    distinct=(("shops", 4), ("devices", 5)),
    distinct_windows=("short", "long"),
)
NOW = 1_000_000
EXACT = [name for name in SMALL.columns if name != "std"]


def fact(time: int, event: int, amount: int = 1, shop: int = 1, device: int = 0) -> list[int]:
    return [0, time, event, amount, shop, device]


def one_user(log: Sequence[Sequence[int]]) -> tuple[Ints, Ints, Ints]:
    return np.array(log, np.int64), np.zeros(len(log), np.int64), np.arange(len(log))


def last(log: Sequence[Sequence[int]], spec: HistorySpec = SMALL) -> dict[str, float]:
    """The columns of the last event of one user's log."""
    return dict(zip(spec.columns, aggregate(spec, *one_user(log)).values[-1].tolist(), strict=True))


def assert_like_oracle(spec: HistorySpec, log: Sequence[Sequence[int]]) -> None:
    found, expected = aggregate(spec, *one_user(log)), histories(spec, log)
    assert found.original.tolist() == [e.original for e in expected]
    for index, name in enumerate(spec.columns):
        off = 1e-8 if name == "std" else 0  # all else is exact
        wanted = [e.columns[name] for e in expected]
        np.testing.assert_allclose(found.values[:, index], wanted, rtol=off, err_msg=name)


def split(log: Ints, users: Ints, sizes: Iterator[int], spec: HistorySpec, slack: int) -> Aggregates:
    """Measure a log in batches as a worker does: in memory no repeats, and no more facts than it must have."""
    memory: dict[int, list[Ints]] = defaultdict(list)
    values, original, at = [], [], 0
    while at < len(log):
        batch = range(at, min(at + next(sizes), len(log)))
        at = batch.stop
        flat: list[Ints] = []
        places: dict[int, tuple[int, int]] = {}
        for user in dict.fromkeys(users[batch].tolist()):
            first = len(flat)
            flat += memory[user]
            for k in batch:
                if users[k] == user:
                    places[k] = (first, len(flat))
                    flat.append(log[k])
        first, position = np.array([places[k] for k in batch]).T.copy()
        facts = np.array(flat)
        found = aggregate(spec, facts, first, position)
        values.append(found.values)
        original += [facts[row][0] if row >= 0 else -1 for row in found.original]  # by offset
        assert found.repeated.tolist() == (found.original >= 0).tolist()
        for k, row in zip(batch, found.original, strict=True):
            if row < 0:
                memory[users[k]] = [*memory[users[k]], log[k]][-(spec.capacity + slack) :]
    return Aggregates(np.concatenate(values), np.array(original), np.array(original) >= 0)


def random_log(seed: int, size: int, spec: HistorySpec, words: int) -> tuple[Ints, Ints]:
    rng = np.random.default_rng(seed)
    log = rng.integers(0, 4, (size, words))
    log[:, 0] = np.arange(size)
    log[:, 1] = NOW + np.arange(size) * spec.horizon_ms // size + rng.integers(-spec.horizon_ms // 9, 9, size)
    log[:, 2] = rng.integers(0, size, size)  # about a third are repeats
    log[:, 3] = rng.integers(0, 10**12, size)
    return log, rng.integers(0, 3, size)


@pytest.mark.parametrize(
    ("age", "windows"), [(0, 3), (9, 3), (10, 2), (49, 2), (50, 1), (79, 1), (80, 0), (99, 0), (-1, 0)]
)
def test_a_window_is_open_at_its_far_end_and_closed_at_now(age: int, windows: int) -> None:
    columns = last([fact(NOW - age, 1), fact(NOW, 2)])
    assert sum(columns[f"count_{name}"] for name in ("short", "mid", "long")) == windows


@pytest.mark.parametrize("age", [100, 5_000, -1])
def test_what_is_beyond_the_horizon_or_in_the_future_counts_for_nothing(age: int) -> None:
    np.testing.assert_equal(last([fact(NOW - age, 1), fact(NOW, 2)]), last([fact(NOW, 2)]))


def test_an_event_without_a_past_has_counts_of_zero_and_no_means() -> None:
    columns = last([fact(NOW, 1)])
    assert {name for name, value in columns.items() if np.isnan(value)} == {
        *(f"{kind}_{window}" for kind in ("mean", "max") for window in ("short", "mid", "long")),
        *("since_last_s", "mean", "std", "same_devices"),
    }
    assert sum(value for value in columns.values() if not np.isnan(value)) == 0


def test_events_of_the_same_moment_see_those_before_them_in_the_log() -> None:
    found = aggregate(SMALL, *one_user([fact(NOW, i) for i in range(4)]))
    assert found.values[:, SMALL.columns.index("count_short")].tolist() == [0, 1, 2, 3]


def test_only_the_last_facts_within_the_capacity_are_seen() -> None:
    assert last([fact(NOW, i, amount=10**i) for i in range(7)])["sum_short"] == 111_100 - 100 + 10**2


def test_a_repeat_is_measured_as_what_it_was_and_is_no_fact() -> None:
    log = [fact(NOW, 1, 5), fact(NOW, 2, 7), fact(NOW, 3, 9), fact(NOW, 2, 7), fact(NOW, 2, 7), fact(NOW, 4)]
    found = aggregate(SMALL, *one_user(log))
    assert found.original.tolist() == [-1, -1, -1, 1, 1, -1]
    np.testing.assert_array_equal(found.values[3], found.values[1])
    np.testing.assert_array_equal(found.values[4], found.values[1])
    assert last(log)["sum_short"] == 5 + 7 + 9


def test_repeats_take_no_place_in_the_capacity() -> None:
    log = [fact(NOW, 1), *[fact(NOW, 2)] * 20, fact(NOW, 1)]
    assert aggregate(SMALL, *one_user(log)).original[-1] == 0


def test_an_event_whose_original_left_the_capacity_is_new_and_can_be_repeated() -> None:
    log = [fact(NOW, i) for i in (1, 2, 3, 4, 5, 1, 1)]
    assert aggregate(SMALL, *one_user(log)).original.tolist() == [-1, -1, -1, -1, -1, -1, 5]


def test_a_missing_word_is_never_counted() -> None:
    columns = last([fact(NOW, 1, device=0), fact(NOW, 2, device=7), fact(NOW, 3, device=0)])
    assert columns["distinct_devices_short"] == 1
    assert np.isnan(columns["same_devices"])


def test_a_value_seen_again_counts_in_the_smallest_window_that_saw_it() -> None:
    old, young = fact(NOW - 60, 1, shop=5), fact(NOW - 1, 2, shop=5)
    for log in ([old, young], [young, old], [old, young, [*old[:2], 3, *old[3:]]]):
        columns = last([*log, fact(NOW, 9)])
        assert (columns["distinct_shops_short"], columns["distinct_shops_long"]) == (1, 1)


def test_distinct_windows_may_be_named_in_any_order() -> None:
    log, _ = random_log(9, 60, SMALL, 6)
    assert_like_oracle(replace(SMALL, capacity=20, distinct_windows=("long", "short", "mid")), log.tolist())


def test_sums_of_the_largest_amounts_are_exact() -> None:
    log = [[i, NOW, i, 10**12 - i % 2, 1, 1, 1, 1] for i in range(513)]
    assert last(log, HISTORY)["sum_30d"] == 512 * 10**12 - 256
    assert_like_oracle(HISTORY, log[-40:])


def test_equal_amounts_have_no_spread() -> None:
    assert last([[i, NOW, i, 999_999_999_999, 1, 1, 1, 1] for i in range(8)], HISTORY)["std"] == 0


def test_events_may_be_asked_in_any_order() -> None:
    facts, first, position = one_user([fact(NOW + i, i % 9) for i in range(12)])
    shuffled = np.random.default_rng(1).permutation(12)
    whole, found = aggregate(SMALL, facts, first, position), aggregate(SMALL, facts, first, position[shuffled])
    np.testing.assert_array_equal(found.values, whole.values[shuffled])
    np.testing.assert_array_equal(found.original, whole.original[shuffled])


@pytest.mark.parametrize("spec", [HISTORY, replace(HISTORY, capacity=30), SMALL], ids=["512", "30", "4"])
def test_a_long_log_is_measured_as_the_oracle_does(spec: HistorySpec) -> None:
    log, _ = random_log(7, 700, spec, 8)
    assert_like_oracle(spec, log.tolist())


@pytest.mark.parametrize("size", [1, 7, 256])
@pytest.mark.parametrize("slack", [0, 5])
def test_batches_do_not_matter(size: int, slack: int) -> None:
    spec = replace(HISTORY, capacity=60)
    log, users = random_log(3, 600, spec, 8)
    whole = split(log, users, iter([600]), spec, slack)
    found = split(log, users, iter([size] * 600), spec, slack)
    assert found.values.tobytes() == whole.values.tobytes()
    np.testing.assert_array_equal(found.original, whole.original)


TIMES = st.sampled_from([NOW + d for d in (-100, -99, -80, -79, -50, -49, -10, -9, -1, 0, 1, 10, 50, 100)])
FACTS = st.builds(fact, TIMES, st.integers(0, 6), st.integers(0, 10**12), st.integers(0, 3), st.integers(-1, 2))


@settings(deadline=None)
@given(st.lists(FACTS, min_size=1, max_size=30))
def test_any_log_is_measured_as_the_oracle_does(log: list[list[int]]) -> None:
    assert_like_oracle(SMALL, log)


@settings(deadline=None)
@given(st.data(), st.lists(st.tuples(st.integers(0, 2), FACTS), min_size=1, max_size=40), st.integers(0, 3))
def test_any_batches_give_the_same_bits(data: st.DataObject, entries: list[tuple[int, list[int]]], slack: int) -> None:
    users = np.array([user for user, _ in entries])
    log = np.array([[offset, *row[1:]] for offset, (_, row) in enumerate(entries)])
    whole = split(log, users, iter([len(log)]), SMALL, slack)
    found = split(log, users, iter(lambda: data.draw(st.integers(1, 9)), None), SMALL, slack)
    assert found.values.tobytes() == whole.values.tobytes()
    assert found.original.tolist() == whole.original.tolist()


def test_read_only_facts_and_an_empty_batch_are_taken() -> None:
    facts, first, position = one_user([fact(NOW, 1), fact(NOW, 2)])
    frozen = np.frombuffer(facts.tobytes(), np.int64).reshape(facts.shape)
    np.testing.assert_array_equal(
        aggregate(SMALL, frozen, first, position).values, aggregate(SMALL, facts, first, position).values
    )
    assert aggregate(SMALL, facts, first[:0], position[:0]).values.shape == (0, len(SMALL.columns))


@pytest.mark.parametrize(("first", "position"), [(-1, 0), (0, 2), (1, 0)])
def test_places_outside_the_facts_are_refused(first: int, position: int) -> None:
    with pytest.raises(ValueError, match="first <= position"):
        aggregate(SMALL, np.zeros((2, 6), np.int64), np.array([first]), np.array([position]))


@pytest.mark.parametrize(
    "change",
    [
        {"windows": ()},
        {"windows": (("a", 50), ("b", 10))},
        {"windows": (("a", 101),)},
        {"capacity": 0},
        {"distinct_windows": ("week",)},
    ],
    ids=str,
)
def test_an_impossible_specification_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"window|capacity"):
        replace(SMALL, **change)  # type: ignore[arg-type]
