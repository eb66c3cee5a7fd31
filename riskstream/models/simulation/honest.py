"""Honest traffic: habits, and honest surprises that look like fraud (journeys, big purchases, bursts, new phones)."""

import numpy as np

from riskstream.models.simulation.catalogue import CASH, PLACES, Floats, Ints
from riskstream.models.simulation.config import DAY_MS, HOUR_MS, MINUTE_MS
from riskstream.models.simulation.traffic import NONE, TRAFFIC, Channel, Entry, Traffic
from riskstream.models.simulation.world import FAVOURITES, World

FAVOURITE_SHARE = 0.75
BURST_SHARE = 0.07
BIG_SHARE = 0.03
UNSHOWN_SHARE = 0.08
WIPED_SHARE = 0.03
UTC_HOURS = np.array([place.utc_hours for place in PLACES])


def honest_traffic(world: World, rng: np.random.Generator, count: int) -> Traffic:
    """`count` events in no particular order."""
    rows = np.zeros(count, TRAFFIC)
    rows["user"] = rng.choice(world.config.users, count, p=world.customers.activity)
    rows["time"] = daily_times(world, rng, rows["user"])
    rows["merchant"] = _merchants(world, rng, rows["user"], rows["time"])
    _make_bursts(rng, rows)
    rows["amount"] = amounts(world, rng, rows, _extra(rng, count))
    rows["channel"] = usual_channels(world, rng, rows)
    fill_entries(rng, rows)
    fill_devices(world, rng, rows)
    return rows


def daily_times(world: World, rng: np.random.Generator, user: Ints) -> Ints:
    """Times of day and week as these customers keep them, folded into the simulated span."""
    config, customers, size = world.config, world.customers, len(user)
    days = config.start_ms + np.arange(config.days) * DAY_MS
    is_weekend = (days // DAY_MS + 3) % 7 >= 5  # 1970-01-01 was a Thursday
    weekdays, weekends = (days[kind] if kind.any() else days for kind in (~is_weekend, is_weekend))
    goes_weekend = rng.random(size) < customers.weekend[user]
    day = np.where(goes_weekend, rng.choice(weekends, size), rng.choice(weekdays, size))
    usual = rng.normal(customers.peak_hour[user] + goes_weekend * 1.0, 2.2, size)
    hour = np.where(rng.random(size) < 0.7, usual, rng.uniform(6.5, 23.5, size))
    utc = (hour - UTC_HOURS[customers.home[user]]) % 24
    time = day - day % DAY_MS + (utc * HOUR_MS).astype(np.int64)
    folded: Ints = config.start_ms + (time - config.start_ms) % config.span_ms
    return folded


def _merchants(world: World, rng: np.random.Generator, user: Ints, time: Ints) -> Ints:
    """A favourite by Zipf's law or something new; who is abroad goes to the shops there."""
    customers, size = world.customers, len(user)
    zipf = 1.0 / np.arange(1, FAVOURITES + 1)
    favourite = customers.favourites[user, rng.choice(FAVOURITES, size, p=zipf / zipf.sum())]
    place = customers.place_at(user, time)
    shop, site = world.shops.pick(rng, place), world.sites.pick(rng, np.zeros(size, np.int64))
    new = np.where(rng.random(size) < customers.online[user], site, shop)
    chosen = np.where(rng.random(size) < FAVOURITE_SHARE, favourite, new)
    out_of_reach = ~world.merchants.online[chosen] & (world.merchants.place[chosen] != place)
    return np.where(out_of_reach, shop, chosen)


def _make_bursts(rng: np.random.Generator, rows: Traffic) -> None:
    """A shopping round or an evening of game purchases: the same customer again and again within minutes."""
    followers = int(len(rows) * BURST_SHARE)
    leaders = rng.integers(followers, len(rows), max(1, followers // 4))
    leader = rng.choice(leaders, followers)
    same_shop = rng.random(followers) < 0.6
    rows["user"][:followers] = rows["user"][leader]
    rows["time"][:followers] = rows["time"][leader] - rng.integers(0, 25 * MINUTE_MS, followers)
    rows["merchant"][:followers] = np.where(same_shop, rows["merchant"][leader], rows["merchant"][:followers])


def _extra(rng: np.random.Generator, count: int) -> Floats:
    """The logarithm by which a purchase is bigger than usual: nought for most."""
    return np.where(rng.random(count) < BIG_SHARE, rng.normal(1.4, 0.6, count), 0.0)


def amounts(world: World, rng: np.random.Generator, rows: Traffic, extra: Floats) -> Ints:
    """Log-normal around the merchant's price and the customer's level, in minor units of the customer's currency."""
    merchants, user, merchant = world.merchants, rows["user"], rows["merchant"]
    noise = rng.normal(0, 1, len(rows)) * merchants.spread[merchant]
    log = merchants.log_price[merchant] + world.customers.level[user] + noise + extra
    minor_units: Ints = np.maximum(1, np.exp(np.minimum(log, 24.0))).astype(np.int64)
    return minor_units


def usual_channels(world: World, rng: np.random.Generator, rows: Traffic) -> Ints:
    """The channel that fits the merchant and the customer."""
    merchants, merchant, size = world.merchants, rows["merchant"], len(rows)
    by_phone = rng.random(size) < 0.015
    net = np.where(rng.random(size) < world.customers.app[rows["user"]], Channel.APP, Channel.WEB)
    net = np.where(by_phone, Channel.MOTO, net)
    counter = np.where(merchants.category[merchant] == CASH, Channel.ATM, Channel.POS)
    return np.where(merchants.online[merchant], net, counter)


def fill_entries(rng: np.random.Generator, rows: Traffic) -> None:
    """Entry mode and card presence by channel: they never contradict each other."""
    channel, size = rows["channel"], len(rows)
    till = rng.choice([Entry.CHIP, Entry.CONTACTLESS, Entry.SWIPE], size, p=[0.33, 0.63, 0.04])
    stored = np.where(rng.random(size) < 0.12, Entry.RECURRING, Entry.ECOMMERCE)
    at = [channel == Channel.POS, channel == Channel.ATM, channel == Channel.MOTO]
    rows["entry"] = np.select(at, [till, Entry.CHIP, Entry.MANUAL], stored)
    rows["present"] = (channel == Channel.POS) | (channel == Channel.ATM)


def fill_devices(world: World, rng: np.random.Generator, rows: Traffic) -> None:
    """A device and its address for what is bought on the net; a phone at some tills.

    Some shops learn no device, some devices are borrowed or wiped and look new, some addresses are a tunnel's end.
    """
    user, time, channel, size = rows["user"], rows["time"], rows["channel"], len(rows)
    on_the_net = (channel == Channel.WEB) | (channel == Channel.APP)
    wallet = (rows["entry"] == Entry.CONTACTLESS) & (rng.random(size) < 0.3)
    shown = wallet | (on_the_net & (rng.random(size) > UNSHOWN_SHARE))
    looks_new = on_the_net & (rng.random(size) < WIPED_SHARE)
    device = np.where(looks_new, strangers(world, rng, size), world.customers.device_at(rng, user, time))
    rows["device"] = np.where(shown, device, NONE)
    tunnel = rng.random(size) < world.customers.tunnel[user]
    address = np.where(tunnel, rng.integers(0, len(PLACES), size), world.customers.place_at(user, time))
    rows["ip"] = np.where(on_the_net, address, NONE)


def strangers(world: World, rng: np.random.Generator, count: int) -> Ints:
    """Devices that nobody in this world owns."""
    return world.known_devices + rng.integers(0, 2**30, count)
