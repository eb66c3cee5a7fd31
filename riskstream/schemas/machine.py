"""What a processor does in one step and numba has no word for, as parts of compiled functions.

Parts that are called for every byte take pointers: an array is counted whenever it is handed on, which costs more than
what they do. Nothing is checked: the caller knows how far a pointer reaches. Bytes are in little-endian order, as on
every machine that workers run on. numba's cache does not see when a part of a compiled function changes in another
file: remove `__pycache__` after a change here.
"""

import time
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic


def _pointer(typing, array):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), code


def _load(kind: Any) -> Any:
    def load(typing, data, place):  # type: ignore[no-untyped-def]
        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            place = builder.gep(arguments[0], [arguments[1]])
            word = builder.load(builder.bitcast(place, context.get_value_type(kind).as_pointer()))
            word.align = 1
            return word

        return kind(data, types.int64), code

    return intrinsic(load)


def _folded_product(typing, a, b):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        wide, word = ir.IntType(128), ir.IntType(64)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        upper = builder.lshr(product, ir.Constant(wide, 64))
        return builder.xor(builder.trunc(product, word), builder.trunc(upper, word))

    return types.uint64(types.uint64, types.uint64), code


def _high_product(typing, a, b):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), code


def _swapped(typing, word):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bswap(arguments[0])

    return types.uint64(types.uint64), code


def _prefetch(typing, data, place):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), byte)
        builder.call(fetch, [place, word(0), word(3), word(1)])  # to read, into all caches, data
        return context.get_dummy_value()

    return types.void(data, types.int64), code


pointer: Any = intrinsic(_pointer)
"""(array): where its items are. Who takes it must keep the array alive: an argument of the compiled function is."""
load32, load64 = _load(types.uint32), _load(types.uint64)
"""(data, place): an unsigned number from the bytes that begin there; `data` points to bytes, `place` is int64."""
folded_product: Any = intrinsic(_folded_product)
"""(a, b): the lower half of the 128 bits of a x b, exclusive-or the upper half. All uint64."""
high_product: Any = intrinsic(_high_product)
"""(a, b): the upper half of the 128 bits of a x b. All uint64."""
swapped: Any = intrinsic(_swapped)
"""(word): its bytes in the other order. Both uint64."""
prefetch: Any = intrinsic(_prefetch)
"""(data, place): have what is there brought to the processor's caches, and wait for nothing."""


@njit(nogil=True)
def same(data, a, b, size):  # type: ignore[no-untyped-def]
    """Whether the texts of `size` bytes at `a` and `b` are the same. Reads up to seven bytes beyond them."""
    at = 0
    while at + 8 <= size:
        if load64(data, a + at) != load64(data, b + at):
            return False
        at += 8
    rest = size - at
    return rest == 0 or (load64(data, a + at) ^ load64(data, b + at)) << (8 * (8 - rest)) == 0


_clock_gettime: Any = types.ExternalFunction(
    "clock_gettime", types.int32(types.int32, types.voidptr)
)  # of the C library
_MONOTONIC = time.CLOCK_MONOTONIC


@njit(nogil=True)
def now_ns(scratch):  # type: ignore[no-untyped-def]
    """Nanoseconds of the monotonic clock. It writes into the last two words of `scratch`, int64."""
    _clock_gettime(_MONOTONIC, scratch[len(scratch) - 2 :].ctypes)
    return scratch[len(scratch) - 2] * 1_000_000_000 + scratch[len(scratch) - 1]
