"""The committed contracts are what the types say, and their examples are good records."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from riskstream.schemas import contracts
from riskstream.schemas.dead_letter import HEADER_PREFIX, LOSSES, REASONS, SKIPPED, Rejection, dead_letter_headers
from riskstream.schemas.decode import validate_event
from riskstream.schemas.score import decode_score


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((contracts.DIRECTORY / "asyncapi.json").read_bytes())
    return loaded


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield value
    for child in children:
        yield from nodes(child)


def test_the_committed_documents_are_up_to_date() -> None:
    assert contracts.stale(contracts.DIRECTORY) == []
    assert contracts.main(["--check"]) == 0


def test_a_stale_or_missing_document_is_noticed(tmp_path: Path) -> None:
    assert contracts.main(["--out", str(tmp_path)]) == 0
    (tmp_path / "asyncapi.json").write_text("{}")
    (tmp_path / "payment.schema.json").unlink()
    assert contracts.main(["--check", "--out", str(tmp_path)]) == 1
    assert contracts.stale(tmp_path) == ["payment.schema.json", "asyncapi.json"]


def test_the_page_for_people_lists_every_reason() -> None:
    page = (contracts.DIRECTORY / "README.md").read_text()
    assert all(f"| `{reason}` | {meaning} |" in page for reason, meaning in REASONS.items())


def test_every_reference_leads_somewhere() -> None:
    whole = document()
    for node in nodes(whole):
        place: Any = whole
        for step in node.get("$ref", "#").split("/")[1:]:
            place = place[step]
        assert place


def test_the_examples_are_good_records() -> None:
    messages = document()["components"]["messages"]
    event = messages["payment"]["examples"][0]["payload"]
    assert validate_event(event["user_id"].encode(), json.dumps(event).encode()) is None
    score = json.dumps(messages["riskScore"]["examples"][0]["payload"]).encode()
    assert json.loads(msgspec.json.encode(decode_score(score))) == json.loads(score)


def test_the_headers_of_a_dead_letter_are_the_documented_ones_in_their_order() -> None:
    headers = document()["components"]["schemas"]["DeadLetterHeaders"]
    sent = dead_letter_headers(Rejection("not_json", "", "malformed"), "decode", "transactions", 0, 1, 2)
    assert [name for name, _ in sent] == headers["required"]
    assert list(headers["properties"]) == headers["required"] + [HEADER_PREFIX + name for name in (*LOSSES, *SKIPPED)]
    assert headers["properties"]["__connect.errors.reason"]["enum"] == list(REASONS)


def test_patterns_mean_the_same_in_every_language() -> None:
    patterns = {node["pattern"] for node in nodes(document()) if isinstance(node.get("pattern"), str)}
    assert patterns
    assert all(re.fullmatch(r"\^\[[^\\]+\](\+|\{\d\})\$", pattern) for pattern in patterns)


def test_the_key_and_its_partitioner_are_documented() -> None:
    key = document()["components"]["messages"]["payment"]["bindings"]["kafka"]["key"]
    assert "user_id" in key["description"]
    assert "murmur2" in key["description"]


def test_schemas_let_unknown_fields_pass() -> None:
    for kind in contracts.TYPES.values():
        assert all(node.get("additionalProperties", True) for node in nodes(msgspec.json.schema(kind)))
