"""`make faults`: a seeded random mix of faults on a stack of its own, judged. The exit status is the verdict."""

import argparse
import os
import sys
import time

from riskstream.deploy.stack.local import HOME, temporary_folder
from riskstream.models.domain import load_domain
from tests.faults.mix import FAULTS
from tests.faults.quorum import ControlledStack
from tests.faults.run import Plan, Result, Run
from tests.support.bundle import write_random_bundle


def main(arguments: list[str]) -> int:
    plan, keep = _plan(arguments)
    os.environ["PYTHONFAULTHANDLER"] = "1"  # a worker that hangs is asked where
    print(f"faults: {plan.duration_s:.0f} s, seed {plan.seed}, group protocol {plan.protocol}", flush=True)  # noqa: T201
    with temporary_folder() as folder, ControlledStack(folder / "stack") as stack:
        bundle = write_random_bundle(folder / "bundle", load_domain("riskstream.models.payment"))
        logs = HOME / "faults" / f"seed-{plan.seed}-{plan.protocol}-{time.strftime('%H%M%S')}" if keep else folder
        logs.mkdir(parents=True, exist_ok=True)
        result = Run(plan, stack, bundle, logs, _say)()
    return _report(plan, result)


def _plan(arguments: list[str]) -> tuple[Plan, bool]:
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("--duration", type=float, default=120.0, help="seconds of faults")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--protocol", choices=("classic", "consumer"), default="classic")
    parser.add_argument("--rate", type=float, default=1_200.0, help="events a second")
    parser.add_argument("--users", type=int, default=600)
    targets = sorted({fault.target for fault in FAULTS})
    parser.add_argument("--without", choices=targets, action="append", default=[], help="leave these alone")
    parser.add_argument("--keep-logs", action="store_true", help="keep the workers' logs in .riskstream/faults")
    given = parser.parse_args(arguments)
    plan = Plan(given.seed, given.duration, given.protocol, given.rate, given.users, frozenset(given.without))
    return plan, given.keep_logs


def _report(plan: Plan, result: Result) -> int:
    verdict = result.verdict
    for name, count in sorted(result.injected.items()):
        _say(f"  {count:4}  {name}")
    caught_up = "never" if result.caught_up_s is None else f"{result.caught_up_s:.1f} s after the last fault"
    _say(f"fed {result.fed:,}, all out: {caught_up}; declared degraded {verdict.degraded:,}; exits {result.exits}")
    _say(f"vectors compared with folds over the log: {result.checked:,}, those of one user in {result.one_user_in}")
    for still in result.standstills:
        _say(str(still))
    for finding in [*verdict.explanation(), *(f"wrong: {finding}" for finding in result.wrong)]:
        _say(finding)
    _say(f"faults: seed={plan.seed} injected={sum(result.injected.values())} {verdict.line}")
    return 0 if result.holds else 1


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
