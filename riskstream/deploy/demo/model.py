"""The demo's model: a bundle that is trained on first use and kept for the next."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from rich.console import Console

from riskstream.deploy.stack.processes import die_with_parent
from riskstream.models.bundle import BundleError, load_bundle
from riskstream.models.domain import load_domain

DOMAIN = "riskstream.models.payment"
NAME = "payment-risk-1.0.0"


def train(path: Path, *more: str) -> None:
    """In a process of its own, which gives its memory back. If another demo was quicker, its bundle is as good."""
    done = subprocess.run(
        [sys.executable, "-m", "riskstream.models.training", "--out", str(path), *more],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},  # threads that wait sleep: Kafka may be starting beside
        preexec_fn=die_with_parent(),
    )
    if done.returncode and not path.exists():
        raise BundleError(f"no model could be trained:\n{done.stdout}{done.stderr}".rstrip())


def ready_bundle(folder: Path, console: Console, train: Callable[[Path], None] = train) -> Path:
    """A usable bundle in `folder`. One that is damaged or made for other features stays; a new one comes beside it."""
    for number in count(1):
        path = folder / (NAME if number == 1 else f"{NAME}-{number}")
        if not path.exists():
            with console.status("Training a model, once: less than a minute"):
                train(path)
        if why_not := _why_unusable(path):
            console.print(f"Not used: {why_not}", soft_wrap=True, markup=False)
        else:
            return path
    raise AssertionError("numbers end")


def _why_unusable(path: Path) -> str | None:
    try:
        load_bundle(path, load_domain(DOMAIN).features)
    except BundleError as error:
        return str(error)
    return None
