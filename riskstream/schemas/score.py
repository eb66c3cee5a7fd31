"""The risk score on the wire: what the worker says of one payment event, once. Keyed by `user_id`, like the event."""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from riskstream.schemas.fields import EpochMs, Id

Decision = Literal["approve", "review", "decline"]
Degraded = Literal["history_partial", "history_unavailable", "profile_stale", "profile_unavailable", "profile_invalid"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
DEGRADED: tuple[Degraded, ...] = get_args(Degraded)
HISTORY_PARTIAL, HISTORY_UNAVAILABLE, PROFILE_STALE, PROFILE_UNAVAILABLE, PROFILE_INVALID = (
    1 << bit for bit in range(len(DEGRADED))
)
"""What was missing, as bits of a column, in the order of DEGRADED."""

# The fields that may differ when the same log is scored again. Everything else is the same, byte for byte.
CLOCK_FIELDS = ("scored_at",)

Probability = Annotated[float, Meta(ge=0, le=1)]
Digest = Annotated[str, Meta(min_length=16, max_length=16, extra_json_schema={"pattern": "^[0-9a-f]+$"})]


class RiskScore(msgspec.Struct, kw_only=True, gc=False):
    """One event's score, with all that is needed to say afterwards why it was given."""

    event_id: Annotated[Id, Meta(description="the event's id, as it came")]
    user_id: Annotated[Id, Meta(description="the event's user, as it came; also the key")]
    score: Annotated[float, Meta(ge=0, le=1, description="calibrated probability of risk")]
    decision: Annotated[Decision, Meta(description="what the model's thresholds make of the score")]
    model: Annotated[str, Meta(description="name@version of the model")]
    feature_set: Annotated[Digest, Meta(description="hash of the feature table that the model was given")]
    vector: Annotated[Digest, Meta(description="hash of the feature vector: a replay of the log finds the same")]
    topic: Annotated[str, Meta(description="topic of the event")]
    partition: Annotated[int, Meta(ge=0, description="partition of the event, and of this score")]
    offset: Annotated[int, Meta(ge=0, description="offset of the event")]
    event_time: Annotated[EpochMs, Meta(description="the event's own time")]
    scored_at: Annotated[EpochMs, Meta(description="when it was scored, milliseconds since 1970-01-01 UTC")]
    duplicate: Annotated[bool, Meta(description="the same event_id came before; scored as what it was")] = False
    degraded: Annotated[tuple[Degraded, ...], Meta(description="what was missing; empty when all is well")] = ()
    probabilities: (
        Annotated[dict[str, Probability], Meta(description="per class or label, of a model that knows several")]
        | UnsetType
    ) = UNSET


_decode = msgspec.json.Decoder(RiskScore).decode


def decode_score(data: bytes) -> RiskScore:
    """The score in `data`, for consumers and tests. Raises msgspec.DecodeError if it does not follow the contract."""
    return _decode(data)
