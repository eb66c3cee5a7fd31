"""A small log of payments with everything in it: many users, repeats, late events, missing fields, profiles or none."""

from random import Random

from riskstream.schemas.payment import Payment, PaymentProfile

START = 1_750_000_000_000
DAY = 86_400_000


def payments(count: int = 400, users: int = 8, seed: int = 5) -> list[Payment]:
    """The same for the same arguments, on every machine; about 40 days long."""
    random, log = Random(seed), list[Payment]()
    for index in range(count):
        if log and random.random() < 0.05:
            log.append(random.choice(log))
            continue
        late = random.randrange(3 * DAY) if random.random() < 0.1 else 0
        log.append(
            Payment(
                event_id=f"e-{index}",
                user_id=f"u-{random.randrange(users)}",
                event_time=START + index * 40 * DAY // count - late,
                amount=random.choice((0, 1, random.randrange(100_000), 10**12)),
                currency="EUR",
                merchant_id=f"m-{random.randrange(9)}",
                mcc=f"{random.randrange(10_000):04}",
                country=random.choice(("DE", "FR", "ZZ")),
                channel=random.choice(("web", "pos", "carrier-pigeon")),
                device_id=random.choice((None, "d-1", "d-2")),
                ip_country=random.choice((None, "DE")),
                entry_mode=random.choice((None, "chip", "telepathy")),
                card_present=random.choice((None, True, False)),
            )
        )
    return log


def profiles_for(log: list[Payment], seed: int = 6) -> list[PaymentProfile | None]:
    """For a third of the payments none, for a third an empty one, for a third a full one."""
    random = Random(seed)
    full = PaymentProfile(
        computed_at=START,
        account_created_at=START - 400 * DAY,
        home_country="DE",
        kyc_level=2,
        typical_amount=4_000,
        chargebacks_365d=1,
    )
    return [random.choice((None, PaymentProfile(computed_at=START), full)) for _ in log]
