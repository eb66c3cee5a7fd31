"""`make demo-drift`: calm weeks, three things that go wrong, and what the sidecar noticed of them, on real servers.

Event time runs by much faster than the clock: payments are sent as fast as they are taken. Ends with 0 only if each of
the three was noticed by its right name within two windows, and nothing else was reported.
"""

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console

from riskstream.deploy.demo.__main__ import EXPECTED, WIDTH, forget_settings, local_stack
from riskstream.deploy.demo.count import SCORED, Content, Place
from riskstream.deploy.demo.drift_story import WINDOW_MS, Planted, Story, now_or_before, tell
from riskstream.deploy.demo.model import ready_bundle, train
from riskstream.deploy.demo.outputs import open_outputs
from riskstream.deploy.demo.report import bar
from riskstream.deploy.demo.sidecar import Reports, running_sidecar
from riskstream.deploy.demo.stream import Sender, Stalled, Stream, Watch
from riskstream.deploy.demo.traffic import Record
from riskstream.deploy.demo.workers import Worker, WorkerError, Workers
from riskstream.deploy.stack import LocalStack
from riskstream.deploy.stack.local import HOME
from riskstream.schemas.drift import Alert, DriftReport
from riskstream.schemas.payment import Payment
from riskstream.workers.history_store import HistoryStore
from riskstream.workers.kafka.upstream import upstream_producer
from riskstream.workers.redis_line import connect
from riskstream.workers.settings import Settings, load_settings
from riskstream.workers.simulate import encode_profiles
from riskstream.workers.topics import Wish, ensure_topics

PARTITIONS = 4
SLOTS = ["drift-1", "drift-2"]
PATIENCE_S = 60.0  # without a report
MOST_WINDOWS = 2  # until something is noticed
COUNTING = {"RISKSTREAM_STATS": "true", "RISKSTREAM_STATS_SEGMENT": "channel", "RISKSTREAM_STATS_SLOT_S": "3600"}
WATCHING = {"RISKSTREAM_DRIFT_WINDOWS": "12h", "RISKSTREAM_DRIFT_LATENESS_S": "0", "RISKSTREAM_DRIFT_IDLE_S": "5"}


@dataclass
class Noticed:
    """Alerts by id as they were raised, and the planted thing that each is about: None is a false alarm."""

    story: Story
    alerts: dict[str, tuple[Alert, Planted | None]] = field(default_factory=dict)
    closed_until: int = 0

    def take(self, report: DriftReport) -> list[tuple[Alert, Planted | None]]:
        """The alerts that are new with it."""
        self.closed_until = max(self.closed_until, report.window_end)
        new = [alert for alert in report.alerts if alert.id not in self.alerts]
        for alert in new:
            about = next((planted for planted in self.story.planted if planted.named_by(alert)), None)
            self.alerts[alert.id] = alert, about
        return [self.alerts[alert.id] for alert in new]

    def delays(self) -> list[int | None]:
        """Windows until each planted thing was noticed; None if it was not in time."""
        found = []
        for planted in self.story.planted:
            named = [planted.windows_until(alert) for alert, about in self.alerts.values() if about == planted]
            found.append(min(named) if named and min(named) <= MOST_WINDOWS else None)
        return found

    @property
    def false_alarms(self) -> int:
        return sum(about is None for _, about in self.alerts.values())

    def verdict(self) -> tuple[int, str]:
        """The exit code, and the line for scripts."""
        delays = self.delays()
        in_time = [delay for delay in delays if delay is not None]
        figures = f"planted={len(delays)} noticed={len(in_time)} false_alarms={self.false_alarms}"
        well = len(in_time) == len(delays) and not self.false_alarms
        return 0 if well else 1, f"drift-demo: {figures} slowest_windows={max(in_time, default=0)}"


def run(console: Console) -> int:
    """The story from the model to the verdict; the exit code. Whatever it starts is gone when it returns or raises."""
    bundle = ready_bundle(HOME / "bundles" / "drift", console, _train)
    with console.status("Writing the story"):
        story = tell(now_or_before(int(time.time() * 1000)))
    with ExitStack() as running:
        stack = running.enter_context(local_stack(console))
        settings = load_settings(bootstrap_servers=stack.bootstrap_servers, redis_url=stack.redis_url)
        _prepare(settings, story)
        noticed = _play(console, (stack, settings), bundle, story)
    code, line = noticed.verdict()
    console.print(line, soft_wrap=True)
    return code


