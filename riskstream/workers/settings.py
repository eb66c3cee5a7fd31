"""Settings: one frozen value, read once at start; invalid means a clear message and exit code 2.

Every field is `RISKSTREAM_<NAME>` in the environment, or `RISKSTREAM_<NAME>_FILE` with the path of a file that holds
the value, or a file `<name>` in the directory `RISKSTREAM_SECRETS_DIR`. A new setting is one field here: its
description is the README's table row (tested), its bounds are the error message.
"""

import socket
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from riskstream.workers.librdkafka_extra import parse_extra, refuse_dangerous
from riskstream.workers.settings_drift import DriftSettings, StatsSettings
from riskstream.workers.settings_sources import PREFIX, FileSource, SettingsError, misspelled, problems

Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
Port = Annotated[int, Field(ge=0, le=65_535)]
Extra = Annotated[
    dict[str, str],
    NoDecode,
    BeforeValidator(parse_extra),
    AfterValidator(refuse_dangerous),
    Field(json_schema_extra={"secret": True}),
]


def _millis(default: int, meaning: str, least: int, most: int) -> Any:
    return Field(default, ge=least, le=most, description=meaning)


class KafkaSettings(BaseModel):
    """Kafka"""

    bootstrap_servers: str = Field(
        "localhost:9092", description="brokers to ask first, `host:port,host:port`", min_length=1
    )
    group: Name = Field("riskstream-scoring", description="consumer group of the scoring workers")
    slot: Name = Field(
        default_factory=lambda: socket.gethostname()[:128] or "slot-0",
        description="stable name of this replica, for transactional ids: no two live workers may share one",
        json_schema_extra={"default_text": "the host's name"},
    )
    group_protocol: Literal["classic", "consumer"] = Field(
        "classic",
        description="`classic` (cooperative-sticky) or `consumer` (KIP-848; the session timeout is then the broker's)",
    )
    session_timeout_ms: int = _millis(
        6_000, "a silent worker loses its partitions after this (classic only)", 1_000, 1_800_000
    )
    max_poll_interval_ms: int = _millis(
        300_000, "a worker that does not poll for this long loses its partitions", 10_000, 86_400_000
    )
    transaction_timeout_ms: int = _millis(
        10_000, "the broker aborts a dead worker's transaction after this; the broker allows 15 minutes", 1_000, 900_000
    )
    kafka_give_up_ms: int = _millis(
        120_000, "brokers unreachable for this long: the worker ends with exit code 75", 1_000, 86_400_000
    )
    stall_ms: int = _millis(
        60_000,
        "a partition with something to read that gives nothing for this long is begun anew; after twice that it is "
        "declared halted; longer than `transaction_timeout_ms`",
        1_000,
        86_400_000,
    )


class KafkaSecuritySettings(BaseModel):
    """Kafka security and passthrough"""

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to talk to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER"] | None = Field(
        None, description="needed with the `SASL_` protocols"
    )
    sasl_username: str | None = Field(None, description="user for `PLAIN` and `SCRAM`")
    sasl_password: SecretStr | None = Field(
        None, description="password for `PLAIN` and `SCRAM`; better given as a file"
    )
    ssl_ca_location: Path | None = Field(None, description="file of CA certificates; unset: the system's")
    ssl_certificate_location: Path | None = Field(None, description="client certificate (PEM)")
    ssl_key_location: Path | None = Field(None, description="client key (PEM)")
    ssl_key_password: SecretStr | None = Field(None, description="password of the client key")
    kafka_common_extra: Extra = Field(
        default_factory=dict,
        description="further librdkafka keys for every client, a JSON object or `key=value,key=value`; "
        "keys that the guarantees rest on are refused",
    )
    kafka_consumer_extra: Extra = Field(default_factory=dict, description="the same, for the consumer alone")
    kafka_producer_extra: Extra = Field(default_factory=dict, description="the same, for the producers alone")


class FlowSettings(BaseModel):
    """Topics and the flow"""

    input_topic: Topic = Field("transactions", description="topic of events, keyed by user")
    output_topic: Topic = Field("risk-scores", description="topic of scores")
    dead_letter_topic: Topic = Field("dead-letters", description="topic of records that cannot be scored")
    delivery: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once", description="`at_least_once` saves some milliseconds and may repeat scores after a crash"
    )
    start: Literal["earliest", "latest"] = Field(
        "earliest",
        description="where a group without committed offsets starts; never used again after the first commit",
    )
    max_batch: int = Field(4_096, ge=1, le=100_000, description="most records of one batch, that is of one transaction")
    max_event_bytes: int = Field(65_536, ge=256, le=16_777_216, description="larger events are dead letters")
    max_future_ms: int = _millis(
        86_400_000, "an event may lie this far after its record's timestamp, more is a dead letter", 0, 315_360_000_000
    )
    max_dead_letters_in_a_row: int = Field(
        1_000, ge=0, le=1_000_000_000, description="the worker halts after this many dead letters in a row; 0: never"
    )
    max_dead_letter_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="the worker halts above this share of dead letters among the last records; 1: never",
    )
    dead_letter_window: int = Field(
        1_000, ge=10, le=10_000_000, description="the number of last records that `max_dead_letter_share` looks at"
    )


