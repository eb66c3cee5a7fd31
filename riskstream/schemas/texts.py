"""A column of texts as the bytes of one array, which compiled code reads without a Python object for each."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray


class Texts(msgspec.Struct, frozen=True):
    """Text k is `data[start[k] : start[k] + length[k]]`; `data` uint8[m], `start` and `length` int64[n]."""

    data: NDArray[np.uint8]
    start: NDArray[np.int64]
    length: NDArray[np.int64]

    @classmethod
    def of(cls, values: Sequence[bytes]) -> "Texts":
        """The same texts, one after the other."""
        length = np.fromiter(map(len, values), np.int64, len(values))
        return cls(np.frombuffer(b"".join(values), np.uint8), length.cumsum() - length, length)

    def take(self, rows: NDArray[np.int64]) -> "Texts":
        """Some of them, in the order of `rows`."""
        return Texts(self.data, self.start[rows], self.length[rows])

    def tolist(self) -> list[bytes]:
        """Each by itself."""
        raw, start = self.data.data, self.start.tolist()
        return [bytes(raw[at : at + size]) for at, size in zip(start, self.length.tolist(), strict=True)]
