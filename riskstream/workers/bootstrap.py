"""The composition root: builds a worker from its settings, runs it, takes it down."""

import gc
import os
import signal
from contextlib import ExitStack
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from riskstream.models.bundle import Bundle, load_bundle
from riskstream.models.domain import Domain, load_domain
from riskstream.models.drift.sketch import SketchLayout
from riskstream.models.scorer import Scorer
from riskstream.schemas.decode import Decoder
from riskstream.schemas.history import Keys, Namespace
from riskstream.workers.errors import Halt, Unavailable
from riskstream.workers.exits import INTERRUPTED
from riskstream.workers.health import HealthServer, Status
from riskstream.workers.history_store import HistoryStore
from riskstream.workers.join import Join
from riskstream.workers.kafka.admin import Topic, describe_topics
from riskstream.workers.kafka.config import MESSAGE_MAX_BYTES
from riskstream.workers.kafka.deadline import Deadline
from riskstream.workers.kafka.input import Input
from riskstream.workers.kafka.output import AtLeastOnceOutput, Output, TransactionalOutput
from riskstream.workers.loop import Loop, Pace
from riskstream.workers.metrics import Metrics
from riskstream.workers.ownership import Ownership
from riskstream.workers.profiles import Profiles
from riskstream.workers.redis_line import connect
from riskstream.workers.registry.source import bundle_directory
from riskstream.workers.rejection_limit import RejectionLimit
from riskstream.workers.scoring import Model, Scoring, Topics
from riskstream.workers.settings import Settings
from riskstream.workers.stats import Stats, Target, segment_of
from riskstream.workers.watched import run_watched
from riskstream.workers.working_set import WorkingSet

log = structlog.get_logger(__name__)

WAIT_S = 0.1
HOUR_MS = 3_600_000
FRAME_BYTES = 4_096
"""Of a record batch: what it may add to the key, value and headers of its one record."""
LEAST_MESSAGE_BYTES = 16_384
"""What the topics of scores and dead letters must take: more than any score (ids of 64 characters) or any dead letter
that had to leave everything out but the headers that say so."""
COLLECTED_AFTER = 100_000
"""Objects. A batch makes ten thousand that die with it; looking through them every 700 took 3 % of a worker's CPU."""


def run_worker(settings: Settings) -> int:
    """Runs one scoring worker until SIGTERM or SIGINT; answers the exit code.

    Raises SettingsError, BundleError, DomainError, RegistryError, Halt, Unavailable. Nothing is committed that is not
    whole.
    """
    domain = load_domain(settings.domain)
    bundle = load_bundle(bundle_directory(settings, domain.features), domain.features)
    metrics = Metrics(CollectorRegistry())
    status = Status()
    with ExitStack() as stack:
        address = (settings.health_host, settings.health_port)
        health = HealthServer(
            address, metrics.registry, status.why_not_live, status.why_not_ready, details=status.details
        )
        stack.enter_context(health)
        model = _model(bundle, settings.tree_walk, metrics)
        status.model_loaded = True
        store = _store(settings, domain, metrics)
        stack.callback(store.close)
        topics = _checked_topics(settings)
        _check_namespace(settings, domain, store, topics[settings.input_topic])
        stats = _stats(settings, domain, bundle, topics) if settings.stats else None
        deadline = Deadline()
        loop, source = _build(settings, domain, model, store, topics, metrics, status, stats, deadline)
        stack.callback(source.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: _stop(loop))
        gc.freeze()  # what is built by now stays; collections need not look at it again
        gc.set_threshold(COLLECTED_AFTER, 10, 10)
        log.info("worker is ready", slot=settings.slot, model=bundle.label, health_port=health.port)
        run_watched(loop.run, deadline.passed, loop.begin_anew)
    log.info("worker has stopped", slot=settings.slot)
    return 0


def _stop(loop: Loop) -> None:
    """The first signal ends the loop in order. Who sends a second one does not want to wait, for Redis for instance:
    what is not committed comes again, as after a kill."""
    if loop.stopping:
        os._exit(INTERRUPTED)
    loop.stopping = True


def _model(bundle: Bundle, tree_walk: bool, metrics: Metrics) -> Model:
    manifest = bundle.manifest
    scorer = Scorer(bundle, tree_walk)
    info = {"name": manifest.name, "version": manifest.version, "feature_set": manifest.feature_set}
    metrics.model_info.info({**info, "engine": scorer.engine})
    if scorer.engine_reason:
        log.info("ONNX Runtime runs the model", reason=scorer.engine_reason)
    return Model(bundle.label, scorer.answer, manifest.thresholds, manifest.output.classes, scorer.trees)


