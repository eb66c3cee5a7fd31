"""The contracts as documents: JSON Schemas and one AsyncAPI document, generated from the types, never edited.

`python -m riskstream.schemas.contracts` writes them, `--check` says whether the committed ones are still true.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from riskstream.schemas.dead_letter import HEADER_PREFIX, HEADERS, REASONS, STAGES
from riskstream.schemas.fields import Id
from riskstream.schemas.payment import Payment, PaymentProfile
from riskstream.schemas.score import RiskScore

DIRECTORY = Path(__file__).parents[2] / "docs" / "contracts"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

TYPES: dict[str, type[msgspec.Struct]] = {
    "payment.schema.json": Payment,
    "payment_profile.schema.json": PaymentProfile,
    "risk_score.schema.json": RiskScore,
}

EVENT_EXAMPLE = Payment(
    event_id="0190a6b2-7c3e-7d11-9f5b-1c2d3e4f5a6b",
    user_id="user-004211",
    event_time=1_760_000_000_000,
    amount=12_50,
    currency="EUR",
    merchant_id="m-004419",
    mcc="5411",
    country="DE",
    channel="web",
    device_id="d-88213",
    ip_country="AT",
    entry_mode="ecommerce",
    card_present=False,
)
SCORE_EXAMPLE = RiskScore(
    event_id=EVENT_EXAMPLE.event_id,
    user_id=EVENT_EXAMPLE.user_id,
    score=0.03125,
    decision="review",
    model="payment-risk@1.0.0",
    feature_set="0123456789abcdef",
    vector="fedcba9876543210",
    topic="transactions",
    partition=3,
    offset=42,
    event_time=EVENT_EXAMPLE.event_time,
    scored_at=EVENT_EXAMPLE.event_time + 7,
    degraded=("profile_stale",),
)

KEY = "`user_id` in UTF-8. Producers partition by murmur2 of the key, the Java client's default"
PLACE = "The output partition is the input partition, set explicitly, so one user's records stay in order."
KAFKA = {"bindingVersion": "0.5.0"}


def documents() -> dict[str, bytes]:
    """File names and their bytes, the same from every run."""
    schemas: dict[str, Any] = {name: {"$schema": DIALECT, **msgspec.json.schema(kind)} for name, kind in TYPES.items()}
    return {name: _pretty(document) for name, document in (schemas | {"asyncapi.json": asyncapi()}).items()}


def _pretty(document: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document of the topics, by their default names. Partition counts are all the input's."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Riskstream",
            "version": "1.0.0",
            "description": "Every record of `transactions` leads to exactly one record, committed: a risk score or "
            "a dead letter. Schemas only grow: a new field is optional, a type never changes. Ignore unknown fields.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "transactions": _channel("transactions", "payment", "Payment events to be scored."),
            "risk-scores": _channel("risk-scores", "riskScore", f"One score per scored event. {PLACE}"),
            "dead-letters": _channel("dead-letters", "deadLetter", f"Records that can never be scored. {PLACE}"),
        },
        "operations": {
            "scoreTransactions": _operation("receive", "transactions", "payment"),
            "publishRiskScores": _operation("send", "risk-scores", "riskScore"),
            "publishDeadLetters": _operation("send", "dead-letters", "deadLetter"),
        },
        "components": {"messages": _messages(), "schemas": _components()},
    }


def _channel(address: str, message: str, description: str) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"kafka": KAFKA},
    }


def _operation(action: str, channel: str, message: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
    }


def _messages() -> dict[str, Any]:
    key = {**msgspec.json.schema(Id), "description": f"{KEY} (librdkafka: `partitioner=murmur2_random`)."}
    return {
        "payment": {
            "title": "A payment event",
            "contentType": "application/json",
            "payload": {"$ref": "#/components/schemas/Payment"},
            "bindings": {"kafka": {"key": key, **KAFKA}},
            "examples": [{"name": "payment", "payload": msgspec.to_builtins(EVENT_EXAMPLE)}],
        },
        "riskScore": {
            "title": "A risk score",
            "contentType": "application/json",
            "payload": {"$ref": "#/components/schemas/RiskScore"},
            "bindings": {"kafka": {"key": {**key, "description": "`user_id` in UTF-8."}, **KAFKA}},
            "examples": [{"name": "score", "payload": msgspec.to_builtins(SCORE_EXAMPLE)}],
        },
        "deadLetter": {
            "title": "A dead letter",
            "description": "Key, value and headers as they came, byte for byte; the headers below are added after. "
            + " ".join(f"`{reason}`: {meaning}" for reason, meaning in REASONS.items()),
            "contentType": "application/octet-stream",
            "headers": {"$ref": "#/components/schemas/DeadLetterHeaders"},
            "payload": {"description": "the original bytes, whatever they are; none for a tombstone"},
            "bindings": {"kafka": {"key": {"description": "the original key, whatever it is"}, **KAFKA}},
        },
    }


def _components() -> dict[str, Any]:
    template = "#/components/schemas/{name}"
    _, schemas = msgspec.json.schema_components(TYPES.values(), ref_template=template)
    headers: dict[str, dict[str, Any]] = {
        HEADER_PREFIX + name: {"type": "string", "description": description} for name, description in HEADERS.items()
    }
    headers[HEADER_PREFIX + "stage"]["enum"] = list(STAGES)
    headers[HEADER_PREFIX + "reason"]["enum"] = list(REASONS)
    return schemas | {"DeadLetterHeaders": {"type": "object", "properties": headers, "required": list(headers)}}


def stale(directory: Path) -> list[str]:
    """Names of the documents in `directory` that are missing or no longer true."""
    return [
        name
        for name, text in documents().items()
        if not (directory / name).is_file() or (directory / name).read_bytes() != text
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns the exit status: 1 if `--check` found a stale document."""
    parser = argparse.ArgumentParser(prog="python -m riskstream.schemas.contracts", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a document is stale")
    parser.add_argument("--out", type=Path, default=DIRECTORY, help="the directory of the documents")
    options = parser.parse_args(arguments)
    if options.check:
        names = stale(options.out)
        sys.stderr.writelines(f"{options.out / name} is stale; write it again without --check\n" for name in names)
        return 1 if names else 0
    options.out.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (options.out / name).write_bytes(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
