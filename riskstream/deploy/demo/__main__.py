"""`make demo`: the whole path on this machine, and a count that is independent of the workers.

Ends with 0 only if every record that went in has exactly one answer, the right one, in order.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from confluent_kafka import KafkaException
from rich.console import Console

from riskstream.deploy.demo.count import Content, Place, count
from riskstream.deploy.demo.model import ready_bundle
from riskstream.deploy.demo.outputs import Output, open_outputs, read_to_end
from riskstream.deploy.demo.report import Findings, bar, print_report
from riskstream.deploy.demo.sidecar import BY_DAY, DAY_MS, LATENESS_MS, Reports, Watched, running_sidecar
from riskstream.deploy.demo.stream import Phase, Sender, Stalled, Stream, Watch
from riskstream.deploy.demo.traffic import Traffic, make_traffic
from riskstream.deploy.demo.workers import Worker, WorkerError, Workers
from riskstream.deploy.stack import LocalStack, StackError, jars, temporary_stack
from riskstream.deploy.stack.__main__ import shown
from riskstream.deploy.stack.local import HOME
from riskstream.models.bundle import BundleError
from riskstream.workers.errors import Unavailable
from riskstream.workers.history_store import HistoryStore
from riskstream.workers.kafka.upstream import upstream_producer
from riskstream.workers.redis_line import connect
from riskstream.workers.settings import Settings, load_settings
from riskstream.workers.settings_sources import OWN_PREFIXES, PREFIX, SettingsError
from riskstream.workers.simulate import encode_profiles
from riskstream.workers.topics import Wish, ensure_topics

EVENTS = "RISKSTREAM_DEMO_EVENTS"
DEFAULT_EVENTS = 20_000  # at a steady pace; before them a quarter of that to warm up, after them as many at once
LEAST_EVENTS = 100
RATE = 2_000
SIDECAR_WITHIN_S = 10.0  # after the last answer
PARTITIONS = 6
WIDTH = 110  # of what is no terminal
SLOTS = ["demo-1", "demo-2"]
EXPECTED = (SettingsError, StackError, BundleError, WorkerError, Unavailable, KafkaException, TimeoutError)


@dataclass
class Run:
    """What happened, for the verdict. `phases` are those that came to their end."""

    traffic: Traffic
    sent: dict[Place, Content] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    memory_mib: float = 0.0
    watched: Watched | None = None
    problems: list[str] = field(default_factory=list)


def run(events: int, console: Console) -> int:
    """The demo from the model to the verdict; the exit code. Whatever it starts is gone when it returns or raises."""
    bundle = ready_bundle(HOME / "bundles", console)
    console.print(f"Model   {shown(bundle)}")
    traffic = make_traffic(events * 9 // 4)
    with ExitStack() as running:
        stack = running.enter_context(local_stack(console))
        settings = load_settings(bootstrap_servers=stack.bootstrap_servers, redis_url=stack.redis_url)
        _prepare(settings, traffic, console)
        environment = {**stack.environment, **BY_DAY, "RISKSTREAM_BUNDLE": str(bundle)}
        sidecar = running.enter_context(running_sidecar(stack.data_dir, environment))
        workers = running.enter_context(_workers(stack, environment, console))
        console.print(f"Sidecar {sidecar.page or 'is starting'}")
        done = Run(traffic)
        _stream(done, settings, workers, console)
        workers.stop()  # whatever they had under way is now either committed or not, and told to the sidecar
        done.outputs = read_to_end(stack.bootstrap_servers)
        done.problems += workers.problems
        if not done.problems:  # else nobody asks what the sidecar saw
            _watch(done, settings, sidecar)
        if done.problems:
            console.print(workers.last_words, markup=False, soft_wrap=True)
    return conclude(done, console)


@contextmanager
def local_stack(console: Console) -> Iterator[LocalStack]:
    jars.class_path()  # shows its own progress
    with ExitStack() as running:
        with console.status("Starting Kafka and Redis"):
            stack = running.enter_context(temporary_stack())
        console.print(f"Kafka   {stack.bootstrap_servers}\nRedis   {stack.redis_url.removeprefix('redis://')}")
        yield stack


def _prepare(settings: Settings, traffic: Traffic, console: Console) -> None:
    """Topics, and the customers' profiles where workers read them."""
    topics = ensure_topics(settings, Wish(partitions=PARTITIONS))
    console.print(f"Topics  {', '.join(topic.topic for topic in topics)}: {PARTITIONS} partitions each")
    store = HistoryStore(connect(settings.redis_url, settings.redis_timeout_ms), ttl_ms=0)
    store.put_profiles(encode_profiles(traffic.log))
    store.close()


