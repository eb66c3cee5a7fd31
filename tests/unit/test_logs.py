"""Logs say what happened, never to whom."""

import io
import json
import logging
from typing import Any

import pytest
import structlog

from riskstream.workers.logs import REDACTED, configure_logs


@pytest.fixture(autouse=True)
def untouched() -> Any:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def logged(level: str = "info", form: str = "json", /, **values: Any) -> str:
    out = io.StringIO()
    configure_logs(level, form, out)
    structlog.get_logger().info("scored", **values)
    return out.getvalue()


def test_a_line_is_one_json_object_with_utc_time() -> None:
    line = json.loads(logged(events=3))
    assert (line["event"], line["level"], line["events"]) == ("scored", "info", 3)
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("key", ["user_id", "event_id", "key", "value", "payload", "password", "redis_url"])
def test_payloads_ids_and_secrets_are_blanked(key: str) -> None:
    assert json.loads(logged(**{key: "alice"}))[key] == REDACTED


def test_what_is_nested_is_blanked_too() -> None:
    line = json.loads(logged(record_of=[{"user_id": "alice", "event": "x", "offset": 3}]))
    assert line["record_of"] == [{"user_id": REDACTED, "event": REDACTED, "offset": 3}]


def test_less_than_the_level_is_not_logged() -> None:
    assert logged("warning") == ""


def test_the_console_form_is_text() -> None:
    assert "scored" in logged("info", "console", events=3)


def test_what_a_library_logs_looks_the_same() -> None:
    out = io.StringIO()
    configure_logs("info", "json", out)
    logging.getLogger("somewhere").warning("lost %s", "touch")
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"]) == ("lost touch", "warning")


def test_an_exception_stays_on_its_line() -> None:
    out = io.StringIO()
    configure_logs("info", "json", out)
    try:
        raise ValueError("odd")
    except ValueError:
        structlog.get_logger().exception("bug")
    assert "ValueError: odd" in json.loads(out.getvalue())["exception"]
