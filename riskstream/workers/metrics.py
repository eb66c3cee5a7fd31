"""Metrics: one table, a row for each. A new metric is one row here and one line where it is counted.

Everything is counted per batch or rarer, and a label's child is a dict lookup, so the hot path hardly notices.
No label ever holds an id of a user, an event or a merchant.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Annotated, Generic, TypeVar, get_args, get_type_hints

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from riskstream.schemas.dead_letter import STAGES
from riskstream.schemas.score import DECISIONS, DEGRADED

PREFIX = "riskstream_"

STAGE_BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
AGE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

AT_ONCE = 1024
"""So many that wait are counted at once, whether somebody looks or not."""

M = TypeVar("M", Counter, Gauge, "ArrayHistogram")


Value = str | int | tuple[str, ...]


class Family(dict[Value, M], Generic[M]):
    """A metric with one label; `family["decode"]` is the child of that label value, made when first asked for.

    With several labels the value is a tuple.
    """

    def __init__(self, parent: M) -> None:
        super().__init__()
        self._parent: M = parent

    def __missing__(self, value: Value) -> M:
        child = self[value] = self._parent.labels(*(value if isinstance(value, tuple) else (value,)))
        return child

    def forget(self, value: Value) -> None:
        """Show this label value no longer, for instance a partition that another worker owns now."""
        if self.pop(value, None) is not None:
            self._parent.remove(*(value if isinstance(value, tuple) else (value,)))


class ArrayHistogram(Collector):
    """A histogram that takes the values of a whole batch at once. A single value only waits, which costs next to
    nothing: it is counted together with others, or for a reader.

    One thread observes; a scrape may read meanwhile. With a label it is the children that observe.
    """

    def __init__(
        self,
        name: str,
        help: str,
        labels: list[str],
        buckets: tuple[float, ...],
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._given = name, help, labels, buckets
        self._bounds = np.array([*buckets, np.inf])
        self._counts = np.zeros(len(self._bounds), np.int64)
        self._sum = 0.0
        self._waiting: deque[float] = deque()
        self._lock = Lock()
        self._children: dict[tuple[str, ...], ArrayHistogram] = {}
        if registry is not None:
            registry.register(self)

    def labels(self, *values: str) -> "ArrayHistogram":
        return self._children.setdefault(values, ArrayHistogram(*self._given))

    def remove(self, *values: str) -> None:
        del self._children[values]

    def observe(self, value: float) -> None:
        self._waiting.append(value)
        if len(self._waiting) >= AT_ONCE:
            self.observe_all([])

    def observe_all(self, values: ArrayLike) -> None:
        """These, and the single ones before them."""
        with self._lock:
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            array = np.concatenate([np.array(waiting, np.float64), np.asarray(values, np.float64)])
            self._counts += np.bincount(np.searchsorted(self._bounds, array), minlength=len(self._bounds))
            self._sum += float(array.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        name, help, labels, _ = self._given
        family = HistogramMetricFamily(name, help, labels=labels)
        for values, child in list(self._children.items()) if labels else [((), self)]:
            child.observe_all([])
            totals = zip(self._bounds.tolist(), child._counts.cumsum().tolist(), strict=True)
            buckets = [("+Inf" if np.isinf(bound) else str(bound), total) for bound, total in totals]
            family.add_metric(values, buckets, child._sum)
        yield family


class _First(Collector):
    """Is asked before all others, and has what was put off counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls: list[Callable[[], None]] = []
        registry.register(self)

    def collect(self) -> list[Metric]:
        for call in self.calls:
            call()
        return []


@dataclass(frozen=True)
class Row:
    """What the table says of a metric besides its name and kind. `known` label values start at 0.

    Several labels are separated by spaces.
    """

    help: str
    label: str | None = None
    known: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def build(self, name: str, kind: type, registry: CollectorRegistry) -> object:
        plain, label = (get_args(kind)[0], self.label) if self.label else (kind, None)
        more = {"buckets": self.buckets} if self.buckets else {}
        # The client adds the suffix of an Info by itself, and of a Counter, which it takes with or without.
        metric = plain(
            PREFIX + name.removesuffix("_info"), self.help, label.split() if label else [], registry=registry, **more
        )
        if not label:
            return metric
        family: Family[Counter] = Family(metric)
        for value in self.known:
            family[value]
        return family


