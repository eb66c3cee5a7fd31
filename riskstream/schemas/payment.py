"""The payment domain on the wire: the transaction event, the user's profile, the fact.

Schemas only grow: a field that comes later has a default, a type never changes, old bytes stay as fixtures.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from riskstream.schemas.facts import COMMON_WORDS, FactLayout

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[A-Za-z0-9._:@-]+\Z", description="opaque id")]
EpochMs = Annotated[int, Meta(ge=946_684_800_000, le=4_102_444_800_000, description="milliseconds since 1970-01-01 UTC")]
MinorUnits = Annotated[int, Meta(ge=0, le=1_000_000_000_000, description="integer minor units (cents) of the currency")]
Currency = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z", description="ISO 4217 code")]
Country = Annotated[str, Meta(pattern=r"\A[A-Z]{2}\Z", description="ISO 3166-1 alpha-2 code")]
Mcc = Annotated[str, Meta(pattern=r"\A[0-9]{4}\Z", description="merchant category code, four digits")]
OpenSet = Annotated[str, Meta(min_length=1, max_length=32, description="open set: a value not listed scores as unknown")]

# Open sets: the position is the model's code, 0 is unknown. Append only.
CHANNELS = ("unknown", "web", "app", "pos", "atm", "moto")
ENTRY_MODES = ("unknown", "chip", "contactless", "swipe", "manual", "ecommerce", "recurring")


class Payment(msgspec.Struct, kw_only=True, gc=False):
    """A payment as its producer saw it. Keyed by `user_id`; unknown fields pass."""

    event_id: Id
    user_id: Id
    event_time: EpochMs
    amount: MinorUnits
    currency: Currency
    merchant_id: Id
    mcc: Mcc
    country: Country
    channel: OpenSet
    device_id: Id | None = None
    ip_country: Country | None = None
    entry_mode: OpenSet | None = None
    card_present: bool | None = None


class PaymentProfile(msgspec.Struct, kw_only=True, gc=False):
    """What another system knows of a user, kept in Redis as JSON, with the time of its computation."""

    computed_at: EpochMs
    account_created_at: EpochMs | None = None
    home_country: Country | None = None
    kyc_level: Annotated[int, Meta(ge=0, le=9)] | None = None
    typical_amount: MinorUnits | None = None
    chargebacks_365d: Annotated[int, Meta(ge=0, le=10_000)] | None = None


PAYMENT_FACT = FactLayout(
    name="payment",
    version=1,
    words=(*COMMON_WORDS, "amount", "merchant", "device", "country", "mcc"),
)
