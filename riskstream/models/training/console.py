"""A training run for people: a line per step while it goes on, and what came of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from riskstream.models.training.pipeline import Report, Trained

# In the table, with their intervals where there are any; all others are in the bundle and in the report.
SHOWN = ("auc", "average_precision", "caught", "decline_precision", "review_share", "brier", "ece", "money_saved_share")


@contextmanager
def steps(console: Console) -> Iterator[Report]:
    """A bar per step; a new step completes the one before."""
    columns = TextColumn("{task.description:<18}"), BarColumn(), TimeElapsedColumn()
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as progress:

        def report(step: str, share: float) -> None:
            if step not in tasks:
                for task in tasks.values():
                    progress.update(task, completed=1.0)
                tasks[step] = progress.add_task(step, total=1.0)
            progress.update(tasks[step], completed=share)

        yield report
        for task in tasks.values():
            progress.update(task, completed=1.0)


def summary(console: Console, trained: Trained, alerts_per_day: int) -> None:
    """A table of the main figures, and one line that programs can read."""
    manifest, metrics = trained.bundle.manifest, trained.bundle.manifest.metrics
    precision = f"precision_at_{alerts_per_day}"
    table = Table("on the held-out part", "", "95 % between", box=None, title_justify="left")
    for name in (*SHOWN[:2], precision, *SHOWN[2:]):
        ends = trained.evaluation.intervals.get(name)
        table.add_row(
            name.replace("_", " "), f"{metrics[name]:.4f}", f"{ends.low:.4f} and {ends.high:.4f}" if ends else ""
        )
    table.add_row("review from", f"{manifest.thresholds.review:.6f}")
    table.add_row("decline from", f"{manifest.thresholds.decline:.6f}")
    if trained.folds:
        table.add_row("folds", ", ".join(f"{worth:.4f}" for worth in trained.folds), "average precision of each")
    console.print(table)
    figures = f"auc={metrics['auc']:.4f} ap={metrics['average_precision']:.4f} {precision}={metrics[precision]:.4f}"
    proof = f"parity_max={trained.parity.largest:.1e} flips={trained.parity.flips}"
    console.print(f"train: {figures} {proof} bundle={trained.bundle.label}", soft_wrap=True)
