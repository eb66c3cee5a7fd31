"""The simulated world: deterministic, valid, lifelike, and sent on time."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from xxhash import xxh3_64_hexdigest

from riskstream.models.offline import read_log
from riskstream.models.simulation import FRAUD_KINDS, SimulationConfig, simulate
from riskstream.models.simulation.config import MINUTE_MS
from riskstream.schemas.payment import CHANNELS, ENTRY_MODES, Payment, PaymentProfile
from riskstream.workers.simulate import Message, Pace, encode_profiles, messages, to_parquet, to_topic

SMALL = SimulationConfig(users=300, events=10_000)
LOG = simulate(SMALL)
TIMES = [event.event_time for event in LOG.events]


def test_the_same_config_gives_the_same_log() -> None:
    again = simulate(SMALL)
    assert again.events == LOG.events
    assert again.profiles == LOG.profiles
    assert again.fraud_kinds == LOG.fraud_kinds


def test_the_log_of_a_seed_is_pinned() -> None:
    log = simulate(SimulationConfig(seed=1, users=50, events=500))
    payments = msgspec.json.encode(log.events)
    assert xxh3_64_hexdigest(payments) == "a14d805774904b21"


def test_another_seed_gives_another_log() -> None:
    assert simulate(replace(SMALL, seed=8)).events[:10] != LOG.events[:10]


def test_events_come_in_order_within_the_span() -> None:
    assert all(earlier <= later for earlier, later in pairwise([SMALL.start_ms, *TIMES, SMALL.end_ms - 1]))


def test_every_event_and_profile_keeps_to_its_schema() -> None:
    assert msgspec.json.decode(msgspec.json.encode(LOG.events), type=list[Payment]) == LOG.events
    assert msgspec.json.decode(msgspec.json.encode(LOG.profiles), type=dict[str, PaymentProfile]) == LOG.profiles


def test_event_ids_are_unique() -> None:
    assert len({event.event_id for event in LOG.events}) == SMALL.events


def test_labels_agree_with_kinds_in_the_share_asked_for() -> None:
    assert LOG.labels.sum() == 100
    assert [kind != "" for kind in LOG.fraud_kinds] == LOG.labels.astype(bool).tolist()
    assert set(LOG.fraud_kinds) == set(FRAUD_KINDS)


def test_a_log_of_one_event_and_one_without_fraud_exist() -> None:
    assert len(simulate(SimulationConfig(users=1, events=1, days=1)).events) == 1
    assert not simulate(SimulationConfig(users=5, events=50, days=1, fraud_share=0.0)).labels.any()


@pytest.mark.parametrize("wrong", [{"users": 0}, {"events": 0}, {"days": 0}, {"fraud_share": 0.9}])
def test_a_senseless_config_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least one|between"):
        SimulationConfig(**wrong)


def test_channel_entry_mode_and_presence_agree() -> None:
    modes = {"pos": {"chip", "contactless", "swipe"}, "atm": {"chip"}, "moto": {"manual"}}
    net = {"ecommerce", "recurring"}
    for event in LOG.events:
        assert event.channel in CHANNELS[1:]
        assert event.entry_mode is None or event.entry_mode in modes.get(event.channel, net) & set(ENTRY_MODES)
        assert event.card_present in (None, event.channel in ("pos", "atm"))
        assert event.ip_country is None or event.channel in ("web", "app")


def test_some_users_are_far_busier_than_others() -> None:
    counts = sorted(Counter(event.user_id for event in LOG.events).values())
    assert counts[-1] > 10 * np.median(counts)


def test_card_testing_is_many_small_payments_within_minutes() -> None:
    tests = [event for event, kind in zip(LOG.events, LOG.fraud_kinds, strict=True) if kind == "card_testing"]
    user, count = Counter(event.user_id for event in tests).most_common(1)[0]
    times = [event.event_time for event in tests if event.user_id == user]
    assert count >= 4
    assert max(times) - min(times) <= 20 * MINUTE_MS
    assert np.median([event.amount for event in tests if event.currency == "EUR"]) < 500


def test_most_users_have_a_fresh_profile_some_a_stale_one_some_none() -> None:
    ages = [SMALL.end_ms - profile.computed_at for profile in LOG.profiles.values()]
    assert 0.85 < len(ages) / SMALL.users < 1.0
    assert 0 < sum(age > SMALL.span_ms for age in ages) < 0.1 * len(ages)
    assert any(profile.home_country is None for profile in LOG.profiles.values())


def test_repeats_say_the_same_later_and_keep_the_label() -> None:
    log = simulate(replace(SMALL, repeat_share=0.02))
    seen: dict[str, int] = {}
    repeats = [(seen.setdefault(event.event_id, row), row) for row, event in enumerate(log.events)]
    repeats = [(first, row) for first, row in repeats if first < row]
    assert len(repeats) == 200
    assert all(log.events[first] == log.events[row] for first, row in repeats)
    assert all(log.fraud_kinds[first] == log.fraud_kinds[row] for first, row in repeats)


def test_disorder_moves_events_by_minutes() -> None:
    times = np.array([event.event_time for event in simulate(replace(SMALL, disorder_share=0.1)).events])
    lateness = np.maximum.accumulate(times) - times
    assert 0 < (lateness > 0).sum() < 1_500
    assert lateness.max() <= 5 * MINUTE_MS


class FakeTime:
    """A clock that moves when somebody sleeps, and stalls once when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Topic:
    """Takes messages; its queue holds `room` of them until somebody polls."""

    def __init__(self, clock: FakeTime, room: int = 1_000_000, stall: float = 0.0) -> None:
        self.clock, self.room, self.stall = clock, room, stall
        self.queue: list[Any] = []
        self.taken: list[tuple[float, Message]] = []

    def produce(self, topic: str, *, key: bytes | None, value: bytes | None, on_delivery: Any) -> None:
        if len(self.queue) >= self.room:
            raise BufferError
        self.queue.append(on_delivery)
        self.taken.append((self.clock.now, Message(key, value)))
        if len(self.taken) == 10:
            self.clock.now += self.stall

    def poll(self, timeout: float) -> int:
        queue, self.queue = self.queue, []
        for on_delivery in queue:
            on_delivery(None, None)
        return len(queue)

    def flush(self, timeout: float) -> int:
        self.poll(timeout)
        return 0


