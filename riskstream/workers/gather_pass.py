"""The compiled pass of a join whose users are all in memory with their profiles, as they mostly are.

A batch is often one event, so what counts is that this is one call. Its parts are those of the other ways, which take
them one by one. numba's cache does not see when a part changes in another file: remove `__pycache__` after that.
"""

from numba import njit, types

from riskstream.workers import profiles
from riskstream.workers.fact_memory import PROFILED, lacking, lay
from riskstream.workers.user_index import find

_BYTES, _GIVEN = (types.Array(kind, 1, "C", readonly=True) for kind in (types.uint8, types.int64))
_FACTS, _KEPT = (types.Array(kind, 2, "C", readonly=True) for kind in (types.int64, types.float64))
_INTS, _TABLE = types.int64[::1], types.int64[:, ::1]

_join = profiles.join


@njit(
    types.int64(
        _BYTES, _GIVEN, _GIVEN, _GIVEN, _GIVEN, _FACTS, types.uint64, types.uint64[::1], _TABLE, _TABLE, _TABLE,
        types.int64, _KEPT, _KEPT, types.int64, _INTS, _INTS, _INTS, _TABLE, types.uint8[::1],
    ),
    cache=True, nogil=True,
)  # fmt: skip
def gather_known(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    texts, start, size, partitions, event_time, rows, seed, slots, names, seats, facts, turn, kept, missing,
    max_age_ms, of, first, position, words, degraded,
):  # fmt: skip
    """Fill the last five. Answers what `lay` does; -1 if somebody is unknown, and then nothing is laid."""
    find(texts, start, size, partitions, seed, slots, names, of)
    if lacking(of, PROFILED, seats, first):
        return -1
    _join(kept, missing, max_age_ms, of, event_time, words, degraded)
    return lay(of, rows, seats, facts, turn, first, position)
