"""The shortest decimal of a float64, for compiled code: the digits that JSON libraries write, too.

Schubfach, from Raffaello Giulietti's paper "The Schubfach way to render doubles" (2022): of all decimals that read back
as the same float64 the shortest, and of those the closest. Only for numbers from 0 to 1, as scores are. numba's cache
does not see when a part of a compiled function changes in another file: remove `__pycache__` after a change here.
"""

import numpy as np
from numba import njit

from riskstream.schemas.machine import high_product

LONGEST = 24
"""Bytes of a number at most."""

_U = np.uint64
_LEAST, _MOST = 16, 324  # powers of ten that numbers up to 1 are multiplied by


def _power(exponent: int) -> tuple[int, int]:
    """The first 126 bits of a power of ten, and one more at the last place: the upper and the lower half."""
    bits = (10**exponent).bit_length() - 126
    power = (10**exponent >> bits if bits > 0 else 10**exponent << -bits) + 1
    return power >> 63, power & (1 << 63) - 1


_POWERS = np.array([_power(exponent) for exponent in range(_LEAST, _MOST + 1)], np.uint64)
_FRACTION_BITS, _EXPONENT_MASK, _BIAS = 52, 0x7FF, 1075
_HIDDEN, _LOW63 = _U(1 << _FRACTION_BITS), _U((1 << 63) - 1)
_ONE, _TWO, _TEN, _HUNDRED = _U(1), _U(2), _U(10), _U(100)
_FIXED_FROM = -5  # the exponent of ten from which on a number has none
_ZERO, _DOT, _E, _MINUS = (np.uint8(ord(sign)) for sign in "0.e-")


@njit(nogil=True)
def _scaled(upper, lower, number):  # type: ignore[no-untyped-def]
    """`number` times the power, without the lower 127 bits; its last bit tells whether these are more than nothing."""
    carried = (upper * number >> _ONE) + high_product(lower, number)
    whole = high_product(upper, number) + (carried >> _U(63))
    return whole | ((carried & _LOW63) + _LOW63 >> _U(63))


@njit(nogil=True)
def _decimal(value):  # type: ignore[no-untyped-def]
    """Digits as a whole number, and the exponent of ten that it is multiplied by. `value` is above 0 and at most 1."""
    bits = np.float64(value).view(np.uint64)
    fraction, biased = bits & (_HIDDEN - _ONE), np.int64(bits >> _U(_FRACTION_BITS)) & _EXPONENT_MASK
    number, exponent = fraction | _HIDDEN, biased - _BIAS
    if biased == 0:
        number, exponent = fraction, np.int64(1 - _BIAS)
    # The names are the paper's without their marks: times four, with half of the way to the neighbours.
    even = number & _ONE
    if fraction != _U(0) or biased <= 1:
        left, ten = _U(4) * number - _TWO, (exponent * 661_971_961_083) >> 41
    else:
        left, ten = _U(4) * number - _ONE, (exponent * 661_971_961_083 - 274_743_187_321) >> 41
    by = _U(exponent + ((-ten * 913_124_641_741) >> 38) + 2)
    upper, lower = _POWERS[-ten - _LEAST]
    middle = _scaled(upper, lower, (_U(4) * number) << by)
    left = _scaled(upper, lower, left << by) + even
    right = _scaled(upper, lower, (_U(4) * number + _TWO) << by) - even
    below = middle >> _TWO
    if below >= _TEN:  # one digit less may do
        shorter = below // _TEN * _TEN
        low, high = left <= shorter << _TWO, (shorter + _TEN) << _TWO <= right
        if low != high:
            return shorter if low else shorter + _TEN, ten
    low, high = left <= below << _TWO, (below + _ONE) << _TWO <= right
    if low != high:
        return below if low else below + _ONE, ten
    half = below + below + _ONE << _ONE
    nearer = middle < half or (middle == half and below & _ONE == _U(0))
    return below if nearer else below + _ONE, ten


@njit(nogil=True)
def _put_digits(out, at, number, count):  # type: ignore[no-untyped-def]
    for place in range(_ONE, count + _ONE):
        tens = number // _TEN
        out[at + count - place] = _ZERO + np.uint8(number - tens * _TEN)
        number = tens
    return at + count


@njit(nogil=True)
def _without_zeros(number, exponent):  # type: ignore[no-untyped-def]
    """Without those at its end; how many digits are left, and the exponent of the first of them."""
    while number % _TEN == _U(0):
        number //= _TEN
        exponent += 1
    count, power = _ONE, _TEN
    while number >= power:
        count += _ONE
        power *= _TEN
    return number, count, exponent + np.int64(count) - 1


@njit(nogil=True)
def put_fraction(out, at, value):  # type: ignore[no-untyped-def]
    """Write a number from 0 to 1 at `at`, uint64; answers where it ends, uint64."""
    if value == 0.0 or value == 1.0:
        if np.signbit(value):
            out[at] = _MINUS
            at += _ONE
        out[at], out[at + _ONE], out[at + _TWO] = _ZERO + np.uint8(value), _DOT, _ZERO
        return at + _U(3)
    number, exponent = _decimal(value)
    number, count, exponent = _without_zeros(number, exponent)
    if exponent >= _FIXED_FROM:
        out[at], out[at + _ONE] = _ZERO, _DOT
        at += _TWO
        for _ in range(-exponent - 1):
            out[at] = _ZERO
            at += _ONE
        return _put_digits(out, at, number, count)
    end = _put_digits(out, at + _ONE, number, count)
    out[at] = out[at + _ONE]
    out[at + _ONE] = _DOT
    end = end if count > _ONE else at + _ONE
    out[end], out[end + _ONE] = _E, _MINUS
    power = _U(-exponent)
    return _put_digits(out, end + _TWO, power, _ONE + _U(power >= _TEN) + _U(power >= _HUNDRED))