@contextmanager
def _workers(stack: LocalStack, environment: dict[str, str], console: Console) -> Iterator[Workers]:
    complete = {"RISKSTREAM_LOG_IS_COMPLETE": "true"}  # the topic is new: nobody has a past that it does not hold
    with Workers(SLOTS, stack.data_dir, {**environment, **complete}) as workers:
        with console.status(f"Starting {len(SLOTS)} scoring workers"):
            workers.wait_until_ready(PARTITIONS)
        console.print(f"Workers {' and '.join(SLOTS)}")
        yield workers


def _stream(done: Run, settings: Settings, workers: Workers, console: Console) -> None:
    """A ninth to warm up, four ninths at a pace, four at once. If answers stay away, that is a problem to report."""
    records = done.traffic.records
    ninth = len(records) // 9
    sender = Sender(upstream_producer(settings), settings.input_topic, done.sent)
    with open_outputs(settings.bootstrap_servers) as consumer, bar(console, len(records)) as show:
        stream = Stream(sender, Watch(consumer), workers, show)
        try:
            done.phases.append(stream.run(records[:ninth]))
            done.phases.append(stream.run(records[ninth : 5 * ninth], RATE))
            done.phases.append(stream.run(records[5 * ninth :]))
            done.memory_mib = max(workers.memory_mib())
        except (Stalled, WorkerError) as problem:
            done.problems.append(str(problem))
    if unacknowledged := sender.finish():
        done.problems.append(f"{unacknowledged} records were not acknowledged by Kafka")


def _watch(done: Run, settings: Settings, sidecar: Worker) -> None:
    """What the sidecar says of the days that are over. It may be late, but not dead, and not say what is not so."""
    times = {event.event_id: event.event_time for event in done.traffic.log.events}
    over = (max(times.values()) - LATENESS_MS) // DAY_MS * DAY_MS
    with Reports(settings.bootstrap_servers, settings.drift_topic) as topic:
        reports = topic.up_to(over, SIDECAR_WITHIN_S)
    until = reports[-1].window_end if reports else 0
    scored = sum(times.get(output.score.event_id, until) < until for output in done.outputs if output.score)
    done.watched = Watched(reports, scored)
    done.problems += done.watched.problems
    try:
        sidecar.check()
    except WorkerError as problem:
        done.problems.append(str(problem))


def conclude(done: Run, console: Console) -> int:
    """Say what was found; the last line is for scripts."""
    verdict = count(done.sent, [output.answer for output in done.outputs])
    if len(done.phases) == 3 and done.watched:
        scores = [output.score for output in done.outputs if output.score]
        warm_up, steady, at_once = done.phases
        phases = warm_up, steady, at_once
        print_report(console, Findings(done.traffic, verdict, scores, *phases, done.memory_mib, done.watched))
    problems = done.problems + verdict.problems
    for problem in problems:
        console.print(f"problem: {problem}", style="red", markup=False, soft_wrap=True)
    console.print(f"demo: {verdict}", soft_wrap=True)
    return 1 if problems else 0


def _read_events() -> int:
    text = os.environ.get(EVENTS, str(DEFAULT_EVENTS))
    if not text.isdecimal() or int(text) < LEAST_EVENTS:
        raise SettingsError([f"{EVENTS}: must be a number of payments, at least {LEAST_EVENTS}, not {text!r}"])
    return int(text)


def forget_settings() -> None:
    """The settings of the shell are for other workers than the demo's."""
    for name in [name for name in os.environ if name.startswith(PREFIX) and not name.startswith(OWN_PREFIXES)]:
        del os.environ[name]


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
    forget_settings()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    try:
        return run(_read_events(), console)
    except KeyboardInterrupt:
        console.print("Stopped; nothing is left running.")
        return 130
    except EXPECTED as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 2 if isinstance(error, SettingsError) else 1


if __name__ == "__main__":
    sys.exit(main())
