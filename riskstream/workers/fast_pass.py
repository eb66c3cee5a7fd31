"""The compiled pass of `fast_path`: a batch from its bytes to decisions in one call.

Made of the passes that the stages take one by one, so the bits are theirs. numba's cache does not see when one of them
changes in another file: remove `__pycache__` after that.
"""

import numpy as np
from numba import njit, types

from riskstream.models import formula_pass
from riskstream.models.domain import lay_facts
from riskstream.models.history_pass import measure
from riskstream.models.policy import decide
from riskstream.models.tree_pass import risk
from riskstream.schemas import reader
from riskstream.schemas.machine import now_ns
from riskstream.workers import profiles, user_index
from riskstream.workers.fact_memory import LAID, PROFILED, lacking, lay

STAGES = ("decode", "join", "assemble", "score", "decide")

_read, _find, _join, _assemble = reader.read, user_index.find, profiles.join, formula_pass.fill


def _given(kind: types.Type, dimensions: int) -> types.Array:
    return types.Array(kind, dimensions, "C", readonly=True)


_I1, _I2, _F1, _F2 = (_given(kind, d) for kind in (types.int64, types.float64) for d in (1, 2))
_U8, _BOOL, _VECTORS = _given(types.uint8, 1), _given(types.boolean, 1), _given(types.float32, 2)
_W1, _W2 = _given(types.uint64, 1), _given(types.uint64, 2)
_INTS, _TABLE = types.int64[::1], types.int64[:, ::1]

_READ = (_U8, _INTS, _TABLE, types.uint8[:, ::1], _TABLE, _TABLE, _INTS, _TABLE, types.int64[:, :, ::1],
         types.boolean[::1], _TABLE)  # fmt: skip
_PLACES = (_I1, _BOOL)
_MEMORY = (types.uint64, types.uint64[::1], _TABLE, _TABLE, _TABLE, types.int64)
_PROFILES = (_F2, _F2, types.int64)
_HISTORY = (_W1, _I2, _I1, types.int64)
_FORMULAS = (*_PLACES, *_PLACES, _F1, _I2, _I1)
_MODEL = (_W2, _VECTORS, types.float32, types.boolean, types.float64, types.float64, types.float64, types.float64)
_MADE = (_TABLE, _TABLE, types.float64[:, ::1], types.boolean[::1], types.float32[:, ::1], types.float64[::1],
         types.uint8[::1], types.uint8[::1], _INTS)  # fmt: skip


@njit(
    types.boolean(*_READ, types.int64, *_PLACES, *_MEMORY, *_PROFILES, *_HISTORY, *_FORMULAS, *_MODEL, *_MADE),
    cache=True,
    nogil=True,
)
def run(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    data, numbers, fields, allowed, columns, slots, limits, keys, found, proven, words,
    time_row, fact_rows, fact_is_float,
    seed, index, names, seats, facts, turn, kept, no_profile, max_age_ms,
    widths, shown, taken, capacity,
    event_rows, event_is_float, profile_rows, profile_is_float, constants, steps, results,
    splits, leaves, base, logistic, slope, intercept, review, decline,
    ints, profile, values, repeated, vectors, risks, degraded, decisions, clock,
):  # fmt: skip
    """Fill `words` and all that follows `decline`; False if anything is out of the ordinary, and then nothing is kept.

    `numbers` has partitions and offsets behind its timestamps. `ints` int64[4, n]: seats, first and position of `lay`,
    originals; `clock` int64[7]: when each of STAGES ended, in nanoseconds, and two words of scratch.
    """
    if _read(data, numbers, fields, allowed, columns, slots, limits, keys, found, proven, words):
        return False
    clock[0] = now_ns(clock)
    count = len(proven)
    partitions, offsets = numbers[1 + 3 * count : 1 + 4 * count], numbers[1 + 4 * count :]
    of, first, position, original = ints[0], ints[1], ints[2], ints[3]
    _find(data, words[len(words) - 2], words[len(words) - 1], partitions, seed, index, names, of)
    if lacking(of, PROFILED, seats, first):
        return False
    _join(kept, no_profile, max_age_ms, of, words[time_row], profile, degraded)
    own = np.empty((len(of), facts.shape[1]), np.int64)
    lay_facts(words, fact_rows, fact_is_float, offsets, own)
    if lay(of, own, seats, facts, turn, first, position):
        for k in range(len(of)):
            seats[of[k], LAID] = 0
        return False
    clock[1] = now_ns(clock)
    order = np.argsort(position) if len(position) > 1 else np.zeros(1, np.int64)
    measure(facts, first, position, order, widths, shown, taken, capacity, values, original, repeated)
    event, known = (words, event_rows, event_is_float), (profile, profile_rows, profile_is_float)
    _assemble(event, known, np.empty((0, len(of))), values, constants, steps, results, vectors)
    clock[2] = now_ns(clock)
    if risk(vectors, splits, leaves, base, logistic, slope, intercept, risks, order):
        return False
    clock[3] = now_ns(clock)
    decide(risks, review, decline, decisions)
    clock[4] = now_ns(clock)
    return True
