"""The command line. A command imports what it needs when it runs: `--help` is quick, extras stay optional."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from riskstream.workers.commands import offline
from riskstream.workers.commands.drift import drift
from riskstream.workers.commands.model import model
from riskstream.workers.commands.offsets import offsets
from riskstream.workers.commands.train import train
from riskstream.workers.exits import EXIT_CODES, INTERRUPTED, explain

EPILOG = "\n\n".join(
    [
        "[bold]Examples[/bold]",
        "riskstream topics create --partitions 12",
        "RISKSTREAM_BUNDLE=models/payment-risk riskstream worker",
        "riskstream validate events.jsonl",
        "[bold]Settings[/bold] are environment variables RISKSTREAM_*; `riskstream settings` shows what holds and why.",
        "[bold]Exit codes[/bold]",
        *(f"{code:3}  {meaning}" for code, meaning in EXIT_CODES.items()),
    ]
)
RUN, MODEL, LOOK = "Run", "Train and try", "Look and check"


class Commands(TyperGroup):
    """Runs a command; what it returns, or what kind of failure it raised, becomes the exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            code = super().invoke(ctx)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except Exception as error:
            if type(error).__module__.startswith(("typer", "click")):
                raise  # wrong usage, which typer explains better
            code = explain(error)
        raise typer.Exit(code or 0)


app = typer.Typer(
    name="riskstream",
    cls=Commands,
    help="Gives every payment event on a Kafka topic a risk score: once, in order, within milliseconds.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
topics = typer.Typer(no_args_is_help=True, help="The Kafka topics that a worker needs.")
bundle = typer.Typer(no_args_is_help=True, help="Model bundles.")
app.add_typer(topics, name="topics", rich_help_panel=RUN)
app.add_typer(offsets, name="offsets", rich_help_panel=RUN)
app.add_typer(bundle, name="bundle", rich_help_panel=MODEL)
app.add_typer(model, name="model", rich_help_panel=MODEL)
app.command(rich_help_panel=RUN)(drift)
app.command(rich_help_panel=MODEL)(offline.dataset)
app.command(rich_help_panel=MODEL)(offline.check)
app.command(rich_help_panel=MODEL)(offline.parity)
app.command(rich_help_panel=MODEL)(train)


@app.command(rich_help_panel=RUN)
def worker() -> int:
    """Run one scoring worker until SIGTERM or Ctrl-C.

    Needs RISKSTREAM_BUNDLE, a bundle's directory or NAME@VERSION in the registry. Start as many as you like, each with
    its own RISKSTREAM_SLOT.
    """
    import structlog

    from riskstream.workers.bootstrap import run_worker
    from riskstream.workers.logs import configure_logs
    from riskstream.workers.settings import Settings, load_settings
    from riskstream.workers.settings_sources import unknown_variables

    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    if unknown := unknown_variables(Settings):
        structlog.get_logger().warning("variables that are no settings", variables=unknown)
    return run_worker(settings)


@topics.command("create")
def topics_create(
    partitions: Annotated[
        int | None, typer.Option(min=1, help="Of each topic; unset: as the input topic, or 12.", show_default=False)
    ] = None,
    replication: Annotated[int, typer.Option(min=-1, help="Copies of each partition; -1: the broker's default.")] = -1,
    retention_days: Annotated[int, typer.Option(min=1, help="Of a new input topic; histories reach 30 days.")] = 31,
) -> int:
    """Make the input, output and dead-letter topics that do not exist yet. Existing ones are never changed.

    Ends with 1 if an existing topic differs from what a worker needs.
    """
    from rich.console import Console
    from rich.table import Table

    from riskstream.workers.settings import load_settings
    from riskstream.workers.topics import Wish, ensure_topics

    outcomes = ensure_topics(load_settings(), Wish(partitions, replication, retention_days))
    table = Table("topic", "partitions", "state", "note")
    for outcome in outcomes:
        table.add_row(outcome.topic, str(outcome.partitions), outcome.state, outcome.note)
    Console().print(table)
    return 1 if any(outcome.state == "differs" for outcome in outcomes) else 0


@app.command(rich_help_panel=MODEL)
def simulate(
    to_topic: Annotated[bool, typer.Option("--to-topic", help="Send to the input topic; see also --rate.")] = False,
    parquet: Annotated[Path | None, typer.Option(help="Write to this Parquet file, with labels.")] = None,
    profile_history: Annotated[
        Path | None, typer.Option(help="Write the customers' profiles of every day to this Parquet file.")
    ] = None,
    to_redis: Annotated[bool, typer.Option("--profiles", help="Write the customers' profiles to Redis.")] = False,
    events: Annotated[int, typer.Option(min=1, help="Events in all.")] = 20_000,
    users: Annotated[int, typer.Option(min=1, help="Customers.")] = 1_000,
    days: Annotated[int, typer.Option(min=1, help="Days of event time.")] = 30,
    seed: Annotated[int, typer.Option(help="The same seed gives the same payments.")] = 7,
    fraud_share: Annotated[float, typer.Option(min=0, max=0.5, help="Of the events.")] = 0.01,
    malformed_share: Annotated[float, typer.Option(min=0, max=1, help="Malformed records for each event.")] = 0.0,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Records a second; unset: as fast as they go.")] = None,
) -> int:
    """Simulate customers who pay, and four kinds of fraud among them."""
    from riskstream.models.simulation import SimulationConfig
    from riskstream.models.simulation import simulate as run
    from riskstream.workers import simulate_targets as targets
    from riskstream.workers.settings import load_settings

    if not (to_topic or parquet or profile_history or to_redis):
        raise typer.BadParameter("say where to: --to-topic, --parquet, --profile-history or --profiles")
    held = load_settings()
    config = SimulationConfig(seed=seed, users=users, events=events, days=days, fraud_share=fraud_share)
    log = run(config)
    if to_redis:
        targets.profiles_to_redis(held, log)
    if parquet:
        targets.write_parquet(parquet, log, config)
    if profile_history:
        targets.write_profiles(profile_history, log, days)
    return targets.send(held, log, malformed_share, seed, rate) if to_topic else 0


@app.command(rich_help_panel=LOOK)
def contracts(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; end with 1 if a file is not up to date.")
    ] = False,
) -> int:
    """Write the JSON Schemas and the AsyncAPI document of all topics to docs/contracts."""
    from riskstream.schemas.contracts import main as run

    return run(["--check"] if check else [])


