"""Extra librdkafka keys that operators may pass through, and the few that they may not, each with its reason."""

import json
from typing import Any

_OWN_SETTING = "has a setting of its own: RISKSTREAM_{}"
_OFFSETS = "offsets are committed with the scores, in their transaction; a second way would lose or double events"
_ORDER = "scores of one user would come out of order or twice"
_LIMIT = "derives from the topics' max.message.bytes, so that every dead letter can be published"
_ROUTE = "the output partition is a function of the input's and is set for each record"

REFUSED: dict[str, str] = {
    "enable.auto.commit": _OFFSETS,
    "auto.commit.enable": _OFFSETS,
    "auto.commit.interval.ms": _OFFSETS,
    "enable.auto.offset.store": _OFFSETS,
    "auto.offset.reset": "a lost offset must stop the worker, not skip events; the first start is RISKSTREAM_START",
    "isolation.level": "only committed records may be scored",
    "enable.partition.eof": "the loop would take the end of a partition for a record",
    "partition.assignment.strategy": "the loop relies on cooperative assignment",
    "enable.idempotence": _ORDER,
    "enable.gapless.guarantee": _ORDER,
    "acks": _ORDER,
    "request.required.acks": _ORDER,
    "max.in.flight": _ORDER,
    "max.in.flight.requests.per.connection": _ORDER,
    "retries": _ORDER,
    "message.send.max.retries": _ORDER,
    "partitioner": _ROUTE,
    "sticky.partitioning.linger.ms": _ROUTE,
    "transactional.id": "derives from RISKSTREAM_GROUP and RISKSTREAM_SLOT; a shared one fences a healthy worker",
    "group.instance.id": "derives from nothing on purpose: a static member keeps its partitions while it is dead",
    "message.max.bytes": _LIMIT,
    "batch.size": _LIMIT,
    "bootstrap.servers": _OWN_SETTING.format("BOOTSTRAP_SERVERS"),
    "metadata.broker.list": _OWN_SETTING.format("BOOTSTRAP_SERVERS"),
    "group.id": _OWN_SETTING.format("GROUP"),
    "group.protocol": _OWN_SETTING.format("GROUP_PROTOCOL"),
    "session.timeout.ms": _OWN_SETTING.format("SESSION_TIMEOUT_MS"),
    "max.poll.interval.ms": _OWN_SETTING.format("MAX_POLL_INTERVAL_MS"),
    "transaction.timeout.ms": _OWN_SETTING.format("TRANSACTION_TIMEOUT_MS"),
    "security.protocol": _OWN_SETTING.format("KAFKA_SECURITY_PROTOCOL"),
    "sasl.mechanism": _OWN_SETTING.format("SASL_MECHANISM"),
    "sasl.mechanisms": _OWN_SETTING.format("SASL_MECHANISM"),
    "sasl.username": _OWN_SETTING.format("SASL_USERNAME"),
    "sasl.password": _OWN_SETTING.format("SASL_PASSWORD"),
    "ssl.ca.location": _OWN_SETTING.format("SSL_CA_LOCATION"),
    "ssl.certificate.location": _OWN_SETTING.format("SSL_CERTIFICATE_LOCATION"),
    "ssl.key.location": _OWN_SETTING.format("SSL_KEY_LOCATION"),
    "ssl.key.password": _OWN_SETTING.format("SSL_KEY_PASSWORD"),
    "plugin.library.paths": "would load code into the worker",
}


def parse_extra(value: Any) -> Any:
    """`{"key": value}` as JSON, or `key=value,key=value`, to a dict of strings as librdkafka takes them."""
    if isinstance(value, str):
        value = _from_json(value) if value.lstrip().startswith("{") else _from_pairs(value)
    return {key: _text(item) for key, item in value.items()} if isinstance(value, dict) else value


def refuse_dangerous(extra: dict[str, str]) -> dict[str, str]:
    """The keys unchanged, or ValueError with the reason for each key that a guarantee rests on."""
    wrong = [f"{key} cannot be passed through: {REFUSED[key]}" for key in extra if key in REFUSED]
    if wrong:
        raise ValueError("; ".join(wrong))
    return extra


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not a JSON object ({error})") from None


def _from_pairs(text: str) -> dict[str, str]:
    pairs = [item.strip().partition("=") for item in text.split(",") if item.strip()]
    for key, sign, _ in pairs:
        if not (key.strip() and sign):
            raise ValueError(f"{key!r} is not key=value")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _text(value: Any) -> Any:
    """JSON's true is librdkafka's "true". Lists and objects stay, and fail as no string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value
