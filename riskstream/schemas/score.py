"""The risk score on the wire: what the worker says of one payment event, once. Keyed by `user_id`, like the event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from riskstream.schemas.fields import EpochMs, Id

Decision = Literal["approve", "review", "decline"]
Degraded = Literal["history_partial", "history_unavailable", "profile_stale", "profile_unavailable", "profile_invalid"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
DEGRADED: tuple[Degraded, ...] = get_args(Degraded)
HISTORY_PARTIAL, HISTORY_UNAVAILABLE, PROFILE_STALE, PROFILE_UNAVAILABLE, PROFILE_INVALID = (
    np.uint8(1 << bit) for bit in range(len(DEGRADED))
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


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RiskScore).decode
_PLAIN = bytes(code for code in range(32, 127) if chr(code) not in '"\\')  # stands in JSON for itself


@dataclass(frozen=True)
class Stamp:
    """What all scores of a batch have in common."""

    model: str
    feature_set: str
    topic: str
    scored_at: int


class Scores(NamedTuple):
    """The rest, a column each, all of one length. `decisions` are positions in DECISIONS, `degraded` bits, the first of
    DEGRADED the lowest; `vectors` are digests; `probabilities` are None where the model has but one."""

    event_ids: Sequence[str]
    user_ids: Sequence[str]
    scores: NDArray[np.float64]
    decisions: NDArray[np.uint8]
    vectors: Sequence[str]
    partitions: Sequence[int]
    offsets: Sequence[int]
    event_times: Sequence[int]
    duplicates: NDArray[np.bool_]
    degraded: NDArray[np.uint8]
    probabilities: Sequence[Mapping[str, float]] | None = None


def encode_scores(stamp: Stamp, rows: Scores) -> list[bytes]:
    """Each row's RiskScore, in the very bytes that encoding the struct gives; a struct each would cost half as much
    again. Raises ValueError for a score outside [0, 1] or NaN, which JSON would turn into null."""
    if not ((rows.scores >= 0.0) & (rows.scores <= 1.0)).all():
        raise ValueError("a risk score must be a finite number from 0 to 1")
    model = f'"model":{_text(stamp.model)},"feature_set":"{stamp.feature_set}","vector":"'
    decided = [f'"{decision}",{model}' for decision in DECISIONS]
    topic = f'","topic":{_text(stamp.topic)},"partition":'
    places = {number: f'{topic}{number},"offset":' for number in set(rows.partitions)}
    endings = (rows.degraded.astype(np.int64) << 1 | rows.duplicates).tolist()
    ends = {ending: _ending(stamp.scored_at, ending) for ending in set(endings)}
    columns = zip(
        _texts(rows.event_ids),
        _texts(rows.user_ids),
        _encode(rows.scores.tolist())[1:-1].decode().split(","),  # so that numbers look as msgspec has them
        [decided[decision] for decision in rows.decisions.tolist()],
        rows.vectors,
        [places[number] for number in rows.partitions],
        rows.offsets,
        rows.event_times,
        [ends[ending] for ending in endings] if rows.probabilities is None else _probable(rows, ends, endings),
        strict=len(rows.scores) > 0,  # a split of nothing is one
    )
    return [
        f'{{"event_id":"{event}","user_id":"{user}","score":{score},"decision":{decision}{vector}'
        f'{place}{offset},"event_time":{time}{end}'.encode()
        for event, user, score, decision, vector, place, offset, time, end in columns
    ]


def _ending(scored_at: int, ending: int) -> str:
    names = [name for bit, name in enumerate(DEGRADED) if ending >> (bit + 1) & 1]
    return f',"scored_at":{scored_at},"duplicate":{_text(bool(ending & 1))},"degraded":{_text(names)}}}'


def _probable(rows: Scores, ends: Mapping[int, str], endings: Sequence[int]) -> list[str]:
    found = zip(endings, rows.probabilities or (), strict=True)
    return [f'{ends[ending][:-1]},"probabilities":{_text(probabilities)}}}' for ending, probabilities in found]


def _text(value: object) -> str:
    return _encode(value).decode()


def _texts(texts: Sequence[str]) -> Sequence[str]:
    """What stands between the quotes; ids mostly stand there as they are."""
    whole = "".join(texts)
    if whole.isascii() and not whole.encode().translate(None, _PLAIN):
        return texts
    return [_text(text)[1:-1] for text in texts]


def decode_score(data: bytes) -> RiskScore:
    """The score in `data`, for consumers and tests. Raises msgspec.DecodeError if it does not follow the contract."""
    return _decode(data)
