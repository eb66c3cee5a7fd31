"""The compiled pass of `fast_path`: a batch from its bytes to the bytes of its scores in one call.

Made of the passes that the stages take one by one, so the bits are theirs. numba's cache does not see when one of them
changes in another file: remove `__pycache__` after that.
"""

from typing import Any, cast

import numpy as np
from numba import njit, types
from numba.experimental import structref

from riskstream.models import formula_pass
from riskstream.models.domain import lay_facts
from riskstream.models.history_pass import measure
from riskstream.models.policy import decide
from riskstream.models.tree_pass import risk
from riskstream.schemas import reader
from riskstream.schemas.encode import NO_NAMES, write
from riskstream.schemas.machine import now_ns
from riskstream.workers import profiles, user_index
from riskstream.workers.fact_memory import PROFILED, keep, lacking, lay, place

STAGES = ("decode", "join", "assemble", "score", "decide", "publish")
PLACES = 7
"""Rows of int64[n]: seats, first and position of `lay`, originals; the timestamp, partition and offset of each
record."""
START, KNOWN, ROOMY = range(3)
"""Where `run` begins: at the bytes; once the users it lacked are known; or once there is room for their facts."""
LACKING = -1
"""What it answers when it lacks a user; when it lacks rooms, less by their number."""
MARKS = len(STAGES) + 2
"""Words of `clock`: when each of STAGES ended, in nanoseconds, and scratch."""

_new: Any = structref.new
_read, _find, _join, _assemble = reader.read, user_index.find, profiles.join, formula_pass.fill


def _given(kind: types.Type, dimensions: int) -> types.Array:
    return types.Array(kind, dimensions, "C", readonly=True)


_I1, _I2, _F1, _F2 = (_given(kind, d) for kind in (types.int64, types.float64) for d in (1, 2))
_U8, _BOOL, _VECTORS = _given(types.uint8, 1), _given(types.boolean, 1), _given(types.float32, 2)
_W1, _W2 = _given(types.uint64, 1), _given(types.uint64, 2)
_INT, _FLOAT, _INTS, _TABLE = types.int64, types.float64, types.int64[::1], types.int64[:, ::1]

_SHAPE = types.UniTuple(_INT, 4)
_READING = types.Tuple(
    (_TABLE, types.uint8[:, ::1], _TABLE, _TABLE, _INTS, _TABLE, types.int64[:, :, ::1], types.boolean[::1])
)
_FACTS = types.Tuple((_INT, _I1, _BOOL))
_HISTORY = types.Tuple((_W1, _I2, _I1, _INT))
_FORMULAS = types.Tuple((_I1, _BOOL, _I1, _BOOL, _F1, _I2, _I1))
_MODEL = types.Tuple((_W2, _VECTORS, types.float32, types.boolean, _FLOAT, _FLOAT, _FLOAT, _FLOAT))
_PARTS = types.Tuple((_U8, _I1, _I1))
_MEMORY = types.Tuple((types.uint64, types.uint64[::1], _TABLE, _TABLE, _TABLE))
_PROFILES = types.Tuple((_F2, _F2, _INT))
_HELD = (_SHAPE, _READING, _FACTS, _HISTORY, _FORMULAS, _MODEL, _PARTS, _MEMORY, _PROFILES)


@structref.register
class _HeldType(types.StructRef):
    pass


class Held(structref.StructRefProxy):
    """All that is the same for many batches. Handed over one by one for each, its fifty arrays would take longer than
    what is done with them."""

    __slots__ = ()


structref.define_boxing(_HeldType, Held)
_HELD_TYPE: Any = cast(Any, _HeldType)(
    list(zip(
        ("shape", "reading", "facts", "history", "formulas", "model", "parts", "memory", "profiles"),
        _HELD, strict=True,
    ))
)  # fmt: skip


@njit(_HELD_TYPE(*_HELD), cache=True)
def hold(shape, reading, facts, history, formulas, model, parts, memory, profiles):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """`shape`: how many columns the words have, the profiles, the aggregates and the vectors. The rest is what each
    pass takes besides the batch, in its order."""
    held = _new(_HELD_TYPE)
    held.shape = shape
    held.reading = reading
    held.facts = facts
    held.history = history
    held.formulas = formulas
    held.model = model
    held.parts = parts
    held.memory = memory
    held.profiles = profiles
    return held


