"""The payment domain on the wire: the transaction event, the user's profile, the fact.

Schemas only grow: a field that comes later has a default, a type never changes, old bytes stay as fixtures.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from riskstream.schemas.facts import COMMON_WORDS, FactLayout
from riskstream.schemas.fields import Country, Currency, EpochMs, Id, MinorUnits, chars

Mcc = Annotated[str, chars("0-9", 4, 4, "merchant category code, four digits")]
OpenSet = Annotated[
    str, Meta(min_length=1, max_length=32, description="open set: a value not listed scores as unknown")
]

# Open sets: the position is the model's code, 0 is unknown. Append only.
CHANNELS = ("unknown", "web", "app", "pos", "atm", "moto")
ENTRY_MODES = ("unknown", "chip", "contactless", "swipe", "manual", "ecommerce", "recurring")


class Payment(msgspec.Struct, kw_only=True, gc=False):
    """A payment as its producer saw it. Keyed by `user_id`; unknown fields pass."""

    event_id: Annotated[Id, Meta(description="the payment's id; sent again, it is the same payment")]
    user_id: Annotated[Id, Meta(description="whose payment it is; the record's key")]
    event_time: Annotated[EpochMs, Meta(description="when it happened, milliseconds since 1970-01-01 UTC")]
    amount: MinorUnits
    currency: Currency
    merchant_id: Annotated[Id, Meta(description="who is paid")]
    mcc: Mcc
    country: Annotated[Country, Meta(description="country of the merchant, ISO 3166-1 alpha-2 code")]
    channel: Annotated[OpenSet, Meta(description="how it was made", examples=list(CHANNELS[1:]))]
    device_id: Annotated[Id, Meta(description="the device in the user's hand")] | None = None
    ip_country: Annotated[Country, Meta(description="country of the user's address")] | None = None
    entry_mode: Annotated[OpenSet, Meta(description="how the card was read", examples=list(ENTRY_MODES[1:]))] | None = (
        None
    )
    card_present: bool | None = None


# Profiles do not pass the decoder of events, so here msgspec itself checks the letters.
StoredCountry = Annotated[str, Meta(max_length=2, pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2 code")]


class PaymentProfile(msgspec.Struct, kw_only=True, gc=False):
    """What another system knows of a user, kept in Redis as JSON, with the time of its computation."""

    computed_at: EpochMs
    account_created_at: EpochMs | None = None
    home_country: StoredCountry | None = None
    kyc_level: Annotated[int, Meta(ge=0, le=9)] | None = None
    typical_amount: MinorUnits | None = None
    chargebacks_365d: Annotated[int, Meta(ge=0, le=10_000)] | None = None


PAYMENT_FACT = FactLayout(
    name="payment",
    version=1,
    words=(*COMMON_WORDS, "amount", "merchant", "device", "country", "mcc"),
)
