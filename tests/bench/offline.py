"""`make bench-offline`: how many rows a second the features of a whole log take, on one core."""

import argparse
import sys

import numpy as np
from rich.console import Console

from riskstream.models.dataset.vectors import Facts, measure, users_together
from riskstream.models.domain import Domain
from riskstream.models.history import aggregate
from riskstream.models.payment import DOMAIN
from riskstream.models.simulation import SimulationConfig, simulate
from tests.bench.cpu import MICRO, cpu_us
from tests.support.datasets import event_log

EVENTS_PER_USER = 50
DAYS = 120
ROUNDS = 5


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.offline", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    events = parser.parse_args(arguments).events
    console = Console(highlight=False)
    with console.status(f"Simulating {events:,} payments"):
        config = SimulationConfig(seed=7, users=max(1, events // EVENTS_PER_USER), events=events, days=DAYS)
        facts = event_log(simulate(config).events).facts
    with console.status("Measuring"):
        history = MICRO / cpu_us(lambda: history_features(DOMAIN, facts), ROUNDS)
        whole = MICRO / cpu_us(lambda: all_features(DOMAIN, facts), ROUNDS)
    what = f"events={events} columns={len(DOMAIN.features.spec.columns)} features={len(DOMAIN.features.names)}"
    console.print(f"offline: {what} history_rows_per_s={history:.0f} all_rows_per_s={whole:.0f}", soft_wrap=True)
    return 0


def history_features(domain: Domain, facts: Facts) -> int:
    """Every column that comes from the user's past, of every event; sorting and gathering included."""
    for rows, first in users_together(facts):
        part = facts[rows]
        aggregate(domain.features.spec, domain.facts(part.columns, part.offset), first, np.arange(len(part)))
    return len(facts)


def all_features(domain: Domain, facts: Facts) -> int:
    """The vectors that a model sees, without profiles."""
    for rows, first in users_together(facts):
        measure(domain, facts[rows], first, [None] * len(rows))
    return len(facts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
