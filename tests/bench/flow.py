"""The worker's own flow in this process, on the real Redis; no Kafka. Every stage with its CPU time."""

from collections.abc import Iterator
from itertools import pairwise
from time import process_time
from typing import Any, cast

import numpy as np
from prometheus_client import CollectorRegistry

from riskstream.models.bundle import load_bundle
from riskstream.models.drift.sketch import SketchLayout
from riskstream.models.scorer import Scorer
from riskstream.schemas.decode import Decoder, Records
from riskstream.schemas.history import Applied
from riskstream.schemas.partitioner import partitions_of
from riskstream.schemas.texts import Texts
from riskstream.workers.history_store import HistoryStore, Read
from riskstream.workers.join import Join
from riskstream.workers.kafka.batch import Batch
from riskstream.workers.metrics import Metrics
from riskstream.workers.outcome import Outcome
from riskstream.workers.profiles import Profiles
from riskstream.workers.redis_line import connect
from riskstream.workers.scoring import Model, Scoring, Topics
from riskstream.workers.stats import Stats, Target
from riskstream.workers.working_set import LogSpan, WorkingSet
from tests.bench.cpu import MICRO
from tests.bench.rig import Rig
from tests.bench.workload import Record, Workload

NEVER = 10**9
NOW_MS = 1_795_000_000_000


class Flow:
    """A scoring worker's parts between its consumer and its producer, for the users of one workload."""

    def __init__(self, rig: Rig, workload: Workload, trees: int) -> None:
        """The workload has been stored by the rig."""
        domain, settings = rig.world.domain, rig.world.settings(rig.name)
        self.rig, self.domain = rig, domain
        self._users = [user.encode() for user in workload.users]
        self.metrics = Metrics(CollectorRegistry())
        self.store = HistoryStore(connect(settings.redis_url, 10_000), ttl_ms=2 * domain.features.spec.horizon_ms)
        self.working_set = WorkingSet(domain.layout, domain.features.spec.capacity, 4 << 30, log_is_complete=True)
        self.decoder = Decoder(domain.event, domain.columns)
        self.join = Join(
            domain,
            self.working_set,
            self.store,
            Profiles(domain, domain.profile_max_age_ms),
            self.metrics,
            write_behind_ms=NEVER,
            write_behind_users=NEVER,
            degrade=False,
        )
        bundle = load_bundle(rig.world.bundles[trees], domain.features)
        scorer = Scorer(bundle)
        model = Model(bundle.label, scorer.answer, bundle.manifest.thresholds, trees=scorer.trees)
        topics = Topics(settings.output_topic, settings.dead_letter_topic, NEVER, rig.partitions)
        self.scoring = Scoring(
            domain, self.decoder, self.join, model, self.working_set, topics, self.metrics, timer=process_time
        )
        # Slots of a day: the workload's events are of many days, those of live traffic are of one minute.
        target = Target(settings.stats_topic, bundle.label, slot_ms=86_400_000)
        self.stats = Stats(target, SketchLayout.of(bundle), settings.stats_interval_ms / 1000)
        self._next = dict.fromkeys(range(rig.partitions), 0)
        self.forget()

    def forget(self) -> None:
        """All memory of users goes; each is read from Redis at its next event."""
        marks = self.store.applied([self.rig.keys(partition) for partition in range(self.rig.partitions)])
        for partition, mark in enumerate(marks):
            scored = Applied.decode(mark or b"").offset
            self.working_set.open(partition, self.rig.keys(partition), mark, LogSpan(0, scored))

    def remember(self) -> None:
        """Every user of the workload is read into memory."""
        places = partitions_of(self._users, self.rig.partitions)
        for number, partition in self.working_set.partitions.items():
            users = [self._users[row] for row in np.flatnonzero(places == number).tolist()]
            for start in range(0, len(users), 1_000):
                some = users[start : start + 1_000]
                reply = self.store.exchange([], [Read(partition.keys, some)], some)
                ((_, values),) = reply.histories
                self.working_set.load(partition, some, values)
                seats = self.working_set.find(np.full(len(some), number), Texts.of(some))
                self.join.profiles.keep(seats, reply.profiles, range(len(some)))
                self.working_set.note_profiles(seats)

    def batches(self, records: list[Record], size: int) -> Iterator[Batch]:
        """The records cut into batches, with offsets that go on where the last batch ended."""
        for start in range(0, len(records) - size + 1, size):
            some = records[start : start + size]
            offsets = []
            for record in some:
                offsets.append(self._next[record.partition])
                self._next[record.partition] += 1
            values = Records([record.key for record in some], [record.value for record in some], [NOW_MS] * size)
            yield Batch.of_columns(
                self.scoring.topics.scores,
                cast(Any, [None] * size),
                [record.partition for record in some],
                offsets,
                values,
                None,
            )

    def run(self, batch: Batch) -> tuple[Outcome, dict[str, float]]:
        """One batch from decode to absorb and write-behind: its outcome, and CPU microseconds per event by stage."""
        answers = self.scoring(batch)
        outcome = answers.outcome()
        ended = {**outcome.ended, "rest of the flow": process_time()}
        self.stats.confirmed(self.stats.due())
        self.stats.absorb(answers, self.working_set.partitions)
        ended["sketch"] = process_time()
        self.scoring.absorb(answers)
        ended["absorb"] = process_time()
        self.join.flush(list(self.working_set.partitions.values()))
        ended["write-behind"] = process_time()
        each = MICRO / len(batch.messages)
        return outcome, {stage: each * (end - begin) for (_, begin), (stage, end) in pairwise(ended.items())}
