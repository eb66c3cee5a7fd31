"""Standstills are told apart: the group's, and a reader's."""

from tests.faults.progress import Look, standstills


def told(looks: list[Look]) -> list[tuple[str, float]]:
    return [(each.who, each.seconds) for each in standstills(looks)]


def test_a_group_that_goes_on_did_not_stand_still() -> None:
    assert told([Look(at, 10 * at, 10 * at + 5, 10 * at) for at in range(60)]) == []


def test_nothing_to_do_is_no_standstill() -> None:
    assert told([Look(at, 100, 100, 100) for at in range(60)]) == []


def test_a_group_that_commits_nothing_while_records_wait() -> None:
    assert told([Look(at, 100, 100 + at, 100) for at in range(31)]) == [("the group", 29.0)]


def test_a_reader_who_gets_nothing_while_the_group_goes_on() -> None:
    looks = [Look(at, 10 * at, 10 * at, 10 * min(at, 10)) for at in range(40)]
    assert told(looks) == [("the reader", 28.0)]


def test_a_standstill_that_ended_is_told_all_the_same() -> None:
    looks = [Look(at, 100 if at < 20 else 200, 150, 100 if at < 20 else 200) for at in range(40)]
    assert told(looks) == [("the group", 19.0)]
