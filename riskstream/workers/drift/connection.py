"""Settings to aiokafka's configuration: how to reach the brokers, the same for every client of the sidecar."""

import ssl
from typing import Any

from aiokafka.helpers import create_ssl_context

from riskstream.workers.settings import Settings

REQUEST_TIMEOUT_MS = 10_000


def connection(settings: Settings) -> dict[str, Any]:
    protocol = settings.kafka_security_protocol
    password = settings.sasl_password and settings.sasl_password.get_secret_value()
    sasl = {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": password,
    }
    return {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": f"riskstream-{settings.slot}",
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "security_protocol": protocol,
        **({"ssl_context": _ssl(settings)} if protocol.endswith("SSL") else {}),
        **({name: value for name, value in sasl.items() if value} if protocol.startswith("SASL") else {}),
    }


def _ssl(settings: Settings) -> ssl.SSLContext:
    def text(path: object) -> str | None:
        return None if path is None else str(path)

    password = settings.ssl_key_password and settings.ssl_key_password.get_secret_value()
    context: ssl.SSLContext = create_ssl_context(
        cafile=text(settings.ssl_ca_location),
        certfile=text(settings.ssl_certificate_location),
        keyfile=text(settings.ssl_key_location),
        password=password,
    )
    return context
