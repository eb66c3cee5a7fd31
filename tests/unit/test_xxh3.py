"""XXH3: the compiled hash is the library's, for every length, wherever the text lies."""

import numpy as np
import pytest
from numba import njit
from xxhash import xxh3_64_intdigest

from riskstream.schemas.machine import pointer
from riskstream.schemas.xxh3 import LONGEST, xxh3_64


@njit
def hashed(data, start, size):  # type: ignore[no-untyped-def]
    return xxh3_64(pointer(data), start, size)


@pytest.mark.parametrize("size", range(LONGEST + 1))
def test_a_hash_is_the_librarys(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, 50 + LONGEST, np.uint8)
    data.flags.writeable = False
    for start in range(0, 50, 7):
        expected = np.uint64(xxh3_64_intdigest(data[start : start + size].tobytes())).astype(np.int64)
        assert hashed(data, start, size) == expected


def test_bytes_around_a_text_do_not_count() -> None:
    around = [np.frombuffer(edge * 9 + b"merchant-7" + edge * 9, np.uint8) for edge in (b"a", b"\xff")]
    assert len({int(hashed(data, 9, 10)) for data in around}) == 1