class Table:
    """Metrics as attributes, each annotated with its kind and Row. One of these for a process, given to who counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Build every row into `registry`, with the process's memory and CPU beside them."""
        # Else a timestamp stands beside every counter: twice the page, and nobody reads it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self._first = _First(registry)
        ProcessCollector(registry=registry)
        for name, (kind, row) in table(type(self)).items():
            setattr(self, name, row.build(name, kind, registry))

    def before_reading(self, call: Callable[[], None]) -> None:
        """`call` is made whenever somebody reads the metrics, in the thread of that, before they are read."""
        self._first.calls.append(call)


class Metrics(Table):
    """A worker's."""

    events_total: Annotated[Counter, Row("Records taken from the input topic and committed")]
    scores_total: Annotated[Family[Counter], Row("Scores committed", "decision", DECISIONS)]
    dead_letters_total: Annotated[Family[Counter], Row("Dead letters committed", "reason")]
    duplicates_total: Annotated[Counter, Row("Scores of events that upstream had sent before")]
    degraded_total: Annotated[Family[Counter], Row("Scores that name a degraded input", "kind", DEGRADED)]
    misplaced_records_total: Annotated[
        Counter, Row("Records in another partition than the contract's partitioner says")
    ]

    stage_seconds: Annotated[
        Family[ArrayHistogram], Row("Time of a stage for one batch", "stage", STAGES, STAGE_BUCKETS)
    ]
    batch_events: Annotated[ArrayHistogram, Row("Records in a batch", buckets=BATCH_BUCKETS)]
    fast_batches_total: Annotated[Counter, Row("Batches that took the fast path: from bytes to scores in one call")]
    event_age_seconds: Annotated[
        ArrayHistogram,
        Row(
            "From the record's timestamp to its committed output; at least once, until that is on its way",
            buckets=AGE_BUCKETS,
        ),
    ]

    history_cache_hits_total: Annotated[Counter, Row("Events whose user was in memory")]
    history_cache_misses_total: Annotated[Counter, Row("Events whose user's history was asked of Redis")]
    profile_reads_total: Annotated[Counter, Row("Profiles asked of Redis; those of other events were in memory")]
    history_cache_bytes: Annotated[Gauge, Row("Memory of the histories held")]
    applied_lag_events: Annotated[Family[Gauge], Row("Offsets committed to Kafka but not yet to Redis", "partition")]
    consumer_lag_events: Annotated[Family[Gauge], Row("Offsets in the input not yet committed", "partition")]

    redis_errors_total: Annotated[Family[Counter], Row("Redis calls that failed", "operation")]
    kafka_errors_total: Annotated[Family[Counter], Row("Errors that the Kafka clients reported", "code")]
    transactions_total: Annotated[
        Family[Counter],
        Row("Batches by what became of their transaction", "outcome", ("committed", "aborted", "unclear")),
    ]
    rebalances_total: Annotated[
        Family[Counter], Row("Changes of the assignment", "kind", ("assigned", "revoked", "lost"))
    ]
    recoveries_total: Annotated[Family[Counter], Row("Times a partition's state was taken again", "cause")]
    recovered_facts_total: Annotated[Counter, Row("Facts read again from the input topic to take state")]
    assigned_partitions: Annotated[Gauge, Row("Partitions that this worker owns")]
    stalled_partitions: Annotated[Gauge, Row("Partitions with something to read that give nothing")]
    halted_partitions: Annotated[Gauge, Row("Partitions that wait for an operator")]

    last_progress_timestamp_seconds: Annotated[Gauge, Row("When the loop last went round")]
    model_info: Annotated[Info, Row("The model that scores: name, version, feature_set, and the engine that runs it")]


def table(of: type[Table] = Metrics) -> dict[str, tuple[type, Row]]:
    """Every row by its name: the kind of metric, and what the table says of it."""
    hints = get_type_hints(of, include_extras=True)
    return {name: get_args(hint) for name, hint in hints.items()}
