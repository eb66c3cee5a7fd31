"""`riskstream offsets`: for operators, when a partition stands still."""

from typing import Annotated

import typer

offsets = typer.Typer(no_args_is_help=True, help="How far the group has come; skip a place that cannot be read.")


@offsets.command("show")
def show() -> int:
    """Show each partition's log, the group's offset, its lag, how far Redis has come, and what was skipped."""
    from rich.console import Console

    from riskstream.workers.offsets import offsets_table
    from riskstream.workers.settings import load_settings

    Console().print(offsets_table(load_settings()))
    return 0


@offsets.command("skip")
def skip(
    partition: Annotated[int, typer.Option(min=0, help="The partition that stands still.")],
    reason: Annotated[str, typer.Option(help="Why, in your words; it is kept with the record of the gap.")],
    to: Annotated[
        int | None, typer.Option(min=1, help="Go on at this offset; unset: the first that can be read.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who decides this; unset: your user and host.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """Let the group go on behind records that cannot be read. They are never scored.

    All workers of the group must be stopped. A record of the gap goes to the dead letters, with reason `skipped`, in
    the same transaction as the group's new offset. The facts of what was skipped are missing from the histories, so
    scores of this partition say `history_partial` until the horizon has passed.
    """
    import getpass
    import socket
    from datetime import UTC, datetime

    from rich.console import Console

    from riskstream.workers.offsets import carry_out, plan_skip
    from riskstream.workers.settings import load_settings

    settings, console = load_settings(), Console(highlight=False)
    with console.status("looking for the group's place") as shown:
        plan = plan_skip(settings, partition, to, lambda offset: shown.update(f"trying to read offset {offset}"))
    console.print(f"To be skipped in {plan.words}.")
    console.print("They will never be scored, and histories of this partition are partial from there on.")
    if not (yes or typer.confirm("Skip them?")):
        console.print("Nothing was changed.")
        return 1
    who = by or f"{getpass.getuser()}@{socket.gethostname()}"
    carry_out(settings, plan, who, reason, datetime.now(UTC))
    console.print(f"Skipped. The record of it is in {settings.dead_letter_topic}, partition {partition}.")
    console.print(f"Start the workers: they go on at offset {plan.gap.end}.")
    return 0
