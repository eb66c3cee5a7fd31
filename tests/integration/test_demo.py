"""`make demo`, small: it counts, it tells when something is lost, and it leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

LAST_LINE = r"demo: in=(\d+) scored=(\d+) dead_letters=(\d+) lost=(\d+) doubled=(\d+)"
EVENTS = 2_000
PATIENCE_S = 200  # the first run trains a model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE_S + 40)]


@pytest.fixture
def demo() -> Iterator[subprocess.Popen[str]]:
    """A demo that runs, with settings in the shell that are none of its business."""
    strange = {"RISKSTREAM_BOOTSTRAP_SERVERS": "nowhere:1", "RISKSTREAM_GROUP": "another"}
    process = subprocess.Popen(
        [sys.executable, "-m", "riskstream.deploy.demo"],
        env={**os.environ, **strange, "RISKSTREAM_DEMO_EVENTS": str(EVENTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        yield process
        process.kill()


def wait_for(demo: subprocess.Popen[str], beginning: str) -> None:
    """Reads the demo's output up to a line that begins so."""
    assert demo.stdout
    read = []
    for line in demo.stdout:
        read.append(line)
        if line.startswith(beginning):
            return
    raise AssertionError("".join(read))


def servers_and_workers(demo: subprocess.Popen[str]) -> list[psutil.Process]:
    return list(psutil.Process(demo.pid).children(recursive=True))


def test_every_record_is_answered_once(demo: subprocess.Popen[str]) -> None:
    output, _ = demo.communicate(timeout=PATIENCE_S)
    found = re.fullmatch(LAST_LINE, output.splitlines()[-1])
    assert found, output
    sent, scored, dead_letters, lost, doubled = map(int, found.groups())
    assert demo.returncode == 0, output
    assert (lost, doubled) == (0, 0)
    assert sent == scored + dead_letters > 2 * EVENTS
    assert dead_letters == round(EVENTS * 9 / 4 * 0.01)
    assert re.search(r"^Sidecar (http://127.0.0.1:\d+|is starting)$", output, re.MULTILINE), output
    in_windows = re.search(r"^events in them +([\d,]+) +([\d,]+) were scored", output, re.MULTILINE)
    assert in_windows, output
    assert in_windows[1] == in_windows[2]


def test_what_a_dead_worker_leaves_unanswered_is_told(demo: subprocess.Popen[str]) -> None:
    wait_for(demo, "Workers")
    [one, _] = [process for process in servers_and_workers(demo) if "worker" in process.cmdline()]
    one.kill()
    output, _ = demo.communicate(timeout=PATIENCE_S)
    found = re.fullmatch(LAST_LINE, output.splitlines()[-1])
    assert found, output
    assert int(found[4]) > 0
    assert "ended with exit code -9" in output
    assert "records without an answer: partition" in output
    assert demo.returncode == 1


def test_ctrl_c_ends_all_that_it_started(demo: subprocess.Popen[str]) -> None:
    wait_for(demo, "Workers")
    started = servers_and_workers(demo)
    assert len(started) == 5  # Kafka, Redis, two workers, the sidecar
    demo.send_signal(signal.SIGINT)
    assert demo.wait(30) == 130
    deadline = time.monotonic() + 10
    while any(process.is_running() for process in started) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(process.is_running() for process in started)
