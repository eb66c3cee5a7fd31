"""Data sets from the simulator, small enough to be made in a test."""

from pathlib import Path

import numpy as np
from xxhash import xxh3_64_intdigest

from riskstream.models.dataset.build import Ingredients, build
from riskstream.models.dataset.event_log import Batch, EventLog, Gather
from riskstream.models.dataset.labels import LabelTable, SplitPlan
from riskstream.models.dataset.manifest import Dataset, Labels
from riskstream.models.dataset.vectors import Snapshots
from riskstream.models.domain import Domain
from riskstream.models.payment import DOMAIN
from riskstream.models.simulation import SimulatedLog, SimulationConfig, simulate
from riskstream.models.simulation.labels import known_at
from riskstream.models.simulation.profiles import daily
from riskstream.schemas.payment import Payment, PaymentProfile

SMALL = SimulationConfig(seed=3, users=150, events=6_000, days=60, fraud_share=0.05, repeat_share=0.01)


def simulated_dataset(out: Path, config: SimulationConfig = SMALL, domain: Domain = DOMAIN) -> Dataset:
    """A data set of the log of `config`, with labels that come late, split by time."""
    return build(domain, ingredients(config, domain), SplitPlan(), out)


def ingredients(config: SimulationConfig = SMALL, domain: Domain = DOMAIN) -> Ingredients:
    log = simulate(config)
    return Ingredients(event_log(log.events, domain), Labels(), label_table(config, log), snapshots(log))


def event_log(events: list[Payment], domain: Domain = DOMAIN) -> EventLog:
    """The events on one partition, numbered as they lie."""
    gather = Gather(domain, partitions=1)
    fields = {name: [getattr(event, name) for event in events] for name in Payment.__struct_fields__}
    gather.add(Batch(fields, np.zeros(len(events), np.int32), np.arange(len(events))))
    return gather.log()


def label_table(config: SimulationConfig, log: SimulatedLog) -> LabelTable:
    """Of fraud alone, as chargebacks come."""
    fraud = np.flatnonzero(log.labels)
    events = np.array([xxh3_64_intdigest(log.events[k].event_id.encode()) for k in fraud], np.uint64).view(np.int64)
    kinds = np.array([log.fraud_kinds[k] for k in fraud], object)
    return LabelTable.of(events, known_at(config, log)[fraud], np.ones((len(fraud), 1), np.int16), kinds)


def snapshots(log: SimulatedLog, days: int = 70) -> Snapshots:
    """Each profile as it would have been written every day."""
    users, profiles = list[int](), list[PaymentProfile]()
    for user, profile in log.profiles.items():
        every_day = list(daily(profile, days))
        users += [xxh3_64_intdigest(user.encode())] * len(every_day)
        profiles += every_day
    return Snapshots.of(np.array(users, np.uint64), profiles)
