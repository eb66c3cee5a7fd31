"""What the demo shows: a bar while it runs, a table at its end."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from riskstream.deploy.demo.count import SCORED, Verdict
from riskstream.deploy.demo.outputs import Score
from riskstream.deploy.demo.sidecar import Watched
from riskstream.deploy.demo.stream import Phase, Watch
from riskstream.deploy.demo.traffic import Traffic
from riskstream.schemas.payment import Payment

DECISIONS = ("approve", "review", "decline")
Row = tuple[str, str, str]


@dataclass(frozen=True)
class Findings:
    """All that the table is made of."""

    traffic: Traffic
    verdict: Verdict
    scores: Sequence[Score]
    warm_up: Phase
    steady: Phase
    at_once: Phase
    memory_mib: float  # of the largest worker
    watched: Watched


@contextmanager
def bar(console: Console, records: int) -> Iterator[Callable[[Watch], None]]:
    """A bar of answers; yields what moves it."""
    text = "{task.completed:,} answered: {task.fields[scores]:,} scores, {task.fields[refused]:,} dead letters"
    columns = (BarColumn(30), TaskProgressColumn(), TextColumn(text), TextColumn("{task.fields[speed]}"))
    with Progress(*columns, console=console, speed_estimate_period=2) as progress:
        task = progress.add_task("", total=records, scores=0, refused=0, speed="")

        def show(watch: Watch) -> None:
            speed = progress.tasks[0].speed or 0
            scores, refused = len(watch.scores_ms), len(watch.dead_letters_ms)
            rate = f"{speed:,.0f}/s"
            progress.update(task, completed=watch.answered, scores=scores, refused=refused, speed=rate)

        yield show


def print_report(console: Console, found: Findings) -> None:
    console.print()
    parts = {"What came out": _outcome(found), "What the sidecar saw": _sidecar(found), "How quickly": _speed(found)}
    for title, rows in parts.items():
        table = Table("", "", "", title=title, title_justify="left", box=None, show_header=False, pad_edge=False)
        table.columns[1].justify = "right"
        for row in rows:
            table.add_row(*row)
        console.print(table, "")
    console.print(_examples(found), "")


def _outcome(found: Findings) -> Iterator[Row]:
    says, repeats = found.verdict.says, found.traffic.repeats
    reasons = {reason: many for reason, many in says.most_common() if reason != SCORED}
    noticed = sum(score.duplicate for score in found.scores)
    warm_up, steady, at_once = found.warm_up.records, found.steady.records, found.at_once.records
    parts = f"{warm_up:,} to warm up, {steady:,} at a steady pace, {at_once:,} at once"
    yield "events in", f"{found.verdict.sent:,}", parts
    yield "scored", f"{says[SCORED]:,}", f"{noticed} of them marked as repeats; {repeats} payments were sent twice"
    yield "dead letters", f"{sum(reasons.values()):,}", _listed(reasons)
    truth = _truth(found.traffic)
    decided = Counter(
        (score.decision, bool(truth[score.event_id])) for score in found.scores if score.event_id in truth
    )
    for decision in DECISIONS:
        honest, fraud = decided[decision, False], decided[decision, True]
        yield decision, f"{honest + fraud:,}", f"{honest:,} honest, {fraud:,} fraudulent"
    degraded = Counter(reason for score in found.scores for reason in score.degraded)
    yield "degraded", f"{sum(bool(score.degraded) for score in found.scores):,}", _listed(degraded)


def _sidecar(found: Findings) -> Iterator[Row]:
    """Its windows against the count, and the last one in figures."""
    reports, watched = found.watched.reports, found.watched
    if not reports:
        yield "windows", "0", "it was late: none was closed when the demo ended"
        return
    first, last = reports[0], reports[-1]
    yield "windows", f"{len(reports)}", f"of a day each, {_day(first.window_start)} to {_day(last.window_start)}"
    yield "events in them", f"{watched.events:,}", f"{watched.scored:,} were scored in these days"
    said = last.prediction
    if said.mean_score is not None and said.reference_mean_score is not None:
        yield "mean score", f"{said.mean_score:.4f}", f"on the last day; {said.reference_mean_score:.4f} in training"
    alerts = {alert.id: alert for report in reports for alert in report.alerts}
    yield "alerts", f"{len(alerts)}", ""
    for alert in alerts.values():
        yield "", "", alert.sentence


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%d %b")


def _speed(found: Findings) -> Iterator[Row]:
    steady, at_once = found.steady, found.at_once
    p50, p99 = np.percentile(steady.latencies_ms, (50, 99))
    pace = f"at {steady.per_second:,.0f} events a second"
    share = f"two workers, broker, sender and reader on {os.cpu_count()} cores"
    yield "throughput", f"{at_once.per_second:,.0f}/s", f"{at_once.records:,} events sent at once; {share}"
    yield "p50", f"{p50:,.0f} ms", f"from produce to visible score, {pace}"
    yield "p99", f"{p99:,.0f} ms", ""
    yield "worker CPU", f"{at_once.worker_cpu_us:.0f} us", f"an event; {steady.worker_cpu_us:.0f} us {pace}"
    yield "worker memory", f"{found.memory_mib:.0f} MB", ""


def _examples(found: Findings) -> Table:
    """The clearest decline and approval, and a review from the middle."""
    table = Table("decision", "score", "payment", "in truth", title="For example", title_justify="left", box=None)
    events, truth = {event.event_id: event for event in found.traffic.log.events}, _truth(found.traffic)
    for decision in reversed(DECISIONS):
        scores = sorted((s.score, s.event_id) for s in found.scores if s.decision == decision and s.event_id in events)
        if scores:
            score, event_id = scores[{"approve": 0, "review": len(scores) // 2, "decline": -1}[decision]]
            kind = truth[event_id].replace("_", " ") or "honest"
            table.add_row(decision, f"{score:.4f}", _in_words(events[event_id]), kind)
    return table


def _truth(traffic: Traffic) -> dict[str, str]:
    """The kind of fraud of each event, empty if honest."""
    return {event.event_id: kind for event, kind in zip(traffic.log.events, traffic.log.fraud_kinds, strict=True)}


def _in_words(event: Payment) -> str:
    amount = f"{event.amount / 100:,.2f} {event.currency}"
    return f"{event.user_id} pays {amount} in {event.country} by {event.channel}, mcc {event.mcc}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {many:,}" for name, many in counts.items())
