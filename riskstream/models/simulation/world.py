"""Who spends: customers with homes, habits, devices and journeys, in a world of merchants."""

from dataclasses import dataclass

import numpy as np

from riskstream.models.simulation.catalogue import PLACES, Floats, Ints, Merchants, Picker, make_merchants, weights
from riskstream.models.simulation.config import DAY_MS, SimulationConfig

FAVOURITES = 14
DEVICES = 3  # at most, beside the new phone that some buy
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Customers:
    """One array per trait, a position per customer."""

    home: Ints
    level: Floats  # logarithm of what they spend relative to others, in their own currency
    activity: Floats  # share of all honest events; a few customers are very busy
    peak_hour: Floats  # local
    weekend: Floats  # share of their days out that fall on a weekend
    online: Floats  # liking for the net
    app: Floats  # of it, liking for the phone
    tunnel: Floats  # share of their net events whose address is a tunnel's end
    favourites: Ints  # [customer, rank]
    devices: Ints  # [customer, DEVICES + 1]; the last is the new phone
    device_count: Ints
    new_phone_at: Ints
    leaves_at: Ints
    returns_at: Ints
    destination: Ints

    def place_at(self, user: Ints, time: Ints) -> Ints:
        """Where they are: at home or at their destination."""
        away = (time >= self.leaves_at[user]) & (time < self.returns_at[user])
        return np.where(away, self.destination[user], self.home[user])

    def device_at(self, rng: np.random.Generator, user: Ints, time: Ints) -> Ints:
        """Mostly their first device, which a new phone replaces when it is bought."""
        other = (rng.random(len(user)) * self.device_count[user]).astype(np.int64)
        slot = np.where(rng.random(len(user)) < 0.75, 0, other)
        slot = np.where((slot == 0) & (time >= self.new_phone_at[user]), DEVICES, slot)
        return self.devices[user, slot]


@dataclass(frozen=True)
class World:
    config: SimulationConfig
    customers: Customers
    merchants: Merchants
    shops: Picker
    sites: Picker

    @property
    def known_devices(self) -> int:
        """Device numbers below this belong to customers."""
        return self.customers.devices.size


def make_world(config: SimulationConfig) -> World:
    merchants = make_merchants(config.chance("merchants"), max(500, config.users // 3))
    shops, sites = merchants.shops(merchants.popularity), merchants.sites(merchants.popularity)
    customers = _make_customers(config, config.chance("customers"), shops, sites)
    return World(config, customers, merchants, shops, sites)


def _make_customers(config: SimulationConfig, rng: np.random.Generator, shops: Picker, sites: Picker) -> Customers:
    users = config.users
    home = rng.choice(len(PLACES), users, p=weights([p.customers for p in PLACES]))
    online = rng.beta(2.0, 3.5, users)
    activity = rng.lognormal(0.0, 1.1, users)
    leaves_at, returns_at, destination = _journeys(config, rng)
    buys_phone = rng.random(users) < 0.004 * config.days
    return Customers(
        home=home,
        level=rng.normal(0, 0.45, users) + np.log([p.rate for p in PLACES])[home],
        activity=activity / activity.sum(),
        peak_hour=rng.choice([8.5, 12.5, 18.0, 21.0], users, p=[0.15, 0.3, 0.4, 0.15]) + rng.normal(0, 1.0, users),
        weekend=np.clip(rng.normal(0.33, 0.12, users), 0.05, 0.9),
        online=online,
        app=rng.beta(1.5, 1.5, users),
        tunnel=np.where(rng.random(users) < 0.06, 0.5, 0.02),
        favourites=_favourites(rng, home, online, shops, sites),
        devices=rng.permutation(users * (DEVICES + 1)).reshape(users, DEVICES + 1),
        device_count=rng.choice([1, 2, 3], users, p=[0.45, 0.38, 0.17]),
        new_phone_at=np.where(buys_phone, config.start_ms + rng.integers(0, config.span_ms, users), NEVER),
        leaves_at=leaves_at,
        returns_at=returns_at,
        destination=destination,
    )


def _journeys(config: SimulationConfig, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """One journey for some customers, of a weekend to two weeks; the longer the log, the more have one."""
    users = config.users
    travels = rng.random(users) < min(0.8, 0.012 * config.days)
    leaves_at = np.where(travels, config.start_ms + rng.integers(-3 * DAY_MS, config.span_ms, users), NEVER)
    returns_at = np.where(travels, leaves_at + rng.integers(2 * DAY_MS, 14 * DAY_MS, users), NEVER)
    destination = rng.choice(len(PLACES), users, p=weights([p.travellers for p in PLACES]))
    return leaves_at, returns_at, destination


def _favourites(rng: np.random.Generator, home: Ints, online: Floats, shops: Picker, sites: Picker) -> Ints:
    homes = np.repeat(home, FAVOURITES)
    on_the_net = rng.random(len(homes)) < np.repeat(online, FAVOURITES)
    chosen = np.where(on_the_net, sites.pick(rng, np.zeros_like(homes)), shops.pick(rng, homes))
    return chosen.reshape(len(home), FAVOURITES)
