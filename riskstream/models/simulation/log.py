"""A simulated log: payments in the order in which they reach the topic, with labels and profiles."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskstream.models.simulation.catalogue import CATEGORIES, PLACES, Ints
from riskstream.models.simulation.config import HOUR_MS, MINUTE_MS, SimulationConfig
from riskstream.models.simulation.fraud import FRAUD_KINDS, fraud_traffic
from riskstream.models.simulation.honest import honest_traffic
from riskstream.models.simulation.profiles import make_profiles, user_id
from riskstream.models.simulation.traffic import NONE, Traffic
from riskstream.models.simulation.world import World, make_world
from riskstream.schemas.payment import CHANNELS, ENTRY_MODES, Payment, PaymentProfile


@dataclass(frozen=True)
class SimulatedLog:
    """Row k of every column belongs to event k. A repeat carries the label of its original."""

    events: list[Payment]
    labels: NDArray[np.uint8]  # 1 is fraud
    fraud_kinds: list[str]  # a name from FRAUD_KINDS; empty if honest
    profiles: dict[str, PaymentProfile]  # by user id; some users have none


def simulate(config: SimulationConfig) -> SimulatedLog:
    """The whole log of `config`, the same for the same config."""
    world = make_world(config)
    repeats = int(config.events * config.repeat_share)
    originals = config.events - repeats
    frauds = round(originals * config.fraud_share)
    honest = honest_traffic(world, config.chance("honest"), originals - frauds)
    rows = np.concatenate([honest, fraud_traffic(world, honest, frauds)])
    np.clip(rows["time"], config.start_ms, config.end_ms - 1, out=rows["time"])
    rows = rows[np.argsort(rows["time"], kind="stable")]
    _forget(config.chance("gaps"), rows)
    numbers = _arrivals(config, rows["time"], repeats)
    events = _payments(world, rows)
    kinds = rows["kind"][numbers]
    return SimulatedLog(
        events=[events[number] for number in numbers.tolist()],
        labels=(kinds > 0).astype(np.uint8),
        fraud_kinds=[FRAUD_KINDS[kind] for kind in kinds.tolist()],
        profiles=make_profiles(world),
    )


def _forget(rng: np.random.Generator, rows: Traffic) -> None:
    """Real producers leave optional fields out now and then."""
    for field, share in (("entry", 0.02), ("present", 0.02), ("ip", 0.03), ("device", 0.02)):
        rows[field][rng.random(len(rows)) < share] = NONE


def _arrivals(config: SimulationConfig, time: Ints, repeats: int) -> Ints:
    """Which event is at each position of the log: late ones and repeats come after their time."""
    rng, count = config.chance("arrivals"), len(time)
    late = rng.random(count) < config.disorder_share
    arrival = time + late * rng.integers(0, 5 * MINUTE_MS, count)
    again = rng.choice(count, repeats, replace=False)
    second = arrival[again] + rng.integers(1, HOUR_MS, repeats)
    order = np.argsort(np.concatenate([arrival, second]), kind="stable")
    return np.concatenate([np.arange(count), again])[order]


def _payments(world: World, rows: Traffic) -> list[Payment]:
    seed, merchants = world.config.seed, world.merchants
    homes = world.customers.home[rows["user"]]
    columns = (
        [f"evt-{seed}-{number:09d}" for number in range(len(rows))],
        [user_id(user) for user in rows["user"].tolist()],
        rows["time"].tolist(),
        rows["amount"].tolist(),
        _named([place.currency for place in PLACES], homes),
        [f"mer-{merchant:06d}" for merchant in rows["merchant"].tolist()],
        _named([category.mcc for category in CATEGORIES], merchants.category[rows["merchant"]]),
        _named([place.code for place in PLACES], merchants.place[rows["merchant"]]),
        _named(CHANNELS, rows["channel"]),
        [None if device == NONE else f"dev-{device:010d}" for device in rows["device"].tolist()],
        _named([place.code for place in PLACES], rows["ip"]),
        _named(ENTRY_MODES, rows["entry"]),
        [None if flag == NONE else bool(flag) for flag in rows["present"].tolist()],
    )
    names = Payment.__struct_fields__
    return [Payment(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]


def _named(names: "list[str] | tuple[str, ...]", codes: Ints) -> list[str | None]:
    table = [*names, None]  # NONE is -1: the last
    return [table[code] for code in codes.tolist()]