@njit(_INT(_INT, _SHAPE), cache=True, nogil=True)
def words_of(count, shape):  # type: ignore[no-untyped-def]
    """How many words of an arena a batch takes. They are a number for the first record and for each."""
    columns, known, history, features = shape
    return count * (columns + PLACES + known + history + 1 + (features + 1) // 2 + 3 + 1) + MARKS + 1


@njit(nogil=True)
def _places(begin, count, shape):  # type: ignore[no-untyped-def]
    """Where PLACES begin in `parted`'s arena, and where `repeated` does."""
    columns, known, history, features = shape
    ints = begin + columns * count
    return ints, ints + (PLACES + known + history + 1 + (features + 1) // 2) * count


@njit([(_INTS, _INT, _INT, _SHAPE)], cache=True, nogil=True)
def parted(arena, begin, count, shape):  # type: ignore[no-untyped-def]
    """The arrays of a batch whose place in the arena begins there: words, of the columns and the ids; PLACES; profile;
    values; risks; vectors; repeated; degraded; decisions; clock; where each score ends, in bytes."""
    columns, known, history, features = shape
    block = arena[begin : begin + words_of(count, shape)]
    ints, repeated = _places(0, count, shape)
    profile = ints + PLACES * count
    values = profile + known * count
    risks = values + history * count
    vectors = risks + count
    degraded, decisions, clock = repeated + count, repeated + 2 * count, repeated + 3 * count
    return (
        block[:ints].reshape((columns, count)),
        block[ints:profile].reshape((PLACES, count)),
        block[profile:values].reshape((known, count)),
        block[values:risks].view(np.float64).reshape((count, history)),
        block[risks:vectors].view(np.float64),
        block[vectors:repeated].view(np.float32)[: features * count].reshape((count, features)),
        block[repeated:degraded].view(np.bool_)[:count],
        block[degraded:decisions].view(np.uint8)[:count],
        block[decisions:clock].view(np.uint8)[:count],
        block[clock : clock + MARKS],
        block[clock + MARKS :],
    )


@njit(
    _INT(
        _HELD_TYPE, _INT, _INT, _INT, types.Bytes(types.uint8, 1, "C"), types.PyArray(_INT, 1, "C"), _INTS, _INT,
        types.ByteArray(types.uint8, 1, "C"), _INT,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def run(held, turn, scored_at, count, text, given, arena, begin, scores, step):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Fill what is `parted` from the arena, and `scores` with the RiskScores one after the other: how many bytes these
    are. 0 if anything is out of the ordinary, and then nothing is kept.

    A negative answer tells what it lacks; with that mended, it is called again to go on at the next `step`. LACKING: a
    user is not in memory, or has no profile there, which the first of PLACES tells. LACKING - k: rooms are too small,
    and the first k of the second and third of PLACES are their seats, and for how many facts. `given`: the sizes and
    timestamps that `reader.read` takes, then partitions and offsets.
    """
    words, ints, profile, values, risks, vectors, repeated, degraded, decisions, clock, ends = parted(
        arena, begin, count, held.shape
    )
    data, numbers, out = np.frombuffer(text, np.uint8), np.frombuffer(given, np.int64), np.frombuffer(scores, np.uint8)
    of, first, position, original, partitions, offsets = ints[0], ints[1], ints[2], ints[3], ints[5], ints[6]
    user, size = words[len(words) - 2], words[len(words) - 1]
    seed, index, names, seats, facts = held.memory
    time_row, fact_rows, fact_is_float = held.facts
    if step == START:
        fields, allowed, columns, slots, limits, keys, found, proven = held.reading
        if _read(
            data, numbers, fields, allowed, columns, slots, limits, keys, found[:count], proven[:count], words
        ):  # fmt: skip
            return 0
        clock[0] = now_ns(clock)
        ints[4:] = numbers[len(numbers) - 3 * count :].reshape((3, count))
        _find(data, user, size, partitions, seed, index, names, of)
        if lacking(of, PROFILED, seats, first):
            return LACKING
    own = np.empty((count, facts.shape[1]), np.int64)
    lay_facts(words, fact_rows, fact_is_float, offsets, own)
    if step == ROOMY:
        place(of, own, seats, facts, first, position)
    else:
        short = lay(of, own, seats, facts, turn, first, position)
        if short:
            return LACKING - short
    kept, no_profile, max_age_ms = held.profiles
    _join(kept, no_profile, max_age_ms, of, words[time_row], profile, degraded)
    clock[1] = now_ns(clock)
    order = np.argsort(position) if count > 1 else np.zeros(1, np.int64)
    widths, shown, taken, capacity = held.history
    measure(facts, first, position, order, widths, shown, taken, capacity, values, original, repeated)
    event_rows, event_is_float, profile_rows, profile_is_float, constants, steps, results = held.formulas
    event, known = (words, event_rows, event_is_float), (profile, profile_rows, profile_is_float)
    _assemble(event, known, np.empty((0, count)), values, constants, steps, results, vectors)
    clock[2] = now_ns(clock)
    splits, leaves, base, logistic, slope, intercept, review, decline = held.model
    if risk(vectors, splits, leaves, base, logistic, slope, intercept, risks, order):
        return 0
    clock[3] = now_ns(clock)
    decide(risks, review, decline, decisions)
    clock[4] = now_ns(clock)
    event_ids, users = (data, words[len(words) - 4], words[len(words) - 3]), (data, user, size)
    if write(
        out, ends, held.parts, event_ids, users, False, risks, decisions, vectors, NO_NAMES, partitions, offsets,
        words[time_row], scored_at, repeated, degraded,
    ):  # fmt: skip
        return 0
    clock[5] = now_ns(clock)
    return ends[count]


@njit(
    types.Tuple(
        (_INTS, _INTS, _INTS, _INTS, types.float32[:, ::1], types.float64[::1], types.uint8[::1], types.uint8[::1],
         types.boolean[::1], _TABLE)
    )(_INTS, _I1, _I1, _SHAPE, _INT),
    cache=True, nogil=True,
)  # fmt: skip
def collect(arena, begins, counts, shape, time_row):  # type: ignore[no-untyped-def]
    """Of batches in one arena, one after the other: partitions, offsets and timestamps, event times, vectors, risks,
    decisions, degraded, repeated; and of each batch, the marks of its stages."""
    total = counts.sum()
    partitions, offsets, timestamps, times = (
        np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.int64)
    )  # fmt: skip
    vectors, risks = np.empty((total, shape[3]), np.float32), np.empty(total, np.float64)
    decisions, degraded = np.empty(total, np.uint8), np.empty(total, np.uint8)
    repeated, marks = np.empty(total, np.bool_), np.empty((len(begins), len(STAGES)), np.int64)
    at = 0
    for k in range(len(begins)):
        end = at + counts[k]
        words, ints, _, _, risk_of, vector_of, again, without, chosen, clock, _ = parted(
            arena, begins[k], counts[k], shape
        )
        timestamps[at:end], partitions[at:end], offsets[at:end], times[at:end] = (
            ints[4],
            ints[5],
            ints[6],
            words[time_row],
        )
        vectors[at:end], risks[at:end] = vector_of, risk_of
        decisions[at:end], degraded[at:end], repeated[at:end] = chosen, without, again
        marks[k] = clock[: len(STAGES)]
        at = end
    return partitions, offsets, timestamps, times, vectors, risks, decisions, degraded, repeated, marks


@njit(
    types.Tuple((_TABLE, _INTS))(_INTS, _INT, _INT, _SHAPE, _INT, _TABLE, _TABLE),
    cache=True, nogil=True,
)  # fmt: skip
def absorb(arena, begin, count, shape, limit, seats, facts):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """What a batch has laid becomes history, see `keep`."""
    ints, repeated = _places(begin, count, shape)
    of, position = arena[ints : ints + count], arena[ints + 2 * count : ints + 3 * count]
    return keep(of, position, arena[repeated : repeated + count].view(np.bool_)[:count], limit, seats, facts)