class ModelSettings(BaseModel):
    """Domain and model"""

    domain: str = Field(
        "riskstream.models.payment",
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$",
        description="Python module with the domain: event type, facts, features",
    )
    bundle: Path | None = Field(
        None, description="the model bundle: its directory, or `name@version` in the registry; scoring needs one"
    )
    registry_uri: str = Field(
        ".riskstream/registry",
        min_length=1,
        repr=False,
        description="registry of models: a folder, or the `http(s)://` address of an MLflow tracking server",
        json_schema_extra={"secret": True},
    )
    registry_token: SecretStr | None = Field(None, description="bearer token for the tracking server")
    registry_cache: Path = Field(
        Path(".riskstream/bundles"), description="bundles that workers got from a tracking server are kept here"
    )
    tree_walk: bool = Field(
        True, description="walk the model's trees by our own code, if it gives ONNX Runtime's bits; else ONNX Runtime"
    )
    profile_max_age_hours: float | None = Field(
        None, gt=0, description="older profiles count as missing; unset: as the domain says"
    )


class HistorySettings(BaseModel):
    """Redis and the users' history"""

    redis_url: str = Field(
        "redis://localhost:6379/0",
        pattern=r"^(redis|rediss|unix)://",
        repr=False,
        description="`redis://`, `rediss://` (TLS) or `unix://`; a password in it is masked wherever it is shown",
        json_schema_extra={"secret": True},
    )
    redis_timeout_ms: int = _millis(500, "for one Redis call", 10, 60_000)
    redis_give_up_ms: int = _millis(3_000, "Redis counts as down after failing for this long", 100, 3_600_000)
    on_redis_down: Literal["degrade", "halt"] = Field(
        "degrade",
        description="`degrade`: score on without what Redis knows and say so; `halt`: end with exit code 75",
    )
    history_namespace: Name = Field(
        default_factory=lambda values: values.get("group", "riskstream-scoring"),
        description="prefix of the keys in Redis; it belongs to one group, whose workers share the histories",
        json_schema_extra={"default_text": "the group"},
    )
    history_cache_mb: int = Field(
        512, ge=1, le=1_048_576, description="memory for histories of recent users in a worker"
    )
    log_is_complete: bool = Field(
        False,
        description="the input topic holds every event there ever was, so a history read from offset 0 is complete",
    )
    write_behind_ms: int = _millis(
        200,
        "committed facts wait at most this long before they go to Redis; at least once, so do offsets to be committed",
        0,
        60_000,
    )
    write_behind_users: int = Field(
        2_048, ge=1, le=1_000_000, description="... or until so many users have some that wait"
    )


class SurfaceSettings(BaseModel):
    """Health, metrics and logs"""

    health_host: str = Field("127.0.0.1", description="address for `/metrics`, `/livez`, `/readyz`", min_length=1)
    health_port: Port = Field(8_080, description="its port; 0: any free one, which the log names")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severity that is logged")
    log_format: Literal["json", "console"] = Field("json", description="`console` is for people")


SECTIONS: tuple[type[BaseModel], ...] = (
    KafkaSettings, FlowSettings, ModelSettings, HistorySettings, SurfaceSettings, StatsSettings, DriftSettings,
    KafkaSecuritySettings,
)  # fmt: skip


class Settings(
    KafkaSecuritySettings,
    DriftSettings,
    StatsSettings,
    SurfaceSettings,
    HistorySettings,
    ModelSettings,
    FlowSettings,
    KafkaSettings,
    BaseSettings,
):
    """Everything that can be set. Components are given the piece that they need, not this."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, FileSource(settings_cls)

    @property
    def topics(self) -> tuple[str, ...]:
        """What a worker reads and writes: input, output, dead letters, and the stats if it counts."""
        return self.input_topic, self.output_topic, self.dead_letter_topic, *([self.stats_topic] * self.stats)

    @property
    def drift_topics(self) -> tuple[str, str]:
        """What the sidecar writes: reports, state."""
        return self.drift_topic, self.drift_state_topic

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for wrong, reason in (
            (
                len({*self.topics, *self.drift_topics}) < len(self.topics) + 2,
                "input_topic, output_topic, dead_letter_topic, stats_topic, drift_topic and drift_state_topic "
                "must be six different topics",
            ),
            (
                self.session_timeout_ms > self.max_poll_interval_ms,
                "session_timeout_ms must not be longer than max_poll_interval_ms",
            ),
            (
                self.redis_timeout_ms > self.redis_give_up_ms,
                "redis_timeout_ms must not be longer than redis_give_up_ms",
            ),
            (
                self.kafka_security_protocol.startswith("SASL") and self.sasl_mechanism is None,
                f"sasl_mechanism must be set with kafka_security_protocol={self.kafka_security_protocol}",
            ),
            (
                self._uses_password and not (self.sasl_username and self.sasl_password),
                f"sasl_username and sasl_password must be set with sasl_mechanism={self.sasl_mechanism}",
            ),
        ):
            if wrong:
                raise ValueError(reason)
        return self

    @property
    def _uses_password(self) -> bool:
        return self.sasl_mechanism is not None and self.sasl_mechanism.startswith(("PLAIN", "SCRAM"))

    def required_bundle(self) -> Path:
        """The bundle's directory or NAME@VERSION; SettingsError when it was not set."""
        if self.bundle is None:
            raise SettingsError(
                [f"{PREFIX}BUNDLE: must be set, a bundle's directory or NAME@VERSION. `riskstream train` makes one."]
            )
        return self.bundle


def load_settings(**given: Any) -> Settings:
    """Read the settings from `given` (they win), the environment and files. SettingsError names every problem."""
    misspelt = misspelled(Settings)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingsError(misspelt + problems(Settings, error)) from None
    if misspelt:
        raise SettingsError(misspelt)
    return settings
