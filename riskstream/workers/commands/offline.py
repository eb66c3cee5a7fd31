"""`riskstream dataset` and `riskstream check`: from files to what a model learns from, and whether to believe it."""

from pathlib import Path
from typing import Annotated

import typer

Files = list[Path]


def dataset(
    events: Annotated[Files, typer.Option(help="Parquet, CSV or JSON lines, or a directory of them; may be repeated.")],
    out: Annotated[Path, typer.Option(help="The data set's directory, which must not exist yet.")],
    labels: Annotated[Files | None, typer.Option(help="Labels, if not beside the events; may be repeated.")] = None,
    profiles: Annotated[
        Files | None, typer.Option(help="Profiles of users as they were written over time; may be repeated.")
    ] = None,
    mapping: Annotated[Path | None, typer.Option(dir_okay=False, help="A TOML file that explains the columns.")] = None,
    split_by: Annotated[str, typer.Option(help="time, or user: no user is in two parts.")] = "time",
    train: Annotated[float, typer.Option(min=0, max=1, help="Share of the time (or users) to train on.")] = 0.6,
    calibration: Annotated[
        float, typer.Option(min=0, max=1, help="Share to calibrate on; the rest is the test.")
    ] = 0.2,
    warm_days: Annotated[
        float | None,
        typer.Option(min=0, max=36_500, help="Days that only fill histories; unset: as long as these reach."),
    ] = None,
    maturity_days: Annotated[
        float | None,
        typer.Option(
            min=0, max=36_500, help="Age at which an event without a label is honest; unset: from the labels."
        ),
    ] = None,
) -> int:
    """Make a data set: for each event its features as of that moment, and its label as known at the split.

    Columns that are not named as in the contract are explained by a mapping file:

        [fields.amount]
        column = "Amount"
        unit = "major"

    Rows that are no events are in rejected.parquet, with the reasons of dead letters. Then: riskstream check OUT
    """
    from rich.console import Console

    from riskstream.models.dataset.labels import SplitPlan
    from riskstream.models.domain import load_domain
    from riskstream.schemas.decode import Rules
    from riskstream.workers.dataset import Sources, make_dataset, summary
    from riskstream.workers.settings import load_settings

    if split_by not in ("time", "user"):
        raise typer.BadParameter("split by time or by user", param_hint="--split-by")
    held = load_settings()
    domain = load_domain(held.domain)
    plan = SplitPlan(split_by == "user", train, calibration, warm_days, maturity_days)
    sources = Sources(events, labels or [], profiles or [], mapping)
    made = make_dataset(domain, Rules(domain.event, held.max_event_bytes), sources, plan, out)
    Console(highlight=False).print(summary(made, out))
    return 0


def check(
    path: Annotated[Path, typer.Argument(metavar="DATASET", help="The data set's directory.")],
    reference: Annotated[
        Path | None, typer.Option(file_okay=False, help="A bundle: has the world moved since it was made?")
    ] = None,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the findings to this HTML page.")] = None,
    sample: Annotated[int, typer.Option(min=10, help="Events to measure again without their future.")] = 400,
) -> int:
    """Check a data set before a model learns from it. Ends with 1 if a check fails; warnings are for you to judge.

    The table itself, classes and the delay of labels; leakage: labels used before they were known, events on both sides
    of a split, features that predict too well, features that change with what came later; drift against a bundle.
    """
    from rich.console import Console

    from riskstream.models.bundle import load_bundle
    from riskstream.models.dataset.checks.finding import Subject
    from riskstream.models.domain import load_domain
    from riskstream.workers.dataset import check_dataset
    from riskstream.workers.settings import load_settings

    domain = load_domain(load_settings().domain)
    known = load_bundle(reference, domain.features).reference if reference else None
    return check_dataset(Subject(path, domain, known, sample), out, Console(highlight=False))


def parity(
    path: Annotated[Path, typer.Argument(metavar="DATASET", help="A data set of the log that was scored.")],
    scores: Annotated[
        Files | None, typer.Option(exists=True, dir_okay=False, help="Risk scores, JSON lines; may be repeated.")
    ] = None,
    topic: Annotated[bool, typer.Option("--topic", help="Take the scores from the output topic.")] = False,
) -> int:
    """Check that what was served is what the log says. Ends with 1 if a score was made of another vector.

    Each score names its feature vector; the log's vectors are made again and compared. For those that differ the known
    faults of serving are tried: features zeroed, users mixed up, facts left out of a window, a stale profile, ...
    """
    from rich.console import Console

    from riskstream.models.domain import load_domain
    from riskstream.workers.parity import check_parity, lines_of, scored
    from riskstream.workers.settings import load_settings

    held = load_settings()
    if topic == bool(scores):
        raise typer.BadParameter("say where the scores are: --scores FILE or --topic")
    if topic:
        from riskstream.workers.kafka.topic import committed_values

        found = scored(committed_values(held, held.output_topic))
    else:
        found = scored(lines_of(scores or []))
    return check_parity(path, load_domain(held.domain), found, Console(highlight=False))
