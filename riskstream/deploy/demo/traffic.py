"""What the demo sends: simulated payments that end now, some sent twice, some malformed; and what each must lead to."""

import time
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from riskstream.deploy.demo.count import SCORED, Content
from riskstream.models.simulation import SimulatedLog, SimulationConfig, simulate
from riskstream.models.simulation.config import DAY_MS
from riskstream.models.simulation.malformed import malformed_records

SEED, USERS = 7, 2_000
"""The shops and customers of the training, in other weeks: strangers are drift, and the sidecar says so."""
DAYS = 45  # so that they pay as often
MALFORMED_SHARE = 0.01
REPEAT_SHARE = 0.003
DISORDER_SHARE = 0.01


class Record(NamedTuple):
    """A record of the input topic; `leads_to` is what its answer must say."""

    key: bytes | None
    value: bytes | None
    leads_to: Content


@dataclass(frozen=True)
class Traffic:
    log: SimulatedLog
    records: list[Record]

    @property
    def repeats(self) -> int:
        return len(self.log.events) - len({event.event_id for event in self.log.events})


def make_traffic(events: int) -> Traffic:
    """So many payments, and the malformed records among them, in the order in which they are to be sent."""
    config = SimulationConfig(
        seed=SEED,
        users=USERS,
        events=events,
        days=DAYS,
        start_ms=int(time.time() * 1000) - DAYS * DAY_MS,
        repeat_share=REPEAT_SHARE,
        disorder_share=DISORDER_SHARE,
    )
    log = simulate(config)
    records = [_good(event.event_id, event.user_id.encode(), msgspec.json.encode(event)) for event in log.events]
    bad = malformed_records(SEED, round(events * MALFORMED_SHARE), [record.value or b"" for record in records])
    places = np.random.default_rng(SEED).integers(0, events + 1, len(bad)).tolist()
    for place, (_, key, value, reason) in zip(places, bad, strict=True):
        records.insert(place, Record(key, value, Content(key, reason, value)))
    return Traffic(log, records)


def _good(event_id: str, key: bytes, value: bytes) -> Record:
    return Record(key, value, Content(key, SCORED, event_id))
