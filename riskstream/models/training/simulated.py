"""A data set of simulated payments, for the demo and for those who have no log yet."""

from pathlib import Path

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from riskstream.models.dataset.build import Ingredients, build
from riskstream.models.dataset.event_log import Batch, Gather
from riskstream.models.dataset.labels import DAY, LabelTable, SplitPlan
from riskstream.models.dataset.manifest import Dataset, Labels
from riskstream.models.dataset.vectors import Snapshots
from riskstream.models.payment import DOMAIN
from riskstream.models.simulation import SimulatedLog, SimulationConfig, simulate
from riskstream.models.simulation.labels import known_at
from riskstream.schemas.payment import Payment

# A live join loses some profiles (stale, unreachable). A model that never saw that would be lost then too.
LOST_WEEKS = 0.15


def simulated_dataset(config: SimulationConfig, out: Path) -> Dataset:
    """Writes the data set `out`, which must not exist yet: the log of `config`, with labels that come late."""
    log = simulate(config)
    gather = Gather(DOMAIN, partitions=1)
    fields = {name: [getattr(event, name) for event in log.events] for name in Payment.__struct_fields__}
    gather.add(Batch(fields, np.zeros(len(log.events), np.int32), np.arange(len(log.events))))
    given = Ingredients(gather.log(), Labels(), _labels(config, log), _snapshots(config, log))
    return build(DOMAIN, given, SplitPlan(), out)


def _labels(config: SimulationConfig, log: SimulatedLog) -> LabelTable:
    """Of fraud alone, as chargebacks come."""
    fraud = np.flatnonzero(log.labels)
    events = np.array([_hash(log.events[k].event_id) for k in fraud.tolist()], np.uint64).view(np.int64)
    kinds = np.array(log.fraud_kinds, object)[fraud]
    return LabelTable.of(events, known_at(config, log)[fraud], np.ones((len(fraud), 1), np.int16), kinds)


def _snapshots(config: SimulationConfig, log: SimulatedLog) -> Snapshots:
    """Each profile as it would have been written every day; some weeks of some users are lost."""
    rng = config.chance("profiles lost")
    users, profiles = [], []
    for user, profile in log.profiles.items():
        lost = rng.random(config.days // 7 + 1) < LOST_WEEKS
        days = [day for day in range(config.days + 1) if not lost[day // 7]]
        users += [_hash(user)] * len(days)
        profiles += [msgspec.structs.replace(profile, computed_at=profile.computed_at - day * DAY) for day in days]
    return Snapshots.of(np.array(users, np.uint64), profiles)


def _hash(text: str) -> int:
    return xxh3_64_intdigest(text.encode())
