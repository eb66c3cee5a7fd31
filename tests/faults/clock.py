"""A worker whose wall clock jumps: `python -m tests.faults.clock FILE worker`, with the seconds to add in FILE."""

import sys
import time
from pathlib import Path


def main(file: Path) -> None:
    real = time.time
    time.time = lambda: real() + float(file.read_text())
    from riskstream.workers.cli import main as run

    run()


if __name__ == "__main__":
    main(Path(sys.argv.pop(1)))
