"""Settings come from variables and files, and say what is wrong with them."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from riskstream.workers.librdkafka_extra import REFUSED
from riskstream.workers.settings import SECTIONS, Settings, load_settings
from riskstream.workers.settings_report import effective_table, mask_url, shown
from riskstream.workers.settings_sources import SettingsError, origin, unknown_variables


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RISKSTREAM_")]:
        monkeypatch.delenv(name)


def problems(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    for name, value in variables.items():
        monkeypatch.setenv(f"RISKSTREAM_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return caught.value.problems


def test_nothing_needs_to_be_set() -> None:
    assert load_settings().input_topic == "transactions"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().max_batch = 3


def test_the_sections_hold_every_setting_once() -> None:
    names = [name for section in SECTIONS for name in section.model_fields]
    assert sorted(names) == sorted(Settings.model_fields)


def test_every_setting_has_a_meaning() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_a_variable_wins_over_a_file_and_an_argument_over_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "group").write_text("from-file\n")
    monkeypatch.setenv("RISKSTREAM_SECRETS_DIR", str(tmp_path))
    assert load_settings().group == "from-file"
    monkeypatch.setenv("RISKSTREAM_GROUP", "from-variable")
    assert load_settings().group == "from-variable"
    assert load_settings(group="given").group == "given"


def test_a_secret_comes_from_the_file_that_a_variable_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "pw"
    path.write_text("hunter2\n")
    monkeypatch.setenv("RISKSTREAM_SASL_PASSWORD_FILE", str(path))
    settings = load_settings()
    assert settings.sasl_password is not None
    assert settings.sasl_password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)
    assert origin("sasl_password") == f"file {path}"


def test_a_missing_secret_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, SASL_PASSWORD_FILE="/nowhere/pw") == [
        "RISKSTREAM_SASL_PASSWORD_FILE: cannot read /nowhere/pw: No such file or directory"
    ]


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISKSTREAM_BUNDLE", "")
    assert load_settings().bundle is None


def test_the_history_namespace_is_the_group() -> None:
    assert load_settings(group="blue").history_namespace == "blue"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MAX_BATCH", "many", "RISKSTREAM_MAX_BATCH: should be a valid integer"),
        ("MAX_BATCH", "0", "it is '0'. Allowed: 1 to 100000."),
        ("DELIVERY", "twice", "Allowed: exactly_once, at_least_once."),
        ("LOG_IS_COMPLETE", "maybe", "Allowed: true, false."),
        ("GROUP", "a b", "RISKSTREAM_GROUP: String should match pattern"),
        ("MAX_DEAD_LETTER_SHARE", "0", "Allowed: more than 0 and at most 1."),
        ("SASL_MECHANISM", "MAGIC", "Allowed: PLAIN, SCRAM-SHA-256"),
    ],
)
def test_a_problem_names_the_variable_the_reason_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    [problem] = problems(monkeypatch, **{name: value})
    assert problem.startswith(f"RISKSTREAM_{name}: ")
    assert expected in problem


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(problems(monkeypatch, MAX_BATCH="x", DELIVERY="y", START="z")) == 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"output_topic": "transactions"}, "RISKSTREAM_DRIFT_STATE_TOPIC must be six different topics"),
        ({"kafka_security_protocol": "SASL_SSL"}, "RISKSTREAM_SASL_MECHANISM must be set with RISKSTREAM_KAFKA_SEC"),
        ({"sasl_mechanism": "PLAIN"}, "RISKSTREAM_SASL_USERNAME and RISKSTREAM_SASL_PASSWORD must be set"),
        ({"session_timeout_ms": 900_000}, "RISKSTREAM_SESSION_TIMEOUT_MS must not be longer than RISKSTREAM_MAX_POLL"),
        ({"redis_give_up_ms": 100}, "RISKSTREAM_REDIS_TIMEOUT_MS must not be longer"),
    ],
)
def test_settings_must_fit_together(given: dict[str, object], expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    assert expected in str(caught.value)


def test_a_wrong_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    told = problems(monkeypatch, REDIS_URL="http://:hunter2@x", KAFKA_COMMON_EXTRA="acks=1,sasl.oauth.token=hunter2")
    assert len(told) == 2
    assert "hunter2" not in str(told)


def test_a_misspelt_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = "RISKSTREAM_MAX_BACH: there is no such setting; did you mean RISKSTREAM_MAX_BATCH?"
    assert problems(monkeypatch, MAX_BACH="3") == [expected]


def test_an_unknown_variable_is_told_but_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISKSTREAM_PORT_8080_TCP_ADDR", "10.0.0.1")  # what Kubernetes sets for a service of that name
    load_settings()
    assert unknown_variables(Settings) == ["RISKSTREAM_PORT_8080_TCP_ADDR"]


@pytest.mark.parametrize("text", ['{"linger.ms": 3, "check.crcs": true}', "linger.ms=3, check.crcs=true"])
def test_extra_keys_pass_through(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("RISKSTREAM_KAFKA_COMMON_EXTRA", text)
    assert load_settings().kafka_common_extra == {"linger.ms": "3", "check.crcs": "true"}


@pytest.mark.parametrize("key", REFUSED)
def test_a_key_that_a_guarantee_rests_on_is_refused(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    [problem] = problems(monkeypatch, KAFKA_CONSUMER_EXTRA=f"{key}=x")
    assert f"{key} cannot be passed through: {REFUSED[key]}" in problem


@pytest.mark.parametrize("text", ["{", "[1]", "linger.ms", '{"a": [1]}', '{"a": null}'])
def test_extra_keys_that_are_no_table_of_texts_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert "RISKSTREAM_KAFKA_PRODUCER_EXTRA" in problems(monkeypatch, KAFKA_PRODUCER_EXTRA=text)[0]


def test_scoring_without_a_bundle_says_how_to_get_one() -> None:
    with pytest.raises(SettingsError, match=r"RISKSTREAM_BUNDLE: must be set.*riskstream train"):
        load_settings().required_bundle()


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("rediss://bob:pw@host/1", "rediss://bob:***@host/1"),
        ("redis://:p@w@host", "redis://:***@host"),
        ("redis://host?password=pw", "redis://host?***"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, masked: str) -> None:
    assert mask_url(url) == masked


def test_passed_through_secrets_are_masked() -> None:
    field = Settings.model_fields["kafka_common_extra"]
    assert shown(field, {"a": "1", "ssl.keystore.password": "x"}) == "a=1, ssl.keystore.password=***"


def test_the_effective_settings_have_a_row_each() -> None:
    assert effective_table(load_settings()).row_count == len(Settings.model_fields)
