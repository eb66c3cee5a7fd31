"""`python -m riskstream.models.training --out DIR`: the demo's model, from simulated payments, in seconds."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from riskstream.models.bundle import BundleError
from riskstream.models.payment import DOMAIN
from riskstream.models.simulation import SimulationConfig
from riskstream.models.training.config import Model, TrainConfig
from riskstream.models.training.console import steps, summary
from riskstream.models.training.examples import read_training_data
from riskstream.models.training.export import Origin
from riskstream.models.training.parity import ParityError
from riskstream.models.training.pipeline import train
from riskstream.models.training.simulated import simulated_dataset


def main(
    out: Annotated[Path, typer.Option(help="Directory of the bundle. Must not exist yet: a bundle never changes.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 7,
    users: Annotated[int, typer.Option(help="Customers in the simulated log.")] = 2_000,
    events: Annotated[int, typer.Option(help="Payments in the simulated log.")] = 120_000,
    trees: Annotated[int, typer.Option(help="Trees of the model.")] = 300,
) -> None:
    """Train the default payment model on a simulated log and write it as a bundle."""
    console = Console(highlight=False)
    config = TrainConfig(seed=seed, model=Model(trees=trees), bootstrap=0)
    simulation = SimulationConfig(seed=seed, users=users, events=events, days=120)
    try:
        with tempfile.TemporaryDirectory() as folder, steps(console) as report:
            report("simulate payments", 0.0)
            simulated_dataset(simulation, Path(folder) / "data")
            data = read_training_data(Path(folder) / "data", DOMAIN)
            trained = train(config, data, DOMAIN, out, Origin(datetime.now(UTC).replace(microsecond=0)), report)
    except (BundleError, ParityError) as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"train: {error}", markup=False)
        raise typer.Exit(1) from error
    summary(console, trained, config.alerts_per_day)


if __name__ == "__main__":
    typer.run(main)
