"""A team's own domain, as small as can be: logins, a fact of five words, three features. No other file knows it."""

from collections.abc import Sequence
from typing import Any

import msgspec
from numpy.typing import NDArray

from riskstream.models.domain import Domain, FactRows
from riskstream.models.features import Feature, FeatureSet
from riskstream.models.formulas import event, history
from riskstream.models.history import HistorySpec
from riskstream.schemas.columns import ColumnTable, Hash, Integer
from riskstream.schemas.facts import COMMON_WORDS, FactLayout
from riskstream.schemas.fields import EpochMs, Id

MINUTE = 60_000


class Login(msgspec.Struct, kw_only=True):
    event_id: Id
    user_id: Id
    event_time: EpochMs
    failures: int
    address: str


class LoginProfile(msgspec.Struct, kw_only=True):
    computed_at: EpochMs


LOGIN_FACT = FactLayout("login", 1, (*COMMON_WORDS, "failures", "address"))


COLUMNS = ColumnTable(
    {
        "event_time": Integer("event_time"),
        "event_hash": Hash("event_id"),
        "failures": Integer("failures"),
        "address": Hash("address"),
    }
)


def profiles(found: Sequence[LoginProfile | None]) -> dict[str, NDArray[Any]]:
    return {}


DOMAIN = Domain(
    name="login",
    event=Login,
    profile=LoginProfile,
    layout=LOGIN_FACT,
    features=FeatureSet(
        spec=HistorySpec(
            windows=(("5m", 5 * MINUTE),),
            horizon_ms=60 * MINUTE,
            capacity=16,
            value=LOGIN_FACT.index("failures"),
            distinct=(("addresses", LOGIN_FACT.index("address")),),
            distinct_windows=("5m",),
        ),
        rows=(
            Feature("failures", "wrong passwords before this login", "count", 1, event("failures")),
            Feature("failures_5m", "wrong passwords in five minutes", "count", 1, history("sum_5m")),
            Feature(
                "addresses_5m", "different addresses in five minutes", "count", 1, history("distinct_addresses_5m")
            ),
        ),
    ),
    columns=COLUMNS,
    facts=FactRows(LOGIN_FACT),
    profiles=profiles,
    profile_max_age_ms=MINUTE,
)
