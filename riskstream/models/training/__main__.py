"""`python -m riskstream.models.training --out DIR`: train the default model and write its bundle."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from riskstream.models.bundle import BundleError
from riskstream.models.training import ParityError, Trained, TrainingConfig, train

DEFAULTS = TrainingConfig()


class _Steps:
    """A line per step; a new step completes the one before."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, share: float) -> None:
        if step not in self._tasks:
            for task in self._tasks.values():
                self._progress.update(task, completed=1.0)
            self._tasks[step] = self._progress.add_task(step, total=1.0)
        self._progress.update(self._tasks[step], completed=share)


def main(
    out: Annotated[Path, typer.Option(help="Directory of the bundle. Must not exist yet: a bundle never changes.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = DEFAULTS.seed,
    users: Annotated[int, typer.Option(help="Customers in the simulated log.")] = DEFAULTS.users,
    events: Annotated[int, typer.Option(help="Payments in the simulated log.")] = DEFAULTS.events,
    trees: Annotated[int, typer.Option(help="Trees of the model.")] = DEFAULTS.trees,
) -> None:
    """Train the default payment model on a simulated log and write it as a bundle."""
    config = TrainingConfig(seed=seed, users=users, events=events, trees=trees)
    console = Console(highlight=False)
    columns = TextColumn("{task.description:<18}"), BarColumn(), TimeElapsedColumn()
    try:
        if out.exists():  # before the work, not after it
            raise BundleError(f"bundle {out}: already exists, and a bundle never changes; choose another directory")
        with Progress(*columns, console=console) as progress:
            trained = train(config, out, datetime.now(UTC).replace(microsecond=0), _Steps(progress))
    except (BundleError, ParityError) as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"train: {error}", markup=False)
        raise typer.Exit(1) from error
    _summary(console, trained)


def _summary(console: Console, trained: Trained) -> None:
    manifest, parity = trained.bundle.manifest, trained.parity
    table = Table("on the last fifth of the log", "", box=None, title_justify="left")
    for name, value in manifest.metrics.items():
        table.add_row(name.replace("_", " "), f"{value:.4f}")
    table.add_row("review from", f"{manifest.thresholds.review:.6f}")
    table.add_row("decline from", f"{manifest.thresholds.decline:.6f}")
    console.print(table)
    figures = f"auc={manifest.metrics['auc']:.4f} ap={manifest.metrics['average_precision']:.4f}"
    proof = f"parity_max={parity.largest:.1e} flips={parity.flips}"
    console.print(f"train: {figures} {proof} bundle={trained.bundle.label}", soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
