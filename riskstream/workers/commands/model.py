"""`riskstream model`: the life of a model in the registry, from proposed to retired."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from riskstream.models.versions import Label
    from riskstream.workers.registry.operations import Registry
    from riskstream.workers.registry.records import Signed

HELP = """The registry of models: which there are, who let them run, what ran when.

A version is proposed, approved, live, retired; each step is a command, and leaves who, when and why behind.

The registry is a folder, or an MLflow tracking server: see RISKSTREAM_REGISTRY_URI. Workers take what is approved or
live from it, by RISKSTREAM_BUNDLE=NAME@VERSION.
"""
EPILOG = "\n\n".join(
    [
        "[bold]A model's life[/bold]",
        "riskstream model register models/payment-risk-1.1.0 --report models/report.html",
        "riskstream model diff payment-risk@1.0.0 payment-risk@1.1.0 --on data/may",
        "riskstream model approve payment-risk@1.1.0",
        "RISKSTREAM_BUNDLE=payment-risk@1.1.0 riskstream worker",
        'riskstream model live payment-risk@1.1.0 --because "rolled out to all workers"',
        'riskstream model live payment-risk@1.0.0 --because "rolled back: too many reviews"',
        "[bold]Versions[/bold] are set when a bundle is made, by what changed since the newest of its name.",
        "major  what a worker must agree with: the feature set, the kind of output, its task or classes",
        "minor  another model: other bytes in model.onnx, or other training data",
        "patch  the same model with another calibration, other thresholds, reference or smoke cases",
    ]
)
model = typer.Typer(no_args_is_help=True, help=HELP, epilog=EPILOG, rich_markup_mode="rich")

Named = Annotated[str, typer.Argument(metavar="NAME@VERSION", help="For instance payment-risk@1.1.0.")]
By = Annotated[str | None, typer.Option(help="Who you are; unset: your login name.", show_default=False)]
Because = Annotated[str, typer.Option(help="Why; kept in the history.")]


@model.command("list")
def list_models() -> int:
    """All versions of all models, and their state."""
    from rich.console import Console

    from riskstream.workers.registry.report import models_table

    with _opened() as registry:
        Console().print(models_table(registry.store.models()))
    return 0


@model.command()
def show(name: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="A model, or one version of it.")]) -> int:
    """A model's versions and history: who did what, when and why, and what ran when. Of a version also what it is."""
    from rich.console import Console

    from riskstream.models.versions import Label, parse_label
    from riskstream.workers.registry.operations import manifest_of
    from riskstream.workers.registry.report import history_table, live_table, version_table

    console, label = Console(), parse_label(name) or Label(name, "")
    with _opened() as registry:
        known = registry.store.model(label.name)
        if label.version or not known.versions:
            known.find(label)
        if label.version:
            console.print(version_table(known, label, manifest_of(registry, known, label.version)))
        console.print(history_table(known))
        console.print(live_table(known))
    return 0


@model.command()
def register(
    bundle: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The bundle's directory.")],
    report: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="The run's report.")] = None,
    by: By = None,
    because: Because = "",
) -> int:
    """Propose a bundle: its files, parameters and metrics go to the registry as a run.

    Its version must be the one that the rule gives (see `riskstream model --help`); `riskstream train` asks for it.
    The same bundle again changes nothing.
    """
    from riskstream.workers.registry.operations import register as run

    with _opened() as registry:
        known = run(registry, bundle, signed(by, because), report)
        typer.echo(f"{known.label} is {registry.store.model(known.label.name).state(known.label.version)}")
    return 0


@model.command()
def approve(name: Named, by: By = None, because: Because = "") -> int:
    """Let workers run a version. Refused, with exit code 1, when a gate fails.

    The gates: the bundle is as it was registered, and loads; its smoke cases come out; training recorded a parity of at
    most 1e-6, no flipped decision and no red check; AUC and average precision are at most .01 below those of the
    version that is live. Only the last one may be overridden, with --because.
    """
    from riskstream.workers.registry.operations import approve as run

    label = _label(name)
    with _opened() as registry:
        for gate in run(registry, label, signed(by, because)):
            typer.echo(f"{'passed' if gate.passed else 'WAIVED'}  {gate.name}: {gate.told}")
    typer.echo(f"{label} is approved; a worker runs it with RISKSTREAM_BUNDLE={label}")
    return 0


