"""Recorded runs on a terminal, a line each."""

from collections.abc import Sequence

from rich.table import Table

from job.messages import ENGLISH, Message, Translator, message
from job.records.history import AT_WORK, KILLED, PastRun
from job.reporting.screen import Screen


def runs_table(runs: Sequence[PastRun], translator: Translator = ENGLISH) -> str:
    """Recorded runs, a line each. Ids are last and whole: they are what is copied."""
    screen = Screen(translator, width=1000)  # a longer line is for the terminal to wrap
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    for heading in (message("date"), message("started"), message("outcome")):
        table.add_column(screen.shown(heading), no_wrap=True)
    for heading in (message("took"), message("attempt")):
        table.add_column(screen.shown(heading), no_wrap=True, justify="right")
    table.add_column(screen.shown(message("run")), no_wrap=True)
    for past in runs:
        took = "" if past.seconds is None else screen.shown(_roughly(past.seconds))
        colour = {"succeeded": "green", AT_WORK: "yellow"}.get(past.outcome, "red")
        words = message(past.outcome)
        outcome = f"[{colour}]{screen.shown(words)}[/]"
        table.add_row(past.day or "?", _started(past), outcome, took, str(past.attempts or ""), past.run_id)
    with screen.capture() as captured:
        screen.print(table)
        if any(past.outcome in {AT_WORK, KILLED} for past in runs):
            note = message("at work, killed: as far as the lease tells, which a run at work renews every few seconds")
            screen.tell(note)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _started(past: PastRun) -> str:
    """When a run started: its time of day, and the date if that is not the one that the run is for."""
    pattern = "%H:%M" if f"{past.started:%Y-%m-%d}" == past.day else "%m-%d %H:%M"
    return f"{past.started:{pattern}}"


def _roughly(seconds: float) -> Message:
    if seconds < 60:
        return message("{seconds} s", seconds=f"{seconds:.0f}")
    return message("{minutes} min", minutes=f"{seconds / 60:.0f}")
