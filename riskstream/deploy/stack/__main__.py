"""The stack's command line, behind `make up` and `make down`: `python -m riskstream.deploy.stack COMMAND`."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from riskstream.deploy.stack import jars
from riskstream.deploy.stack.local import HOME, LocalStack
from riskstream.deploy.stack.processes import StackError

DATA = HOME / "stack"
ENVIRONMENT = HOME / "stack.env"
console = Console(highlight=False, soft_wrap=True)


def run() -> int:
    """run until Ctrl-C; nothing is left then but the data"""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = LocalStack(DATA, append_only=True)
    try:
        start(stack)
        console.print("Ctrl-C ends it.")
        signal.pause()
    except KeyboardInterrupt:
        stack.stop()
        ENVIRONMENT.unlink(missing_ok=True)
        console.print("Stopped.")
    return 0


def up() -> int:
    """start in the background, to stay until `down`"""
    stack = LocalStack(DATA, daemon=True, append_only=True)
    stack.find()
    start(stack)
    console.print(f"To use it in a shell:  set -a; . {shown(ENVIRONMENT)}; set +a")
    console.print("It stays until `make down`.")
    return 0


def down() -> int:
    """stop what `up` started; the data stays"""
    stack = LocalStack(DATA, daemon=True)
    stack.find()
    if stack.any_running:
        with console.status("Stopping Kafka and Redis"):
            stack.stop()
        console.print(f"Stopped. The data stays in {shown(DATA)}; `make clean` deletes it.")
    else:
        console.print("Nothing runs.")
    ENVIRONMENT.unlink(missing_ok=True)
    return 0


def status() -> int:
    """tell what runs; exit 1 unless all of it does"""
    stack = LocalStack(DATA)
    complete = stack.find()
    for server in (stack.broker, stack.redis):
        state = f"127.0.0.1:{server.port}, process {server.pid}" if server.running else "does not run"
        console.print(f"{server.name:6} {state}")
    return 0 if complete else 1


def fetch() -> int:
    """bring Kafka's jars into the cache, so that later starts need no network"""
    jars.class_path()
    return 0


def lock() -> int:
    """write jars.lock anew, after a change of Kafka's version"""
    jars.lock()
    return 0


COMMANDS: dict[str, Callable[[], int]] = {each.__name__: each for each in (run, up, down, status, fetch, lock)}


def start(stack: LocalStack) -> None:
    """Start the servers and say where they are, to the person and in a file for shells."""
    jars.class_path()  # shows its own progress
    with console.status("Starting Kafka and Redis, about five seconds"):
        stack.start()
    lines = [f"{name}={value}" for name, value in stack.environment.items()]
    ENVIRONMENT.write_text("\n".join([*lines, ""]))
    console.print(*lines, sep="\n")


def shown(path: Path) -> Path:
    """The path as a person in this folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        usage = "\n".join(f"  {name:7} {command.__doc__}" for name, command in COMMANDS.items())
        console.print(f"usage: python -m riskstream.deploy.stack COMMAND\n\n{usage}")
        return 0 if arguments[:1] in ([], ["--help"], ["-h"]) else 2
    try:
        return COMMANDS[arguments[0]]()
    except StackError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/] {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
