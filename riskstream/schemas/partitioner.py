"""Which partition the contract says a key belongs to: murmur2, as Java's producer has it.

Producers in other languages hash keys otherwise by default, and one user then has two histories. The worker counts the
records that lie elsewhere than the contract says.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SEED, _M, _R = 0x9747B28C, 0x5BD1E995, 24
_MASK = 0xFFFFFFFF


def partitions_of(keys: Sequence[bytes | None], partitions: int) -> NDArray[np.int64]:
    """The partition of each key, int64[n]; -1 for a record without a key.

    Source: org.apache.kafka.common.utils.Utils.murmur2 and BuiltInPartitioner.partitionForKey.
    """
    whole = [key or b"" for key in keys]
    ends = np.cumsum(np.fromiter(map(len, whole), np.int64, len(whole)))
    hashes = np.empty(len(keys), np.int64)
    _murmur2_all(np.frombuffer(b"".join(whole), np.uint8), ends, hashes)
    found = (hashes & 0x7FFFFFFF) % partitions
    if None in keys:
        found[[key is None for key in keys]] = -1
    return found


@njit(cache=True, nogil=True)
def _murmur2_all(buffer, ends, hashes):  # type: ignore[no-untyped-def]
    start = 0
    for key in range(len(ends)):
        hashes[key] = _murmur2(buffer, start, ends[key])
        start = ends[key]


@njit(cache=True, nogil=True)
def _murmur2(buffer, start, end):  # type: ignore[no-untyped-def]
    # 64-bit integers, cut to 32 bits after each step that may overflow.
    length = end - start
    h = (_SEED ^ length) & _MASK
    for at in range(start, end - 3, 4):
        k = buffer[at] | (buffer[at + 1] << 8) | (buffer[at + 2] << 16) | (np.int64(buffer[at + 3]) << 24)
        k = (k * _M) & _MASK
        k ^= k >> _R
        k = (k * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    rest = length % 4
    for byte in range(rest - 1, -1, -1):
        h ^= np.int64(buffer[end - rest + byte]) << (8 * byte)
    if rest:
        h = (h * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    return h ^ (h >> 15)
