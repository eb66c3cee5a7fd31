"""What librdkafka is told: every value that a guarantee rests on, whatever the passthrough says."""

import os
from typing import Any

import pytest
from pydantic import SecretStr

from riskstream.workers.kafka.config import common_config, consumer_config, producer_config, transactional_config
from riskstream.workers.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RISKSTREAM_")]:
        monkeypatch.delenv(name)


def settings(**given: Any) -> Settings:
    return load_settings(group="g", slot="s", **given)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("isolation.level", "read_committed"),
        ("enable.auto.commit", False),
        ("enable.auto.offset.store", False),
        ("auto.offset.reset", "error"),
        ("partition.assignment.strategy", "cooperative-sticky"),
    ],
)
def test_only_committed_input_is_read_and_no_offset_moves_by_itself(key: str, value: object) -> None:
    assert consumer_config(settings())[key] == value


def test_a_silent_worker_is_noticed_after_missed_heartbeats() -> None:
    config = consumer_config(settings(session_timeout_ms=9_000))
    assert (config["session.timeout.ms"], config["heartbeat.interval.ms"]) == (9_000, 3_000)


def test_kip_848_knows_none_of_the_classic_keys() -> None:
    config = consumer_config(settings(group_protocol="consumer"))
    assert config["group.protocol"] == "consumer"
    assert not {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"} & set(config)


def test_the_producers_of_a_slot_have_ids_that_outlive_it() -> None:
    ids = [transactional_config(settings(), turn)["transactional.id"] for turn in ("a", "b", "a")]
    assert ids == ["g-s-a", "g-s-b", "g-s-a"]


def test_nothing_is_retried_beyond_its_transaction() -> None:
    config = transactional_config(settings(transaction_timeout_ms=5_000), "a")
    assert config["message.timeout.ms"] == config["transaction.timeout.ms"] == 5_000


def test_producers_are_idempotent_and_at_least_once_has_no_transaction() -> None:
    config = producer_config(settings())
    assert config["enable.idempotence"] is True
    assert "transactional.id" not in config


def test_records_wait_for_each_other_only_in_a_transaction_whose_commit_flushes() -> None:
    assert transactional_config(settings(), "a")["linger.ms"] > producer_config(settings())["linger.ms"] == 0


def test_extra_keys_reach_their_clients_alone() -> None:
    given = settings(
        kafka_common_extra="socket.keepalive.enable=true",
        kafka_consumer_extra="fetch.min.bytes=7",
        kafka_producer_extra="linger.ms=0",
    )
    assert common_config(given)["socket.keepalive.enable"] == "true"
    assert consumer_config(given)["fetch.min.bytes"] == "7"
    assert producer_config(given)["linger.ms"] == "0"
    assert "linger.ms" not in consumer_config(given)
    assert "fetch.min.bytes" not in producer_config(given)


def test_what_is_not_set_is_left_to_librdkafka() -> None:
    assert None not in common_config(settings()).values()
    assert "sasl.mechanism" not in common_config(settings())


def test_secrets_reach_the_client_as_they_are() -> None:
    given = settings(
        kafka_security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username="me",
        sasl_password=SecretStr("hunter2"),
        ssl_ca_location="/ca.pem",
    )
    config = common_config(given)
    assert (config["sasl.password"], config["ssl.ca.location"]) == ("hunter2", "/ca.pem")
