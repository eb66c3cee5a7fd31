"""The customers' profiles, as another system would have computed them: most are there, some are old or have gaps."""

from collections.abc import Iterator

import msgspec
import numpy as np

from riskstream.models.simulation.catalogue import CATEGORIES, PLACES, weights
from riskstream.models.simulation.config import DAY_MS, HOUR_MS
from riskstream.models.simulation.world import World
from riskstream.schemas.payment import PaymentProfile

MISSING_SHARE = 0.06
STALE_SHARE = 0.02
GAP_SHARE = 0.04  # of each field
OLDEST_ACCOUNT_MS = 1_000_000_000_000  # 2001
TYPICAL_LOG = float(np.dot(weights([c.popularity for c in CATEGORIES]), np.log([c.median for c in CATEGORIES])))


def user_id(user: int) -> str:
    return f"user-{user:06d}"


def daily(profile: PaymentProfile, days: int) -> Iterator[PaymentProfile]:
    """A profile as it was written on each of the `days` before, and then."""
    for day in range(days, -1, -1):
        yield msgspec.structs.replace(profile, computed_at=profile.computed_at - day * DAY_MS)


def make_profiles(world: World) -> dict[str, PaymentProfile]:
    """Computed within the log's last six hours, so that none is too old for any event; the stale ones 400 days before.

    They tell of habits alone: nothing in them was taken from the log's events, so they give away none to come.
    """
    config, customers = world.config, world.customers
    rng, users = config.chance("profiles"), config.users
    age = np.where(rng.random(users) < STALE_SHARE, 400 * DAY_MS, 0) + rng.integers(0, 6 * HOUR_MS, users)
    computed_at = config.end_ms - age
    opened_at = config.start_ms - DAY_MS - (rng.gamma(1.6, 600, users) * DAY_MS).astype(np.int64)
    typical = np.exp(TYPICAL_LOG + customers.level + rng.normal(0, 0.2, users)).astype(np.int64)
    columns = {
        "account_created_at": np.maximum(opened_at, OLDEST_ACCOUNT_MS).tolist(),
        "home_country": [PLACES[home].code for home in customers.home.tolist()],
        "kyc_level": rng.choice(4, users, p=[0.05, 0.2, 0.5, 0.25]).tolist(),
        "typical_amount": typical.tolist(),
        "chargebacks_365d": rng.poisson(0.08, users).tolist(),
    }
    gaps = {name: (rng.random(users) < GAP_SHARE).tolist() for name in columns}
    return {
        user_id(user): PaymentProfile(
            computed_at=int(computed_at[user]),
            **{name: None if gaps[name][user] else values[user] for name, values in columns.items()},
        )
        for user in np.flatnonzero(rng.random(users) >= MISSING_SHARE).tolist()
    }
