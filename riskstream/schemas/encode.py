"""Encode: scored events become the bytes of their records. The counterpart of decode, with no object for an event.

One compiled pass writes all rows of a batch, one after the other, each in the very bytes that encoding its RiskScore
gives. A module of its own: who only reads scores need not wait for the compiler.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import msgspec
import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from riskstream.schemas.digests import LETTERS, digest_letters, is_short, put_name
from riskstream.schemas.score import DECISIONS, DEGRADED
from riskstream.schemas.shortest import LONGEST, put_fraction
from riskstream.schemas.texts import Texts


class Stamp(msgspec.Struct, frozen=True):
    """What all scores of a batch have in common."""

    model: str
    feature_set: str
    topic: str
    scored_at: int


class Scores(msgspec.Struct, frozen=True):
    """The rest, a column each, all of one length and C-contiguous.

    `event_ids` are as they stand in JSON between the quotes, `user_ids` in UTF-8. `decisions` are positions in
    DECISIONS, `degraded` bits, the first of DEGRADED the lowest; `vectors` float32[n, features] leave as their digests;
    `probabilities` are None where the model has but one.
    """

    event_ids: Texts
    user_ids: Texts
    scores: NDArray[np.float64]
    decisions: NDArray[np.uint8]
    vectors: NDArray[np.float32]
    partitions: NDArray[np.int64]
    offsets: NDArray[np.int64]
    event_times: NDArray[np.int64]
    duplicates: NDArray[np.bool_]
    degraded: NDArray[np.uint8]
    probabilities: Sequence[Mapping[str, float]] | None = None


TextArrays = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]
"""Texts as compiled code takes them."""

_encode = msgspec.json.Encoder().encode
_PLAIN = np.array([32 <= code < 127 and chr(code) not in '"\\' for code in range(256)])  # stands in JSON for itself
_MINUS, _ZERO = ord("-"), np.uint8(ord("0"))
_LONGEST = 20  # bytes of a whole number at most
_USUAL = 512  # bytes that mostly are enough for a row
_TO_QUOTE = -1
NO_NAMES = np.empty(0, np.uint8)
"""Of vectors that are named as they are written."""
# Indexes are unsigned, which spares the compiled code a test for negative ones at every byte.
_ONE, _TEN, _DIGITS = np.uint64(1), np.uint64(10), np.uint64(19)

# Where each part of a row is found among its parts; a decision and an ending are added to theirs.
_EVENT, _USER, _SCORE, _PARTITION, _OFFSET, _TIME, _CLOCK, _DECISION = range(8)
_ENDING = _DECISION + len(DECISIONS)


def encode_scores(stamp: Stamp, rows: Scores) -> list[bytes]:
    """Each row's RiskScore. Raises ValueError for a score outside [0, 1] or NaN, which JSON would turn into null."""
    parts, users, quoted = parts_of(stamp.model, stamp.feature_set, stamp.topic), _arrays(rows.user_ids), False
    names = NO_NAMES if is_short(rows.vectors.shape[1]) else digest_letters(rows.vectors)
    given = (
        rows.scores, rows.decisions, rows.vectors, names, rows.partitions, rows.offsets, rows.event_times,
        stamp.scored_at, rows.duplicates, rows.degraded,
    )  # fmt: skip
    ends = np.empty(len(rows.scores) + 1, np.int64)
    out = np.empty(_USUAL * len(ends), np.uint8)
    # Mostly once: it has the room, and ids stand in JSON as they are.
    while needed := write(out, ends, parts, _arrays(rows.event_ids), users, quoted, *given):
        if needed == _TO_QUOTE:
            users, quoted = _arrays(json_texts(rows.user_ids)), True
        else:
            out = np.empty(needed, np.uint8)
    raw = out[: ends[-1]].tobytes()
    lines = [raw[begin:end] for begin, end in pairwise(ends.tolist())]
    if rows.probabilities is None:
        return lines
    pairs = zip(lines, rows.probabilities, strict=True)
    return [b'%s,"probabilities":%s}' % (line[:-1], _encode(probabilities)) for line, probabilities in pairs]


def json_texts(texts: Texts) -> Texts:
    """Texts in UTF-8 as they stand in JSON between the quotes."""
    return Texts.of([_encode(value.decode())[1:-1] for value in texts.tolist()])


def _arrays(texts: Texts) -> TextArrays:
    return texts.data, texts.start, texts.length


@lru_cache(maxsize=1)
def parts_of(model: str, feature_set: str, topic: str) -> TextArrays:
    """What stands between the values of a row, in the order in which `write` takes it."""
    named = b'"model":%s,"feature_set":"%s","vector":"' % (_encode(model), feature_set.encode())
    parts = [
        b'{"event_id":"',
        b'","user_id":"',
        b'","score":',
        b'","topic":%s,"partition":' % _encode(topic),
        b',"offset":',
        b',"event_time":',
        b',"scored_at":',
        *(b',"decision":"%s",%s' % (decision.encode(), named) for decision in DECISIONS),
        *map(_ending, range(2 << len(DEGRADED))),
    ]
    return _arrays(Texts.of(parts))


