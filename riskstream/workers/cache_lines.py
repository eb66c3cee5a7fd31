"""Tables whose rows begin where a line of the processor's cache does: a row of 64 bytes is then one line, not two."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LINE = 64
"""Bytes."""


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """As np.empty. Pages are the kernel's until they are written to."""
    return _aligned(np.empty, shape, np.dtype(dtype))


def zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """As np.zeros."""
    return _aligned(np.zeros, shape, np.dtype(dtype))


def _aligned(make: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    size = math.prod(shape) * dtype.itemsize
    raw = make(size + LINE, np.uint8)
    begin = -raw.ctypes.data % LINE
    aligned: NDArray[Any] = raw[begin : begin + size].view(dtype).reshape(shape)
    return aligned
