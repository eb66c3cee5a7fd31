"""Logs: structured, to stderr, in UTC, without payloads and without ids of users or events."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

REDACTED = "[redacted]"
# Nothing in this project logs these. Should a line ever do so, it says less instead of leaking.
_IDS = {"user_id", "event_id", "merchant_id", "device_id", "user", "event", "merchant", "device", "profile"}
_PAYLOADS = {"key", "value", "payload", "record", "headers", "body"}
_SECRETS = {"password", "secret", "token", "redis_url", "sasl_password", "ssl_key_password"}
SENSITIVE = frozenset(_IDS | _PAYLOADS | _SECRETS)


def configure_logs(level: str, form: str, stream: TextIO | None = None) -> None:
    """Set up every logger of the process, once, at start. `form` is `json` (a line is an object) or `console`."""
    out = stream or sys.stderr
    common: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    structlog.configure(
        processors=[*common, *_renderers(form, out)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    _bridge(level, common, _renderers(form, out), out)


def _bridge(level: str, common: list[Any], renderers: list[Any], out: TextIO) -> None:
    """What libraries log by the standard module, librdkafka's client among them, looks the same."""
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter = structlog.stdlib.ProcessorFormatter(processors=[strip, *renderers], foreign_pre_chain=common)
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: blanks the values of keys that could hold a payload, an id or a secret."""
    message = event.pop("event", "")  # structlog's own key for the message; anywhere else it is a payload
    event.update(_redacted(event))
    event["event"] = message
    return event


def _redacted(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: REDACTED if key in SENSITIVE else _redacted(value) for key, value in item.items()}
    return [_redacted(value) for value in item] if isinstance(item, list | tuple) else item


def _renderers(form: str, out: TextIO) -> list[Any]:
    if form == "console":
        return [structlog.dev.ConsoleRenderer(colors=out.isatty())]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
