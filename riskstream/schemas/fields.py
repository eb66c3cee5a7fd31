"""Field types that every domain shares."""

from typing import Annotated

from msgspec import Meta


def chars(allowed: str, shortest: int, longest: int, description: str) -> Meta:
    """Bounds of a text of ASCII characters from a class such as `A-Z0-9`.

    JSON Schema states the class as a pattern. It is not given to msgspec, whose regular expressions would cost more
    than all the rest of decode; the decoder checks it in its pass over the bytes.
    """
    pattern = {"pattern": f"^[{allowed}]+$"}
    return Meta(min_length=shortest, max_length=longest, description=description, extra_json_schema=pattern)


Id = Annotated[str, chars("A-Za-z0-9._:@-", 1, 64, "opaque id")]
EpochMs = Annotated[
    int, Meta(ge=946_684_800_000, le=4_102_444_800_000, description="milliseconds since 1970-01-01 UTC")
]
MinorUnits = Annotated[int, Meta(ge=0, le=1_000_000_000_000, description="integer minor units (cents) of the currency")]
Currency = Annotated[str, chars("A-Z", 3, 3, "ISO 4217 code")]
Country = Annotated[str, chars("A-Z", 2, 2, "ISO 3166-1 alpha-2 code")]
