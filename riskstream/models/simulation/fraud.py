"""Fraud: four patterns, each with careful offenders who stay close to what their victims do.

A pattern is a function of the world, its stream of chance, the honest traffic and a number of events, and a row in
PATTERNS. Labels follow the row: `FRAUD_KINDS[0]` is honest.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from riskstream.models.simulation.catalogue import CATEGORIES, PLACES, Floats, Ints, Picker, weights
from riskstream.models.simulation.config import DAY_MS, HOUR_MS, MINUTE_MS
from riskstream.models.simulation.honest import (
    amounts,
    daily_times,
    fill_devices,
    fill_entries,
    strangers,
    usual_channels,
)
from riskstream.models.simulation.traffic import NONE, TRAFFIC, Channel, Entry, Traffic
from riskstream.models.simulation.world import FAVOURITES, World

CAREFUL_SHARE = 0.4
APPEAL = np.array([category.appeal for category in CATEGORIES])


class Episodes(NamedTuple):
    """Runs of events of one offender against one victim; one position per event."""

    number: Ints
    victim: Ints
    begin: Ints
    careful: Ints  # 1 if this offender imitates the victim
    place: Ints  # where the offender sits


def stolen_card(world: World, rng: np.random.Generator, honest: Traffic, count: int) -> Traffic:
    """A lost or skimmed card is used for hours at unusual amounts and places."""
    episodes = _episodes(world, rng, count, 2, 7)
    shops, sites = _coveted(world)
    rows = _rows(episodes, _within(world, rng, episodes, 10 * HOUR_MS))
    in_shops = rng.random(count) < 0.65
    rows["merchant"] = np.where(in_shops, shops.pick(rng, episodes.place), sites.pick(rng, np.zeros(count, np.int64)))
    rows["amount"] = amounts(world, rng, rows, _excess(rng, episodes, 0.9))
    rows["channel"] = usual_channels(world, rng, rows)
    fill_entries(rng, rows)
    at_till = rows["channel"] == Channel.POS
    rows["entry"][at_till] = rng.choice([Entry.SWIPE, Entry.CONTACTLESS], at_till.sum(), p=[0.3, 0.7])
    _offender_device(world, rng, rows, episodes)
    return rows


def compromised_merchant(world: World, rng: np.random.Generator, honest: Traffic, count: int) -> Traffic:
    """A merchant's card data leak: who paid there is hit in the days after, by cards not present."""
    breaches = [_breach(world, rng, honest) for _ in range(max(1, count // 40))]
    victims, begins = (np.concatenate(column) for column in zip(*breaches, strict=True))
    episodes = _episodes(world, rng, count, 1, 4)
    hit = rng.integers(0, len(victims), count)[episodes.number]
    episodes = episodes._replace(victim=victims[hit], begin=begins[hit])
    rows = _rows(episodes, _within(world, rng, episodes, 6 * DAY_MS))
    rows["merchant"] = _coveted(world)[1].pick(rng, np.zeros(count, np.int64))
    rows["amount"] = amounts(world, rng, rows, _excess(rng, episodes, 0.6))
    rows["channel"] = rng.choice([Channel.WEB, Channel.APP, Channel.MOTO], count, p=[0.65, 0.2, 0.15])
    fill_entries(rng, rows)
    _offender_device(world, rng, rows, episodes)
    return rows


def account_takeover(world: World, rng: np.random.Generator, honest: Traffic, count: int) -> Traffic:
    """Somebody else is logged in: a new device, often another country's address, high amounts within the hour."""
    episodes = _episodes(world, rng, count, 2, 6)
    rows = _rows(episodes, _within(world, rng, episodes, HOUR_MS))
    coveted = _coveted(world)[1].pick(rng, np.zeros(count, np.int64))
    stored = world.customers.favourites[episodes.victim, rng.integers(0, FAVOURITES, count)]
    has_stored = world.merchants.online[stored] & (rng.random(count) < 0.5)
    rows["merchant"] = np.where(has_stored, stored, coveted)
    rows["amount"] = amounts(world, rng, rows, _excess(rng, episodes, 1.1))
    rows["channel"] = np.where(rng.random(count) < 0.5, Channel.APP, Channel.WEB)
    fill_entries(rng, rows)
    _offender_device(world, rng, rows, episodes)
    return rows


def card_testing(world: World, rng: np.random.Generator, honest: Traffic, count: int) -> Traffic:
    """Many small payments within minutes at one site, to see which cards still work."""
    episodes = _episodes(world, rng, count, 4, 16)
    rows = _rows(episodes, _within(world, rng, episodes, 20 * MINUTE_MS))
    sites = world.merchants.sites(world.merchants.popularity)
    rows["merchant"] = sites.pick(rng, np.zeros(count, np.int64))[episodes.number]
    rate = np.array([place.rate for place in PLACES])[world.customers.home[episodes.victim]]
    rows["amount"] = np.maximum(1, rng.lognormal(np.log(200 * rate), 0.6, count)).astype(np.int64)
    rows["channel"] = Channel.WEB
    fill_entries(rng, rows)
    _offender_device(world, rng, rows, episodes)
    return rows


Pattern = Callable[[World, np.random.Generator, Traffic, int], Traffic]
PATTERNS: tuple[tuple[str, float, Pattern], ...] = (  # name, share of the fraudulent events, how it is done
    ("stolen_card", 0.32, stolen_card),
    ("compromised_merchant", 0.26, compromised_merchant),
    ("account_takeover", 0.24, account_takeover),
    ("card_testing", 0.18, card_testing),
)
FRAUD_KINDS = ("", *(name for name, _, _ in PATTERNS))


def fraud_traffic(world: World, honest: Traffic, count: int) -> Traffic:
    """`count` events of all patterns in their shares, in no particular order."""
    edges = np.round(np.cumsum([0.0, *(share for _, share, _ in PATTERNS)]) * count).astype(int)
    parts = [np.zeros(0, TRAFFIC)]
    for kind, (name, _, pattern) in enumerate(PATTERNS, start=1):
        size = int(edges[kind] - edges[kind - 1])
        if size:
            rows = pattern(world, world.config.chance(name), honest, size)
            rows["kind"] = kind
            parts.append(rows)
    return np.concatenate(parts)


def _episodes(world: World, rng: np.random.Generator, count: int, low: int, high: int) -> Episodes:
    """`count` events cut into runs of `low` to `high`, each against one victim at one time."""
    number = np.repeat(np.arange(count), rng.integers(low, high + 1, count))[:count]
    odds = np.sqrt(world.customers.activity)
    victim = rng.choice(world.config.users, count, p=odds / odds.sum())
    careful = rng.random(count) < CAREFUL_SHARE
    abroad = rng.choice(len(PLACES), count, p=weights([place.fraudsters for place in PLACES]))
    near = careful | (rng.random(count) < 0.25)
    waking = daily_times(world, rng, victim)
    any_time = world.config.start_ms + rng.integers(0, world.config.span_ms, count)
    return Episodes(
        number=number,
        victim=victim[number],
        begin=np.where(near, waking, any_time)[number],
        careful=careful[number].astype(np.int64),
        place=np.where(near, world.customers.home[victim], abroad)[number],
    )


def _breach(world: World, rng: np.random.Generator, honest: Traffic) -> tuple[Ints, Ints]:
    """The customers of one merchant's last five days before its data leaked, and the time of the leak."""
    config = world.config
    merchant = rng.choice(honest["merchant"])
    leak = config.start_ms + int(config.span_ms * rng.uniform(0.1, 0.9))
    paid = (honest["merchant"] == merchant) & (honest["time"] < leak) & (honest["time"] >= leak - 5 * DAY_MS)
    victims = np.unique(honest["user"][paid])
    if not len(victims):  # a quiet merchant: somebody's card leaked all the same
        victims = honest["user"][:1]
    return victims.astype(np.int64), np.full(len(victims), leak)


def _coveted(world: World) -> tuple[Picker, Picker]:
    """Shops and sites by what can be turned into money."""
    merchants = world.merchants
    odds = np.sqrt(merchants.popularity) * APPEAL[merchants.category]
    return merchants.shops(odds), merchants.sites(odds)


def _rows(episodes: Episodes, time: Ints) -> Traffic:
    rows = np.zeros(len(time), TRAFFIC)
    rows["user"], rows["time"] = episodes.victim, time
    return rows


def _within(world: World, rng: np.random.Generator, episodes: Episodes, length: int) -> Ints:
    """A time for each event within `length` of its episode's begin; the log's end cuts it short."""
    time = episodes.begin + rng.integers(0, length, len(episodes.begin))
    cut: Ints = np.minimum(time, world.config.end_ms - 1)
    return cut


def _excess(rng: np.random.Generator, episodes: Episodes, mean: float) -> Floats:
    """The logarithm by which amounts exceed the usual; careful offenders keep to the usual."""
    return np.where(episodes.careful == 1, 0.0, rng.normal(mean, 0.7, len(episodes.number)))


def _offender_device(world: World, rng: np.random.Generator, rows: Traffic, episodes: Episodes) -> None:
    """The offender's device and address on the net: one device per episode, no customer has it; some hide it."""
    fill_devices(world, rng, rows)
    on_the_net = (rows["channel"] == Channel.WEB) | (rows["channel"] == Channel.APP)
    strange = strangers(world, rng, len(rows))[episodes.number]
    shows = rng.random(len(rows))[episodes.number] < 0.8
    rows["device"] = np.where(on_the_net & shows, strange, NONE)
    rows["ip"] = np.where(on_the_net, episodes.place, NONE)
