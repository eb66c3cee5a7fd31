"""The story of `make demo-drift`: a month to fill the histories, calm weeks, and three things that go wrong.

The country of an address (`ip_country`) is an optional field, so an upstream that loses it breaks no contract and no
payment is refused: just what nobody notices. The merchant's `country` is mandatory; without it there would be dead
letters. The attack is the simulator's own card testing, all of a day's worth at once; the amounts are those of an
upstream that counts a fee twice and again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
import numpy as np

from riskstream.models.simulation import SimulatedLog, SimulationConfig, simulate
from riskstream.schemas.drift import Alert
from riskstream.schemas.payment import Payment

DAY_MS = 86_400_000
WINDOW_MS = DAY_MS // 2
WARM_DAYS = 30
LEARNING, REST = 32, 8  # windows before the first change, and between two
LASTS = 4  # windows of each change
WORLD = SimulationConfig(seed=7, users=2_000, events=99_200, days=62)
HIT_BY_ATTACK = ("amount", "count", "distinct", "new", "same_merchant", "since_last")
LOST_SHARE, AMOUNT_FACTOR, ATTACKERS_SHARE = 0.6, 3, 0.25


class Planted(NamedTuple):
    """One thing that goes wrong, and what an alert about it must say."""

    name: str
    start: int
    end: int
    kinds: tuple[str, ...]
    features: tuple[str, ...]  # beginnings of the names that may lead
    segment: str | None

    def explains(self, alert: Alert) -> bool:
        """Whether the alert came of it: raised while it lasted, or in the window after."""
        return self.start < alert.raised_at <= self.end + WINDOW_MS

    def named_by(self, alert: Alert) -> bool:
        right = alert.kind in self.kinds and alert.feature.startswith(self.features)
        return right and alert.segment == self.segment and self.explains(alert)

    def windows_until(self, alert: Alert) -> int:
        return (alert.raised_at - self.start) // WINDOW_MS


@dataclass(frozen=True)
class Story:
    """`past` fills the histories; `live` is what the sidecar sees. Both in the order of their sending."""

    log: SimulatedLog
    past: Sequence[Payment]
    live: Sequence[Payment]
    planted: tuple[Planted, ...]


def now_or_before(now_ms: int, config: SimulationConfig = WORLD) -> SimulationConfig:
    """The same world some weeks earlier or later, so that it ends before `now_ms` on the same day of the week."""
    weeks = (now_ms - config.end_ms) // (7 * DAY_MS)
    return replace(config, start_ms=config.start_ms + weeks * 7 * DAY_MS)


def tell(config: SimulationConfig = WORLD) -> Story:
    """The same for the same config."""
    log = simulate(config)
    begin = config.start_ms + WARM_DAYS * DAY_MS
    planted = _plan(begin)
    bug, attack, amounts = planted
    events = _with_attack(config, log.events, attack)
    past = [event for event in events if event.event_time < begin]
    live = [event for event in events if begin <= event.event_time < amounts.end + WINDOW_MS]
    live = _during(bug, live, _without_address(np.random.default_rng(config.seed)))
    return Story(log, past, _during(amounts, live, _dearer), planted)


def _plan(begin: int) -> tuple[Planted, Planted, Planted]:
    starts = [begin + (LEARNING + number * (LASTS + REST)) * WINDOW_MS for number in range(3)]
    bug, attack, amounts = ((start, start + LASTS * WINDOW_MS) for start in starts)
    return (
        Planted("upstream loses ip_country on web", *bug, ("missing",), ("ip_country_differs",), "channel=web"),
        Planted("attack wave: card testing", *attack, ("shift", "new_values"), HIT_BY_ATTACK, "channel=web"),
        Planted("amounts three times as high", *amounts, ("shift",), ("amount",), None),
    )


def _during(planted: Planted, events: Sequence[Payment], change: Callable[[Payment], Payment]) -> list[Payment]:
    return [change(event) if planted.start <= event.event_time < planted.end else event for event in events]


def _without_address(rng: np.random.Generator) -> Callable[[Payment], Payment]:
    def change(event: Payment) -> Payment:
        lost = event.channel == "web" and rng.random() < LOST_SHARE
        return msgspec.structs.replace(event, ip_country=None) if lost else event

    return change


def _dearer(event: Payment) -> Payment:
    return msgspec.structs.replace(event, amount=event.amount * AMOUNT_FACTOR)


def _with_attack(config: SimulationConfig, events: Sequence[Payment], attack: Planted) -> list[Payment]:
    """The events with those of the attack among them, at their times of day."""
    span = attack.end - attack.start
    usual = sum(attack.start <= event.event_time < attack.end for event in events)
    other = simulate(replace(config, fraud_share=0.1))
    tests = [event for event, kind in zip(other.events, other.fraud_kinds, strict=True) if kind == "card_testing"]
    wave = [
        msgspec.structs.replace(
            event, event_id=f"wave-{number:06d}", event_time=attack.start + (event.event_time - config.start_ms) % span
        )
        for number, event in enumerate(tests[: int(usual * ATTACKERS_SHARE)])
    ]
    return sorted([*events, *wave], key=lambda event: event.event_time)