def _train(path: Path) -> None:
    """The story's customers, who pay as often as in the story: else that is noticed too, and rightly so."""
    train(path, "--users", "2000", "--events", "192000")


def _play(console: Console, servers: tuple[LocalStack, Settings], bundle: Path, story: Story) -> Noticed:
    """The past without the sidecar, then what it sees. Nothing of it holds on to the servers when it is over."""
    stack, settings = servers
    sender = Sender(upstream_producer(settings), settings.input_topic, dict[Place, Content]())
    with open_outputs(settings.bootstrap_servers) as consumer:
        watch = Watch(consumer)
        with _workers(stack, bundle, {"RISKSTREAM_STATS": "false"}) as workers:
            _send(console, "a month of payments fills the histories", story.past, (sender, watch, workers))
        environment = {**stack.environment, "RISKSTREAM_BUNDLE": str(bundle), **COUNTING, **WATCHING}
        with running_sidecar(stack.data_dir, environment) as sidecar, _workers(stack, bundle, COUNTING) as workers:
            console.print(f"Sidecar {sidecar.page or 'is starting'}")
            _send(console, "weeks that the sidecar sees", story.live, (sender, watch, workers))
            workers.stop()  # they tell what they counted last
            return _follow(console, settings, story, sidecar)


def _prepare(settings: Settings, story: Story) -> None:
    ensure_topics(settings, Wish(partitions=PARTITIONS))
    store = HistoryStore(connect(settings.redis_url, settings.redis_timeout_ms), ttl_ms=0)
    store.put_profiles(encode_profiles(story.log))
    store.close()


@contextmanager
def _workers(stack: LocalStack, bundle: Path, more: dict[str, str]) -> Iterator[Workers]:
    complete = {"RISKSTREAM_BUNDLE": str(bundle), "RISKSTREAM_LOG_IS_COMPLETE": "true"}
    with Workers(SLOTS, stack.data_dir, {**stack.environment, **complete, **more}) as workers:
        workers.wait_until_ready(PARTITIONS)
        yield workers


def _send(console: Console, what: str, events: Sequence[Payment], by: tuple[Sender, Watch, Workers]) -> None:
    """All at once, until each has its score. Raises Stalled, WorkerError."""
    console.print(f"Sending {len(events):,} payments: {what}")
    records = [
        Record(event.user_id.encode(), msgspec.json.encode(event), Content(None, SCORED, event.event_id))
        for event in events
    ]
    with bar(console, by[0].sent + len(events)) as show:
        Stream(*by, show).run(records)


def _follow(console: Console, settings: Settings, story: Story, sidecar: Worker) -> Noticed:
    """Reads reports to the end of the story, and tells of each new alert. Raises Stalled, WorkerError."""
    noticed, end = Noticed(story), story.planted[-1].end
    heard = time.monotonic()
    with Reports(settings.bootstrap_servers, settings.drift_topic) as reports:
        while noticed.closed_until < end:
            for report in reports.read(1.0):
                heard = time.monotonic()
                for alert, about in noticed.take(report):
                    _tell(console, alert, about)
            sidecar.check()
            if time.monotonic() - heard > PATIENCE_S:
                raise Stalled(f"no report came for {PATIENCE_S:.0f} s.\n{sidecar.last_words}")
    return noticed


def _tell(console: Console, alert: Alert, about: Planted | None) -> None:
    day = datetime.fromtimestamp(alert.raised_at / 1000, UTC).strftime("%a %d %b %H:%M")
    console.print(f"\n{day}  {alert.severity}: {alert.sentence}", markup=False, soft_wrap=True)
    windows = about.windows_until(alert) if about else 0
    hours = WINDOW_MS // 3_600_000
    said = f"{about.name}, noticed with window {windows} of {hours} hours" if about else "nothing was planted there"
    console.print(f"  in truth: {said}", markup=False, soft_wrap=True)


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    forget_settings()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    try:
        return run(console)
    except KeyboardInterrupt:
        console.print("Stopped; nothing is left running.")
        return 130
    except (*EXPECTED, Stalled, WorkerError) as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