def _store(settings: Settings, domain: Domain, metrics: Metrics) -> HistoryStore:
    return HistoryStore(
        connect(settings.redis_url, settings.redis_timeout_ms),
        # A history that nothing was added to for twice the horizon can count for no event that is still to come.
        ttl_ms=2 * domain.features.spec.horizon_ms,
        give_up_ms=settings.redis_give_up_ms,
        on_error=lambda operation: metrics.redis_errors_total[operation].inc(),
    )


def _checked_topics(settings: Settings) -> dict[str, Topic]:
    topics = describe_topics(settings, settings.topics)
    if missing := [name for name in settings.topics if name not in topics]:
        raise Halt(f"topics do not exist: {', '.join(missing)}. Run `riskstream topics create`.")
    counts = {name: topic.partitions for name, topic in topics.items()}
    if len(set(counts.values())) > 1:
        raise Halt(f"all topics must have the input's number of partitions, they have {counts}.")
    for name in (settings.output_topic, settings.dead_letter_topic):
        if (limit := topics[name].max_message_bytes) < LEAST_MESSAGE_BYTES:
            raise Halt(
                f"topic {name} takes records of {limit} bytes, a worker needs {LEAST_MESSAGE_BYTES}. "
                f"Run kafka-configs --alter --topic {name} --add-config max.message.bytes={LEAST_MESSAGE_BYTES}."
            )
    return topics


def _check_namespace(settings: Settings, domain: Domain, store: HistoryStore, topic: Topic) -> None:
    record = Namespace(
        group=settings.group,
        topic=topic.name,
        topic_id=topic.topic_id,
        partitions=topic.partitions,
        layout=domain.layout.name,
        layout_version=domain.layout.version,
        capacity=domain.features.spec.capacity,
    )
    try:
        store.check(settings.history_namespace, record)
    except Unavailable:
        if settings.on_redis_down == "halt":
            raise
        log.warning("Redis does not answer; scoring starts without histories, and each score says so")


def _limit(topic: Topic) -> int:
    """Bytes of the largest record that can be written to the topic."""
    return min(topic.max_message_bytes, MESSAGE_MAX_BYTES) - FRAME_BYTES


def _stats(settings: Settings, domain: Domain, bundle: Bundle, topics: dict[str, Topic]) -> Stats:
    target = Target(
        topic=settings.stats_topic,
        model=bundle.label,
        slot_ms=settings.stats_slot_s * 1000,
        segment=segment_of(domain.event, settings.stats_segment),
        record_bytes=_limit(topics[settings.stats_topic]),
    )
    return Stats(target, SketchLayout.of(bundle), settings.stats_interval_ms / 1000)


def _build(
    settings: Settings,
    domain: Domain,
    model: Model,
    store: HistoryStore,
    topics: dict[str, Topic],
    metrics: Metrics,
    status: Status,
    stats: Stats | None,
    deadline: Deadline,
) -> tuple[Loop, Input]:
    capacity, degrade = domain.features.spec.capacity, settings.on_redis_down == "degrade"
    # The broker's limit is for a batch of records as a whole, so what is produced together must keep to it, too.
    limits = {name: _limit(topic) for name, topic in topics.items()}
    batch_bytes = min(limit for name, limit in limits.items() if name != settings.input_topic)
    partitions = topics[settings.input_topic].partitions
    targets = Topics(settings.output_topic, settings.dead_letter_topic, limits[settings.dead_letter_topic], partitions)
    working_set = WorkingSet(domain.layout, capacity, settings.history_cache_mb << 20, settings.log_is_complete)
    max_age = settings.profile_max_age_hours
    join = Join(
        domain,
        working_set,
        store,
        Profiles(domain, domain.profile_max_age_ms if max_age is None else int(max_age * HOUR_MS)),
        metrics,
        write_behind_ms=settings.write_behind_ms,
        write_behind_users=settings.write_behind_users,
        degrade=degrade,
    )
    ownership = Ownership(
        working_set,
        store,
        metrics,
        join.flush,
        partial(Keys.of, settings.history_namespace, settings.input_topic),
        partitions=partitions,
        degrade=degrade,
    )
    source = Input(settings, ownership, on_error=lambda code: metrics.kafka_errors_total[code].inc())
    output: Output
    if settings.delivery == "exactly_once":
        output = TransactionalOutput(settings, deadline, batch_bytes, source.notes)
    else:
        output = AtLeastOnceOutput(settings, source.commit, batch_bytes)
        join.commit = output.commit
    decoder = Decoder(domain.event, domain.columns, settings.max_event_bytes, settings.max_future_ms)
    scoring = Scoring(domain, decoder, join, model, working_set, targets, metrics)
    limit = RejectionLimit(
        settings.max_dead_letters_in_a_row, settings.max_dead_letter_share, settings.dead_letter_window
    )
    pace = Pace(settings.max_batch, WAIT_S, settings.kafka_give_up_ms / 1000, settings.stall_ms / 1000)
    return Loop(
        source, output, ownership, scoring, join, working_set, limit, status, metrics, pace, stats=stats
    ), source