@app.command(rich_help_panel=LOOK)
def inspect(user: Annotated[str, typer.Argument(help="The user's id, the key of the events.")]) -> int:
    """Show what Redis knows of a user: history, profile and what the model makes of it."""
    from rich.console import Console

    from riskstream.workers.inspect import inspect_user
    from riskstream.workers.settings import load_settings

    return inspect_user(load_settings(), user, Console())


@app.command(rich_help_panel=LOOK)
def settings() -> int:
    """Print the settings that hold here, with secrets masked, and where each came from."""
    from rich.console import Console

    from riskstream.workers.settings import Settings, load_settings
    from riskstream.workers.settings_report import effective_table
    from riskstream.workers.settings_sources import unknown_variables

    Console().print(effective_table(load_settings()))
    for name in unknown_variables(Settings):
        Console(stderr=True).print(f"warning: {name} is no setting", highlight=False)
    return 0


@app.command(rich_help_panel=LOOK)
def validate(
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="Events, one JSON object on a line; `-` is stdin.")],
    show: Annotated[int, typer.Option(min=0, help="Show so many of the refused.")] = 20,
) -> int:
    """Check a file of events, one JSON object on a line, by the rules of the worker. Ends with 1 if one is refused."""
    from riskstream.models.domain import load_domain
    from riskstream.schemas.decode import Rules
    from riskstream.workers.settings import load_settings
    from riskstream.workers.validate import findings, report

    held = load_settings()
    rules = Rules(load_domain(held.domain).event, held.max_event_bytes)
    text, good = report(findings(file, rules), show)
    typer.echo("\n".join(text))
    return 0 if good else 1


@bundle.command("show")
def bundle_show(
    path: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The bundle's directory.")],
) -> int:
    """Check a bundle as a worker would, smoke test included, and say what it is."""
    from rich.console import Console

    from riskstream.workers.bundle_report import bundle_table
    from riskstream.workers.settings import load_settings

    Console().print(bundle_table(path, load_settings().domain))
    return 0


def main() -> None:
    """The entry point of `riskstream` and of `python -m riskstream.workers`."""
    app()
