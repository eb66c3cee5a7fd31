"""The demo's count finds what is lost, doubled, in the wrong place, out of order or wrong."""

from riskstream.deploy.demo.count import SCORED, Answer, Content, Place, count

SENT: dict[Place, Content] = {
    (0, 0): Content(b"user-1", SCORED, "event-1"),
    (0, 1): Content(b"user-1", "not_json", b"{"),
    (0, 2): Content(b"user-1", SCORED, "event-2"),
    (1, 0): Content(b"user-2", SCORED, "event-3"),
}
ANSWERS = [Answer(place[0], place, content) for place, content in SENT.items()]


def test_one_answer_each_is_no_problem() -> None:
    verdict = count(SENT, ANSWERS)
    assert verdict.problems == []
    assert str(verdict) == "in=4 scored=3 dead_letters=1 lost=0 doubled=0"


def test_a_missing_answer_is_a_lost_record() -> None:
    verdict = count(SENT, ANSWERS[:-1])
    assert verdict.problems == ["1 records without an answer: partition 1 offset 0"]
    assert str(verdict) == "in=4 scored=2 dead_letters=1 lost=1 doubled=0"


def test_every_answer_beyond_the_first_is_one_too_many() -> None:
    verdict = count(SENT, [*ANSWERS, ANSWERS[1], ANSWERS[1]])
    assert verdict.problems == ["2 answers too many: partition 0 offset 1, partition 0 offset 1"]
    assert str(verdict) == "in=4 scored=3 dead_letters=3 lost=0 doubled=2"


def test_a_doubled_answer_does_not_hide_a_lost_one() -> None:
    assert str(count(SENT, [*ANSWERS[:-1], ANSWERS[0]])).endswith("lost=1 doubled=1")


def test_an_answer_to_nothing_that_was_sent_is_unknown() -> None:
    strange = [Answer(0, (0, 99), ANSWERS[0].content), Answer(0, None, Content(None, "unreadable", None))]
    assert count(SENT, [*ANSWERS, *strange]).problems == ["2 answers to records that were not sent"]


def test_an_answer_belongs_into_the_partition_of_its_record() -> None:
    moved = ANSWERS[-1]._replace(partition=0)
    assert count(SENT, [*ANSWERS[:-1], moved]).misplaced == [(1, 0)]


def test_scores_of_a_partition_keep_its_order() -> None:
    assert count(SENT, [ANSWERS[2], ANSWERS[0], *ANSWERS[1:2], ANSWERS[3]]).disordered == [(0, 0)]


def test_dead_letters_may_come_before_or_after_scores() -> None:
    assert count(SENT, [ANSWERS[1], *ANSWERS[2:1:-1], ANSWERS[3], ANSWERS[0]]).problems != []
    assert count(SENT, [ANSWERS[0], ANSWERS[2], ANSWERS[3], ANSWERS[1]]).problems == []


def test_an_answer_says_what_was_planned() -> None:
    others = (Content(b"user-1", "empty_value", b"{"), Content(b"user-1", "not_json", b"["), ANSWERS[0].content)
    for other in others:
        assert count(SENT, [ANSWERS[0], Answer(0, (0, 1), other), *ANSWERS[2:]]).wrong == [(0, 1)]


def test_many_problems_are_told_in_one_line() -> None:
    [problem] = count({(0, offset): ANSWERS[0].content for offset in range(20)}, []).problems
    assert problem.startswith("20 records without an answer: partition 0 offset 0, ")
    assert problem.endswith("partition 0 offset 4, ...")
