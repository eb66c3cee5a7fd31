"""When fraud comes to be known: a victim finds it on a statement and disputes it, days or weeks later.

Honest payments are never labelled. That nobody has complained for long enough is all that is ever known of them.
"""

import numpy as np
from numpy.typing import NDArray

from riskstream.models.simulation.config import DAY_MS, HOUR_MS, SimulationConfig
from riskstream.models.simulation.fraud import FRAUD_KINDS
from riskstream.models.simulation.log import SimulatedLog

MEDIAN_DAYS = {"stolen_card": 2.0, "compromised_merchant": 5.0, "account_takeover": 1.5, "card_testing": 7.0}
SPREAD = 0.7  # of the delay's logarithm


def known_at(config: SimulationConfig, log: SimulatedLog) -> NDArray[np.int64]:
    """For each event of the log when its label became known, epoch ms; 0 for what is honest. A repeat as its original.

    Delays are log-normal, around a median for each kind of fraud, and at least an hour.
    """
    first: dict[str, int] = {}
    original = np.array([first.setdefault(event.event_id, k) for k, event in enumerate(log.events)], np.int64)
    medians = np.array([MEDIAN_DAYS.get(kind, np.nan) for kind in FRAUD_KINDS])
    kinds = np.array([FRAUD_KINDS.index(kind) for kind in log.fraud_kinds], np.int64)
    rng = config.chance("labels")
    delay = np.exp(rng.normal(0.0, SPREAD, len(log.events))) * medians[kinds] * DAY_MS
    time = np.array([event.event_time for event in log.events], np.int64)
    due = time + np.maximum(HOUR_MS, np.where(kinds > 0, delay, 0)).astype(np.int64)
    return np.where(kinds > 0, due[original], 0)