@model.command()
def live(name: Named, because: Annotated[str, typer.Option(help="Why; kept in the history.")], by: By = None) -> int:
    """Declare that an approved version is what runs. The version before is approved again, ready for a roll-back.

    This is a record, not a switch: workers run what their RISKSTREAM_BUNDLE names.
    """
    from riskstream.workers.registry.operations import make_live

    label = _label(name)
    with _opened() as registry:
        before = make_live(registry, label, signed(by, because))
    typer.echo(f"{label} is live" + (f", {before} is approved" if before else ""))
    return 0


@model.command()
def retire(name: Named, because: Annotated[str, typer.Option(help="Why; kept in the history.")], by: By = None) -> int:
    """Put a version away for good: no worker starts with it any more. One that runs goes on until its next start."""
    from riskstream.workers.registry.operations import retire as run

    label = _label(name)
    with _opened() as registry:
        run(registry, label, signed(by, because))
    typer.echo(f"{label} is retired")
    return 0


@model.command()
def fetch(
    name: Named, to: Annotated[Path, typer.Option(file_okay=False, help="The new directory; must not exist yet.")]
) -> int:
    """Copy a version's bundle into a directory, whatever its state; checked, and whole or not at all."""
    from riskstream.workers.registry.operations import fetch as run

    label = _label(name)
    with _opened() as registry:
        state = run(registry, label, to)
    typer.echo(f"{label} ({state}) is in {to}")
    return 0


Compared = Annotated[str, typer.Argument(help="NAME@VERSION, or a bundle's directory.")]


@model.command()
def diff(
    first: Compared,
    second: Compared,
    on: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A data set's directory.", show_default=False)
    ] = None,
    split: Annotated[str, typer.Option(help="The part of the data set.")] = "test",
) -> int:
    """Compare two bundles: what their manifests say, and on a data set how they rank and decide the same events.

    Prints the correlation and PSI of the scores, the decisions of both, AUC and average precision with the interval of
    their difference (users resampled 200 times), and the features of the events whose score moved most. No event is
    shown.
    """
    from contextlib import ExitStack
    from functools import cache

    from rich.console import Console

    from riskstream.models.model_diff import compare
    from riskstream.workers.registry import diff as sides

    console = Console()
    with ExitStack() as stack:
        opened = cache(lambda: stack.enter_context(_opened()))
        one, two = (sides.bundle_named(text, opened) for text in (first, second))
    console.print(sides.manifests_table(one, two))
    if on is None:
        return 0
    for bundle in (one, two):
        sides.check_same_features(on, bundle)
    with _steps() as step:
        step("read", 0.0)
        events = sides.read_events(on, split)
        left, right = (sides.judged(each, events, partial(step, f"score by {each.label}")) for each in (one, two))
        found = compare(left, right, events, partial(step, "resample"))
    for table in sides.comparison_tables(one, two, found):
        console.print(table)
    return 0


@contextmanager
def _steps() -> Iterator[Callable[[str, float], None]]:
    """A line per step, which is told the share that is done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, Any] = {}

        def step(name: str, share: float) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=1.0)
            progress.update(tasks[name], completed=share)

        yield step


@contextmanager
def _opened() -> "Iterator[Registry]":
    """The registry of the settings; a line says what takes so long the first time."""
    from rich.console import Console

    from riskstream.workers.registry.operations import open_registry
    from riskstream.workers.settings import load_settings

    settings = load_settings()
    with Console(stderr=True).status("Registry"):
        yield open_registry(settings)


def _label(text: str) -> "Label":
    from riskstream.models.versions import parse_label

    if (label := parse_label(text)) is None:
        raise typer.BadParameter(f"{text!r} is not NAME@VERSION, such as payment-risk@1.1.0")
    return label


def signed(by: str | None, why: str) -> "Signed":
    """Now, by the person named, else by who is logged in."""
    import getpass
    from datetime import UTC, datetime

    from riskstream.workers.registry.records import Signed

    try:
        who = by or getpass.getuser()
    except (OSError, KeyError) as error:  # a container's user may have no name
        raise typer.BadParameter("say who you are: --by NAME") from error
    return Signed(who, datetime.now(UTC).replace(microsecond=0), why)
