"""`riskstream train`: from a data set to a bundle that has proved itself, with a report to read."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from riskstream.models.domain import Domain
    from riskstream.models.training.pipeline import Report

CONFIG = """data = "payments"               # a data set, from here
name = "payment-risk"
version = "1.1.0"
model.kind = "xgboost"          # lightgbm, random_forest, logistic
model.trees = 600
model.early_stopping = 50       # trees in vain; 0: never
validation.folds = 3            # past and future, so many times
thresholds.review = { by = "alerts_per_day", value = 100 }
thresholds.decline = { by = "precision", value = 0.8 }
costs.review = 300              # minor units
costs.insult = 2000"""
HELP = """Train a model on a data set: learn, calibrate, choose thresholds, prove, and write a bundle and its report.

CONFIG is a TOML file; every key may be left out:

{config}

Thresholds are set by precision, recall, share, alerts_per_day, each with a value, or by cost.

Further keys: seed; calibration (auto, platt, isotonic); alerts_per_day, the k of precision at k; bootstrap, the
resamples behind the intervals; model.class_weight; model.parameters, for the library; search.trials and search.minutes,
to look for better parameters on the folds.

The bundle is written only if ONNX Runtime says what the trained model says: scores within 1e-6, no other decision, on
held-out rows and on rows at every threshold; and the same bits in batches of any size. The same config and data give
the same bundle. The report is OUT.html, a page of its own. How many checks of the data set are red is recorded in the
bundle: with any, it cannot be approved (see riskstream check, riskstream model).
"""
GIT_S = 10.0


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", dir_okay=False, help="A TOML file, see above.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="The bundle's directory, which must not exist yet.")],
    data: Annotated[Path | None, typer.Option(help="Another data set than the config names.")] = None,
    version: Annotated[str | None, typer.Option(help="Another version than the config names.")] = None,
    register: Annotated[
        bool, typer.Option("--register", help="Propose it in the registry, which also says its version.")
    ] = False,
) -> int:
    import os
    from dataclasses import replace
    from datetime import UTC, datetime
    from functools import partial

    # Before the libraries load: threads that wait sleep instead of spinning, many times quicker on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from rich.console import Console

    from riskstream.models.domain import load_domain
    from riskstream.models.training import pipeline
    from riskstream.models.training.config import load_config
    from riskstream.models.training.console import steps, summary
    from riskstream.models.training.examples import read_training_data
    from riskstream.models.training.export import Origin
    from riskstream.models.training.report.page import write_report
    from riskstream.workers.commands.model import signed
    from riskstream.workers.registry import operations
    from riskstream.workers.settings import load_settings

    held = load_config(config, {"data": str(data.absolute()) if data else None, "version": version})
    domain = load_domain(load_settings().domain)
    console = Console(highlight=False)
    registry = operations.open_registry(load_settings()) if register else None
    origin = Origin(
        datetime.now(UTC).replace(microsecond=0),
        commit_of(Path(__file__).parent),
        version=partial(operations.version_for, registry) if registry else None,
    )
    with steps(console) as report:
        report("check the data set", 0.0)
        origin = replace(origin, checks_failed=red_checks(config.parent / held.data, domain, report))
        report("read the data set", 0.0)
        examples = read_training_data(config.parent / held.data, domain)
        trained = pipeline.train(held, examples, domain, out, origin, report)
        report("write the report", 0.0)
        page = out.with_name(f"{out.name}.html")
        write_report(page, trained, examples, held)
    console.print(f"report: {page}", soft_wrap=True)
    if registry is None:
        console.print(f"next: RISKSTREAM_BUNDLE={out} riskstream worker", soft_wrap=True)
    else:
        label = operations.register(registry, out, signed(None, ""), page).label
        proposed = registry.store.model(label.name).state(label.version) == "proposed"
        after = f"riskstream model approve {label}" if proposed else f"RISKSTREAM_BUNDLE={label} riskstream worker"
        console.print(f"next: {after}", soft_wrap=True)
    summary(console, trained, held.alerts_per_day)
    return 0


train.__doc__ = HELP.format(config="\n".join(f"    {line}" for line in CONFIG.splitlines()))


def red_checks(path: Path, domain: "Domain", report: "Report") -> int:
    """How many checks of the data set fail. They do not stop the training, but nobody can approve its bundle."""
    from riskstream.models.dataset.checks.finding import Subject
    from riskstream.models.dataset.checks.run import CHECKS, run

    red = 0
    for done, (_, finding) in enumerate(run(Subject(path, domain)), start=1):
        red += finding.verdict == "fail"
        report("check the data set", done / len(CHECKS))
    return red


def commit_of(folder: Path) -> str:
    """The commit of the code in `folder`, marked if files were changed since; empty where there is no git."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=GIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
