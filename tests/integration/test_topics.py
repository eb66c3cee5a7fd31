"""`riskstream topics create` makes what is missing and tells what differs; it never changes a topic."""

from collections.abc import Callable

import pytest

from riskstream.deploy.stack import LocalStack
from riskstream.workers.kafka.admin import create_topics, describe_topics
from riskstream.workers.settings import Settings, load_settings
from riskstream.workers.topics import Outcome, Wish, ensure_topics


@pytest.fixture
def settings(stack: LocalStack, unique_name: Callable[[str], str]) -> Settings:
    kinds = ("input_topic", "output_topic", "dead_letter_topic", "stats_topic", "drift_topic", "drift_state_topic")
    names = {name: unique_name(name) for name in kinds}
    return load_settings(bootstrap_servers=stack.environment["RISKSTREAM_BOOTSTRAP_SERVERS"], **names)


def states(outcomes: list[Outcome]) -> list[tuple[int, str]]:
    return [(outcome.partitions, outcome.state) for outcome in outcomes]


def test_missing_topics_are_made_alike(settings: Settings) -> None:
    assert states(ensure_topics(settings, Wish(partitions=3))) == [(3, "created")] * 4 + [(1, "created")] * 2


def test_a_second_time_changes_nothing(settings: Settings) -> None:
    ensure_topics(settings, Wish(partitions=3))
    assert states(ensure_topics(settings, Wish())) == [(3, "exists")] * 4 + [(1, "exists")] * 2


def test_the_others_follow_an_input_that_is_there(settings: Settings) -> None:
    create_topics(settings, {settings.input_topic: 5}, 1, {})
    assert states(ensure_topics(settings, Wish())) == [(5, "exists")] + [(5, "created")] * 3 + [(1, "created")] * 2


def test_another_number_of_partitions_is_told(settings: Settings) -> None:
    ensure_topics(settings, Wish(partitions=2))
    outcomes = ensure_topics(settings, Wish(partitions=4))
    assert states(outcomes) == [(2, "differs")] * 4 + [(1, "exists")] * 2
    assert outcomes[0].note == "has 2 partitions, not 4"


def test_the_largest_record_fits_into_a_dead_letter(settings: Settings) -> None:
    ensure_topics(settings, Wish(partitions=1))
    made = describe_topics(settings, settings.topics)
    assert made[settings.dead_letter_topic].max_message_bytes > made[settings.input_topic].max_message_bytes


def test_dead_letters_that_could_not_take_the_largest_record_are_told(settings: Settings) -> None:
    create_topics(settings, {settings.dead_letter_topic: 1}, 1, {"max.message.bytes": "1000"})
    assert "do not fit" in ensure_topics(settings, Wish(partitions=1))[2].note
