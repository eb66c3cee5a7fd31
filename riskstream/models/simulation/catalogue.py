"""Where money is spent: countries, merchant categories, and the merchants made from them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


class Place(NamedTuple):
    code: str
    currency: str
    rate: float  # units of the currency for a euro
    utc_hours: int
    customers: float  # weight among the customers' homes
    travellers: float  # weight among travel destinations
    fraudsters: float  # weight among the places that fraud comes from


PLACES = (
    Place("DE", "EUR", 1.0, 1, 24, 6, 2),
    Place("FR", "EUR", 1.0, 1, 16, 8, 3),
    Place("ES", "EUR", 1.0, 1, 11, 14, 3),
    Place("IT", "EUR", 1.0, 1, 11, 12, 3),
    Place("NL", "EUR", 1.0, 1, 9, 5, 3),
    Place("AT", "EUR", 1.0, 1, 5, 8, 1),
    Place("PT", "EUR", 1.0, 0, 4, 7, 1),
    Place("GB", "GBP", 0.86, 0, 9, 8, 6),
    Place("CH", "CHF", 0.95, 1, 4, 4, 1),
    Place("PL", "PLN", 4.3, 1, 4, 3, 3),
    Place("SE", "SEK", 11.2, 1, 3, 2, 1),
    Place("US", "USD", 1.1, -5, 0, 7, 9),
    Place("TR", "TRY", 45.0, 3, 0, 6, 5),
    Place("TH", "THB", 38.0, 7, 0, 4, 4),
    Place("BR", "BRL", 6.2, -3, 0, 2, 8),
    Place("NG", "NGN", 1700.0, 1, 0, 0.5, 7),
    Place("VN", "VND", 28_000.0, 7, 0, 1, 6),
)


class Category(NamedTuple):
    mcc: str
    median: float  # euro cents
    spread: float  # of the logarithm
    popularity: float
    online: float  # share of its merchants that sell online
    appeal: float  # to fraudsters: what is easily turned into money


CATEGORIES = (
    Category("5411", 2_800, 0.7, 18, 0.08, 0.3),  # groceries
    Category("5812", 2_600, 0.6, 14, 0.05, 0.2),  # restaurants
    Category("5814", 950, 0.5, 12, 0.1, 0.2),  # fast food
    Category("5541", 4_800, 0.4, 7, 0.0, 0.6),  # fuel
    Category("4111", 320, 0.5, 10, 0.4, 0.1),  # transit
    Category("7523", 350, 0.6, 4, 0.3, 0.1),  # parking
    Category("5912", 1_700, 0.7, 6, 0.15, 0.4),  # drugstores
    Category("5651", 5_200, 0.8, 6, 0.45, 0.9),  # clothing
    Category("5732", 14_000, 1.0, 3, 0.6, 3.0),  # electronics
    Category("5944", 19_000, 1.0, 0.7, 0.3, 3.0),  # jewellery
    Category("4511", 24_000, 0.8, 1.2, 1.0, 1.5),  # airlines
    Category("7011", 15_000, 0.7, 1.5, 0.6, 0.6),  # hotels
    Category("5816", 499, 0.8, 5, 1.0, 1.2),  # games
    Category("4899", 1_099, 0.4, 4, 1.0, 0.5),  # streaming
    Category("5999", 3_200, 1.0, 6, 1.0, 2.0),  # marketplaces
    Category("4900", 7_500, 0.5, 2, 0.9, 0.1),  # utilities
    Category("6011", 9_000, 0.7, 4, 0.0, 2.0),  # cash machines
    Category("6051", 10_000, 0.9, 0.5, 1.0, 3.0),  # gift cards, quasi cash
)
CASH = next(i for i, category in enumerate(CATEGORIES) if category.mcc == "6011")


class Picker:
    """Draws a member of a group by weight, for many groups at once."""

    def __init__(self, members: Ints, groups: Ints, weights: Floats) -> None:
        order = np.argsort(groups, kind="stable")
        self._members = members[order]
        self._cumulative = np.cumsum(weights[order])
        edges = np.searchsorted(groups[order], np.arange(int(groups.max()) + 2))
        self._bounds = np.concatenate(([0.0], self._cumulative))[edges]

    def pick(self, rng: np.random.Generator, groups: Ints) -> Ints:
        low, high = self._bounds[groups], self._bounds[groups + 1]
        spot = low + rng.random(len(groups)) * (high - low)
        found = np.searchsorted(self._cumulative, spot, side="right")
        picked: Ints = self._members[np.minimum(found, len(self._members) - 1)]
        return picked


@dataclass(frozen=True)
class Merchants:
    """One array per trait, a position per merchant."""

    category: Ints
    place: Ints
    online: NDArray[np.bool_]
    popularity: Floats
    log_price: Floats  # logarithm of the usual amount in euro cents
    spread: Floats

    def shops(self, weights: Floats) -> Picker:
        """Merchants with a door, grouped by place."""
        rows = np.flatnonzero(~self.online)
        return Picker(rows, self.place[rows], weights[rows])

    def sites(self, weights: Floats) -> Picker:
        """Merchants on the net, one group for the whole world."""
        rows = np.flatnonzero(self.online)
        return Picker(rows, np.zeros_like(rows), weights[rows])


def weights(values: list[float]) -> Floats:
    """Normalised to one."""
    array: Floats = np.array(values) / sum(values)
    return array


def make_merchants(rng: np.random.Generator, count: int) -> Merchants:
    """At least `count` merchants. Every place has a fuel station, a restaurant, a grocer and a cash machine."""
    places, basics = len(PLACES), np.array([0, 1, 3, CASH])
    category = np.concatenate([
        np.repeat(basics, places),
        rng.choice(len(CATEGORIES), count, p=weights([c.popularity for c in CATEGORIES])),
    ])  # fmt: skip
    size = len(category)
    footprint = weights([p.customers + 0.4 * p.travellers for p in PLACES])
    place = np.concatenate([np.tile(np.arange(places), len(basics)), rng.choice(places, count, p=footprint)])
    online = rng.random(size) < np.array([c.online for c in CATEGORIES])[category]
    online[: len(basics) * places] = False
    median = np.array([c.median for c in CATEGORIES])[category]
    return Merchants(
        category=category,
        place=place,
        online=online,
        popularity=rng.pareto(1.3, size) + 0.2,
        log_price=np.log(median) + rng.normal(0, 0.35, size),
        spread=np.array([c.spread for c in CATEGORIES])[category],
    )
