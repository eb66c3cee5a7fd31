"""The contract's partitioner is Java's."""

import numpy as np
import pytest

from riskstream.schemas.partitioner import partitions_of

# From the Kafka project's own test of murmur2, as signed 32-bit integers.
HASHES = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("partitions", [1, 12, 997])
def test_keys_are_where_a_java_producer_puts_them(partitions: int) -> None:
    expected = [(value & 0x7FFFFFFF) % partitions for value in HASHES.values()]
    assert partitions_of(list(HASHES), partitions).tolist() == expected


def test_a_record_without_a_key_belongs_nowhere() -> None:
    assert partitions_of([None, b"abc", None], 7).tolist() == [-1, 479470107 % 7, -1]


def test_no_keys_no_partitions() -> None:
    assert np.array_equal(partitions_of([], 3), np.empty(0, np.int64))