def row_bytes(parts: TextArrays) -> int:
    """How many a row takes at most, its ids apart."""
    return int(_fixed(parts))


def _ending(code: int) -> bytes:
    """For the bits of `degraded` above the lowest, which is `duplicate`."""
    names = [name for bit, name in enumerate(DEGRADED, 1) if code >> bit & 1]
    return b',"duplicate":%s,"degraded":%s}' % (_encode(bool(code & 1)), _encode(names))


def _array(kind: types.Type) -> types.Array:
    return types.Array(kind, 1, "C", readonly=True)


_F64, _I64, _U8, _BOOL = map(_array, (types.float64, types.int64, types.uint8, types.boolean))
_TEXTS, _VECTORS = types.Tuple((_U8, _I64, _I64)), types.Array(types.float32, 2, "C", readonly=True)


@njit(cache=True, nogil=True)
def _is_plain(texts, row):  # type: ignore[no-untyped-def]
    data, start, length = texts
    plain = True
    for place in range(start[row], start[row] + length[row]):
        plain &= _PLAIN[data[place]]
    return plain


@njit(types.int64(_TEXTS), cache=True, nogil=True)
def _fixed(parts):  # type: ignore[no-untyped-def]
    lengths = parts[2]
    fixed = lengths[:_DECISION].sum() + lengths[_DECISION:_ENDING].max() + lengths[_ENDING:].max()
    return fixed + LONGEST + LETTERS + 4 * _LONGEST


@njit(cache=True, nogil=True)
def _put(out, at, data, begin, length):  # type: ignore[no-untyped-def]
    for place in range(length):
        out[at + place] = data[begin + place]
    return at + length


@njit(cache=True, nogil=True)
def _put_text(out, at, texts, row):  # type: ignore[no-untyped-def]
    data, start, length = texts
    return _put(out, at, data, np.uint64(start[row]), np.uint64(length[row]))


@njit(cache=True, nogil=True)
def _put_number(out, at, value):  # type: ignore[no-untyped-def]
    rest = np.uint64(value)
    if value < 0:
        out[at] = _MINUS
        at += _ONE
        rest = np.uint64(-value)
    end, power = at + _ONE, _TEN
    while end - at < _DIGITS and rest >= power:
        end += _ONE
        power *= _TEN
    for place in range(_ONE, end - at + _ONE):
        tens = rest // _TEN
        out[end - place] = _ZERO + np.uint8(rest - tens * _TEN)
        rest = tens
    return end


@njit(
    types.int64(
        types.uint8[::1], types.int64[::1], _TEXTS, _TEXTS, _TEXTS, types.boolean, _F64, _U8, _VECTORS, _U8, _I64,
        _I64, _I64, types.int64, _BOOL, _U8,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def write(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    out, ends, parts, event_ids, user_ids, quoted, scores, decisions, vectors, names, partitions, offsets,
    event_times, scored_at, duplicates, degraded,
):  # fmt: skip
    """The rows one after the other; row k ends before `ends[k + 1]`. `names` are those of all vectors, or none, and
    then the vectors are short.

    Answers 0 when all are written; else how many bytes `out` needs, or _TO_QUOTE if users are not `quoted` yet and one
    has an id that does not stand in JSON as it is. For compiled code, too.
    """
    room = len(scores) * _fixed(parts) + event_ids[2].sum() + user_ids[2].sum()
    if room > len(out):
        return room
    at, ends[0] = np.uint64(0), 0
    for row in range(len(scores)):
        if not 0.0 <= scores[row] <= 1.0:
            raise ValueError("a risk score must be a finite number from 0 to 1")
        if not (quoted or _is_plain(user_ids, row)):
            return _TO_QUOTE
        at = _put_text(out, at, parts, _EVENT)
        at = _put_text(out, at, event_ids, row)
        at = _put_text(out, at, parts, _USER)
        at = _put_text(out, at, user_ids, row)
        at = _put_text(out, at, parts, _SCORE)
        at = put_fraction(out, at, scores[row])
        at = _put_text(out, at, parts, _DECISION + decisions[row])
        if len(names):
            _put(out, at, names, np.uint64(row * LETTERS), np.uint64(LETTERS))
        else:
            put_name(vectors, row, at, out)
        at += np.uint64(LETTERS)
        at = _put_text(out, at, parts, _PARTITION)
        at = _put_number(out, at, partitions[row])
        at = _put_text(out, at, parts, _OFFSET)
        at = _put_number(out, at, offsets[row])
        at = _put_text(out, at, parts, _TIME)
        at = _put_number(out, at, event_times[row])
        at = _put_text(out, at, parts, _CLOCK)
        at = _put_number(out, at, scored_at)
        at = _put_text(out, at, parts, _ENDING + 2 * degraded[row] + duplicates[row])
        ends[row + 1] = at
    return 0
