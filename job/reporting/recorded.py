"""Recorded runs on a terminal, a line each."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from job.messages import message
from job.records.history import AT_WORK, KILLED, PastRun


def runs_table(runs: Sequence[PastRun]) -> str:
    """Recorded runs, a line each. Ids are last and whole: they are what is copied."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    for heading in ("date", "started", "outcome"):
        table.add_column(heading, no_wrap=True)
    for heading in ("took", "attempt"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("run", no_wrap=True)
    for past in runs:
        took = "" if past.seconds is None else _roughly(past.seconds)
        colour = {"succeeded": "green", AT_WORK: "yellow"}.get(past.outcome, "red")
        outcome = f"[{colour}]{past.outcome}[/]"
        table.add_row(past.day or "?", _started(past), outcome, took, str(past.attempts or ""), past.run_id)
    console = Console(highlight=False, emoji=False, width=1000)  # a longer line is for the terminal to wrap
    with console.capture() as captured:
        console.print(table)
        if any(past.outcome in {AT_WORK, KILLED} for past in runs):
            note = message("at work, killed: as far as the lease tells, which a run at work renews every few seconds")
            console.print(str(note))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _started(past: PastRun) -> str:
    """When a run started: its time of day, and the date if that is not the one that the run is for."""
    pattern = "%H:%M" if f"{past.started:%Y-%m-%d}" == past.day else "%m-%d %H:%M"
    return f"{past.started:{pattern}}"


def _roughly(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
