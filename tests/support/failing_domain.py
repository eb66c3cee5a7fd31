"""Payments, with a bug that some amounts bring out: what a worker of a broken release runs."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from riskstream.models import payment
from riskstream.models.features import Columns


def facts(columns: Columns, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    if (columns["amount"] % 7 == 3).any():
        raise RuntimeError("a bug")
    return payment.DOMAIN.facts(columns, offsets)


DOMAIN = replace(payment.DOMAIN, facts=facts)