RECORDS = [Message(b"u", b"%d" % number) for number in range(100)]


def test_sending_keeps_its_rate_and_makes_up_for_a_stall_in_a_burst() -> None:
    told: list[int] = []
    clock = FakeTime()
    topic = Topic(clock, stall=2.0)
    result = to_topic(topic, "transactions", RECORDS, Pace(10.0, lambda: clock.now, clock.sleep), told.append)
    times = [time - 100.0 for time, _ in topic.taken]
    assert times[:10] == pytest.approx([k / 10 for k in range(10)], abs=0.002)
    assert times[10:30] == pytest.approx([2.9] * 20, abs=0.002)
    assert times[30:] == pytest.approx([k / 10 for k in range(30, 100)], abs=0.002)
    assert (result.sent, result.delivered, sum(told)) == (100, 100, 100)


def test_a_full_queue_is_waited_for_and_order_is_kept() -> None:
    clock = FakeTime()
    topic = Topic(clock, room=3)
    result = to_topic(topic, "transactions", RECORDS, Pace(None, lambda: clock.now, clock.sleep), lambda _: None)
    assert [message for _, message in topic.taken] == RECORDS
    assert result.undelivered == 0


def test_malformed_records_are_mixed_in_and_the_good_keep_their_order() -> None:
    good, mixed = messages(LOG), messages(LOG, malformed_share=0.05, seed=3)
    assert len(mixed) == 10_500
    known = set(good)
    assert [message for message in mixed if message in known] == good
    assert good[0].key == LOG.events[0].user_id.encode()


def test_profiles_are_encoded_as_workers_read_them() -> None:
    key, value = encode_profiles(LOG)[0]
    user = next(iter(LOG.profiles))
    assert key == b"rs:profile:" + user.encode()
    assert msgspec.json.decode(value, type=PaymentProfile) == LOG.profiles[user]


def test_a_parquet_log_reads_back(tmp_path: Path) -> None:
    to_parquet(tmp_path / "log.parquet", LOG, SMALL)
    (piece,) = read_log(tmp_path / "log.parquet", Payment)
    assert piece.events == LOG.events
    assert piece.labels["label"].tolist() == LOG.labels.tolist()
    assert piece.labels["fraud_kind"].tolist() == LOG.fraud_kinds
