"""The reader: a batch's bytes become columns in compiled passes, without a Python object for each event.

It reads what it can prove to be good. All the rest it doubts and leaves to the exact rules: a record out of the
ordinary, and every record of an event type with a field other than a text, number or boolean.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from riskstream.schemas.column_fill import doubt, fill
from riskstream.schemas.columns import ColumnTable, whole_numbers
from riskstream.schemas.json_walk import FIELD, KEYS, walk
from riskstream.schemas.reading_plan import Plan, plan_of

_PADDING = bytes(8)


class Limits(NamedTuple):
    """Bytes of a value, and milliseconds of an event before and after its record's timestamp."""

    max_bytes: int
    max_age_ms: int
    max_future_ms: int


class Reading(msgspec.Struct, frozen=True):
    """What the reader makes of a batch.

    `words` int64[columns + 4, n]: the columns' bits, then where each event_id begins in `data` uint8[m], its size, and
    the same of the user_id. `doubtful`: the rows that were not proven good, in order; they are yet to be filled in.
    """

    data: NDArray[np.uint8]
    words: NDArray[np.int64]
    doubtful: Sequence[int]


class Reader:
    """The reader of one event type and its columns, for one thread. Compiled on import, not in the first batch."""

    def __init__(self, event: type[msgspec.Struct], table: ColumnTable, limits: Limits) -> None:
        self.plan = plan_of(event, table)
        """None of an event type that compiled code cannot read."""
        self._limits = np.array(limits, np.int64)
        # Scratch memory is kept: fresh pages for each batch cost as much as the whole walk.
        self._keys = np.empty(KEYS, np.int64)
        self._found, self._proven = np.empty((0, 0, 2), np.int64), np.empty(0, np.bool_)
        self._height = len(table.rows) + 4

    def __call__(self, keys: Sequence[bytes | None], values: Sequence[bytes | None], times: Sequence[int]) -> Reading:
        """Of a batch of `n` records."""
        if self.plan is None:
            count = len(values)
            return Reading(np.empty(0, np.uint8), np.empty((self._height, count), np.int64), range(count))
        count = len(values)
        words = np.empty((self._height, count), np.int64)
        *rules, found, proven = self.rules(self.plan, count)
        sizes, text = self.laid_out(self.plan, keys, values)
        data, proven = np.frombuffer(text, np.uint8), proven[:count]
        given = data, whole_numbers([*sizes, *times]), *rules, found[:count], proven, words
        doubted = read(*given)
        return Reading(data, words, np.flatnonzero(~proven).tolist() if doubted else ())

    def laid_out(
        self, plan: Plan, keys: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> tuple[Iterable[int], bytes]:
        """A batch's bytes, and their sizes, as the compiled `read` takes them; times are to stand behind these."""
        parts = cast("list[bytes]", [plan.texts, *values, *keys])
        if None in parts:
            parts = [part or b"" for part in parts]  # what is None or empty is doubted either way
        return map(len, parts), b"\0".join([*parts, _PADDING])

    def rules(self, plan: Plan, count: int) -> tuple[NDArray[Any], ...]:
        """What it takes of the plan, and scratch memory, the last two for at least `count` records."""
        if len(self._proven) < count:
            self._found, self._proven = np.empty((count, len(plan.fields), 2), np.int64), np.empty(count, np.bool_)
        rules = plan.fields, plan.allowed, plan.columns, plan.slots, self._limits
        return *rules, self._keys, self._found, self._proven


_BYTES, _INTS, _TABLE = types.Array(types.uint8, 1, "C", readonly=True), types.int64[::1], types.int64[:, ::1]


@njit(
    types.int64(
        _BYTES, _INTS, _TABLE, types.uint8[:, ::1], _TABLE, _TABLE, _INTS, _TABLE, types.int64[:, :, ::1],
        types.boolean[::1], _TABLE,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def read(data, numbers, fields, allowed, columns, slots, limits, keys, found, proven, words):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """All of it in one call, as a batch is often one event; how many are doubted. For compiled code."""
    walk(data, numbers, fields, allowed, keys, found, proven)
    doubted = doubt(data, numbers, limits, found, proven)
    fill(data, columns, slots, found, words)
    return doubted


def plainly_objects(values: Sequence[bytes]) -> list[bool]:
    """Which of the values are proven to be one JSON object that names nothing twice."""
    parts = [b"", *values, _PADDING]
    sizes = np.fromiter(map(len, parts), np.int64, len(parts))
    proven, nothing = np.empty(len(values), np.bool_), np.empty((len(values), 0, 2), np.int64)
    fields, allowed = np.empty((0, FIELD), np.int64), np.empty((0, 256), np.uint8)
    walk(np.frombuffer(b"\0".join(parts), np.uint8), sizes, fields, allowed, np.empty(KEYS, np.int64), nothing, proven)
    return proven.tolist()
