"""`make bench-drift`: false alarms, power, and the pace at which stats are merged; ends with 0 if the rate is kept."""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from riskstream.deploy.demo.model import ready_bundle
from riskstream.deploy.stack.local import HOME
from riskstream.models.bundle import load_bundle
from riskstream.models.drift.judgement import Judge
from riskstream.models.payment import DOMAIN
from tests.bench.drift.binning import binning_loss
from tests.bench.drift.calm import Calm, run_calm
from tests.bench.drift.merging import merge_rate
from tests.bench.drift.power import CHANGES, Power, smallest
from tests.bench.drift.traffic import WORLD, Traffic, score_world

SIZES = (100, 1_000, 100_000)
TRIES = {100: 40, 1_000: 40, 100_000: 20}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drift", description=__doc__)
    parser.add_argument("--windows", type=int, default=200, help="calm windows of each size")
    parser.add_argument("--bundle", type=Path, help="the model; unset: the demo's, trained if there is none")
    given = parser.parse_args(arguments)
    console, began = Console(highlight=False), time.monotonic()
    bundle = load_bundle(given.bundle or ready_bundle(HOME / "bundles", console), DOMAIN.features)
    with console.status(f"Simulating {WORLD.events:,} payments and scoring them"):
        traffic = Traffic.of(bundle, score_world(bundle))
    judge = Judge(traffic.shape)
    calm, power = _measure(traffic, judge, given.windows, console)
    merged = merge_rate(traffic, np.random.default_rng(1))
    console.print("\n".join(report(judge, calm, power)), markup=False, soft_wrap=True)
    console.print(binning_loss(traffic), markup=False, soft_wrap=True)
    console.print(f"10 million events' worth of stats merged in {1e7 / merged:.1f} s on one core", soft_wrap=True)
    alarmed, windows = sum(each.alarmed for each in calm), sum(each.windows for each in calm)
    figures = f"false_alarms={alarmed} windows={windows} rate={alarmed / windows:.4f} set={judge.rules.false_alarms}"
    seconds = time.monotonic() - began
    console.print(f"bench-drift: {figures} merged_per_s={merged:.0f} seconds={seconds:.0f}", soft_wrap=True)
    return 0 if all(each.rate <= judge.rules.false_alarms for each in calm) else 1


def _measure(traffic: Traffic, judge: Judge, windows: int, console: Console) -> tuple[list[Calm], list[Power]]:
    total = len(SIZES) * (windows + judge.rules.warm_up)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("calm windows", total=total)
        calm = [run_calm(traffic, judge, events, windows, lambda: progress.advance(task)) for events in SIZES]
        task = progress.add_task("power", total=len(SIZES) * len(CHANGES))
        power = []
        for done in calm:
            learned = replace(done.state, standing=())  # else an alert that stands would explain what comes
            for change in CHANGES:
                power.append(smallest(traffic, judge, learned, change, done.events, TRIES[done.events]))
                progress.advance(task)
    return calm, power


def report(judge: Judge, calm: list[Calm], power: list[Power]) -> list[str]:
    """Two tables in Markdown, as docs/drift.md has them."""
    lines = [
        f"False alarms, at most {judge.rules.false_alarms:.1%} of calm windows wanted",
        "",
        "| events a window | calm windows | with a false alarm | rate | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for each in calm:
        low, high = each.interval
        lines.append(
            f"| {each.events:,} | {each.windows} | {each.alarmed} | {each.rate:.2%} | {low:.2%} to {high:.2%} |"
        )
    lines += [f"  {alert.sentence}" for each in calm for alert in each.alerts]
    sizes = " | ".join(f"{events:,}" for events in SIZES)
    lines += ["", "Smallest change noticed within two windows in 95 % of tries, by events a window", ""]
    lines += [f"| change | unit | {sizes} |", "|---|---|" + "---|" * len(SIZES)]
    for change in CHANGES:
        found = [_shown(each) for each in power if each.change is change]
        lines.append(f"| {change.name} | {change.unit} | {' | '.join(found)} |")
    return [*lines, ""]


def _shown(power: Power) -> str:
    return "none tried" if power.size is None else f"{power.size:g} ({power.at_once:.0%} in the first)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
