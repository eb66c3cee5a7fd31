"""Settings to librdkafka's configuration. Each value that a guarantee rests on says which."""

from typing import Any

from riskstream.workers.settings import Settings

MESSAGE_MAX_BYTES = 17_000_000
"""A dead letter carries its original, so whatever could be consumed must be producible."""

LINGER_MS = 5
"""Of a transaction: its commit flushes, so this only lets one batch's records share requests."""

BATCH_BYTES = 1_000_000
"""librdkafka's own bound of what travels as one batch."""


def common_config(settings: Settings) -> dict[str, Any]:
    security = {
        "security.protocol": settings.kafka_security_protocol,
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": settings.sasl_password and settings.sasl_password.get_secret_value(),
        "ssl.ca.location": settings.ssl_ca_location and str(settings.ssl_ca_location),
        "ssl.certificate.location": settings.ssl_certificate_location and str(settings.ssl_certificate_location),
        "ssl.key.location": settings.ssl_key_location and str(settings.ssl_key_location),
        "ssl.key.password": settings.ssl_key_password and settings.ssl_key_password.get_secret_value(),
    }
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": f"riskstream-{settings.slot}",
        "message.max.bytes": MESSAGE_MAX_BYTES,
        "reconnect.backoff.max.ms": 2_000,
        "log_level": 4,  # warnings
        **{key: value for key, value in security.items() if value is not None},
        **settings.kafka_common_extra,
    }


def consumer_config(settings: Settings) -> dict[str, Any]:
    classic = {
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": settings.session_timeout_ms,
        "heartbeat.interval.ms": max(500, settings.session_timeout_ms // 3),
    }
    return {
        **common_config(settings),
        "fetch.wait.max.ms": 100,
        "fetch.error.backoff.ms": 50,
        **settings.kafka_consumer_extra,
        "group.id": settings.group,
        "group.protocol": settings.group_protocol,
        **(classic if settings.group_protocol == "classic" else {}),
        "max.poll.interval.ms": settings.max_poll_interval_ms,
        # Only committed input is scored, and only then are committed offsets stable ones.
        "isolation.level": "read_committed",
        # Offsets are committed in the batch's transaction; a lost one stops the worker instead of skipping events.
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "check.crcs": True,
    }


def producer_config(settings: Settings, batch_bytes: int = BATCH_BYTES, linger_ms: int = 0) -> dict[str, Any]:
    """`batch_bytes`: the largest batch of records that the topics take; the broker refuses a larger one as a whole.

    Without `linger_ms` records leave at once, for who flushes seldom; as soon as requests are under way they share one.
    """
    return {
        **common_config(settings),
        "compression.type": "lz4",
        "linger.ms": linger_ms,
        # After EndTxn the coordinator refuses the next transaction for a moment; the default of 100 ms is felt.
        "retry.backoff.ms": 2,
        "queue.buffering.max.messages": 1_000_000,
        "queue.buffering.max.kbytes": 1_000_000,
        **settings.kafka_producer_extra,
        "batch.size": min(batch_bytes, BATCH_BYTES),
        "enable.idempotence": True,
        "delivery.report.only.error": True,
    }


def transactional_config(settings: Settings, turn: str, batch_bytes: int = BATCH_BYTES) -> dict[str, Any]:
    """`turn` tells the producers of one worker apart. The id is stable, so that a restart fences what it left open."""
    return {
        **producer_config(settings, batch_bytes, LINGER_MS),
        "transactional.id": f"{settings.group}-{settings.slot}-{turn}",
        "transaction.timeout.ms": settings.transaction_timeout_ms,
        "message.timeout.ms": settings.transaction_timeout_ms,
    }
