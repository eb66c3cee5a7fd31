"""Payments, with a bug that some amounts bring out: what a worker of a broken release runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from riskstream.models import payment


def columns(events: Sequence[Any]) -> dict[str, NDArray[Any]]:
    if any(event.amount % 7 == 3 for event in events):
        raise RuntimeError("a bug")
    return payment.DOMAIN.columns(events)


DOMAIN = replace(payment.DOMAIN, columns=columns)
