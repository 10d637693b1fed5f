"""Commands about recorded runs: `runs`, `report` and `verify`."""

import argparse
import os
import tempfile
import webbrowser
from datetime import datetime
from itertools import islice
from pathlib import Path

import trio

from job.config.environment import Settings
from job.config.faults import Fault
from job.execution.outcome import ExitCode
from job.identity import RunIdentity
from job.page.render import render_page
from job.records.commands import page_address
from job.records.format import RecordError
from job.records.history import LATEST, RecordedRun, latest, read_run, verify
from job.reporting.cloud_log import CloudLogReporter
from job.reporting.stdout import STDOUT, say, say_error, write_line
from job.reporting.terminal import as_text
from job.storage.store import ObjectStore, StorageError
from job.storage.uri import open_store

LINES_AT_ONCE = 1000
"""Missing cards that are written at once."""


def runs_command(settings: Settings, faults: list[Fault]) -> ExitCode:
    """Lists the latest recorded runs."""
    store = _records(settings, faults)
    if store is None:
        return ExitCode.USAGE
    try:
        runs = trio.run(latest, store, LATEST)
    except StorageError as error:
        say_error(f"RUNS_URI: {error}")
        return ExitCode.BUSY
    if not runs:
        say("no run is recorded")
    for past in runs:
        say(f"{past.run_id}  {past.started}  {past.outcome}  {past.sentence}".rstrip())
    return ExitCode.DONE


def report_command(settings: Settings, faults: list[Fault], options: argparse.Namespace) -> ExitCode:
    """Prints a recorded run, or only the names of its missing cards; writes its page if requested, and opens it."""
    store = _records(settings, faults)
    if store is None:
        return ExitCode.USAGE
    run_id: str = options.run_id
    try:
        recorded = trio.run(read_run, store, run_id)
    except RecordError as error:
        say_error(f"RUNS_URI: {error}")
        return ExitCode.USAGE
    except StorageError as error:
        say_error(f"RUNS_URI: {error}")
        return ExitCode.BUSY
    if recorded is None:
        say_error(f"RUNS_URI: has no record of run {run_id}; `python -m job runs` lists what is there")
        return ExitCode.USAGE
    path: Path | None = None
    if options.page is not None or options.open:
        path = Path(options.page) if options.page else Path(tempfile.mkdtemp(prefix="run-")) / "report.html"
        try:
            path.write_bytes(render_page(recorded.report, recorded.timeline))
        except OSError as error:
            say_error(f"{path}: {error.strerror or error}")
            return ExitCode.USAGE
    if options.missing:
        _write_missing(recorded)
    else:
        page = str(path) if path is not None else _page_of(settings, recorded)
        # Not printed by rich, which would end the process with 1 if the reader has left.
        write_line(as_text(recorded, page).encode())
    if options.open and path:
        webbrowser.open(path.absolute().as_uri())
    return ExitCode.DONE


def _write_missing(recorded: RecordedRun) -> None:
    """Writes target and card type of every card that is not there, a line each, separated by a tab."""
    missing = recorded.timeline.items["qa"].missing()
    while lines := [f"{item.target}\t{item.card_type}" for item in islice(missing, LINES_AT_ONCE)]:
        say("\n".join(lines))


def _page_of(settings: Settings, recorded: RecordedRun) -> str | None:
    """Where the run's own page is; a run that has not closed has none, or that of an earlier attempt."""
    if settings.runs_uri is None or recorded.report.ended is None:
        return None
    return page_address(settings.runs_uri, recorded.report.run_id)


def verify_command(settings: Settings, faults: list[Fault], now: datetime) -> ExitCode:
    """Tells whether a run of today did all its work."""
    store = _records(settings, faults)
    if store is None:
        return ExitCode.USAGE
    today = now.astimezone(settings.time_zone).date().isoformat()
    try:
        done, known = trio.run(verify, store, today)
    except StorageError as error:
        done, known = False, f"RUNS_URI: {error}"
    if os.isatty(STDOUT):
        say(known)
    else:
        CloudLogReporter(RunIdentity(settings.run_id or "verify"), settings.project).verified(known, done=done)
    return ExitCode.DONE if done else ExitCode.ENGINE_FAILED


def _records(settings: Settings, faults: list[Fault]) -> ObjectStore | None:
    """Where runs are recorded; `None`, and the reason on standard error, if the environment does not tell."""
    wrong = [fault for fault in faults if fault.where in {"RUNS_URI", "RUN_TIME_ZONE"}]
    if settings.runs_uri is None and not wrong:
        wrong = [Fault("RUNS_URI", "is not set", "set it to where runs are recorded")]
    for fault in wrong:
        say_error(fault)
    return None if wrong or settings.runs_uri is None else open_store(settings.runs_uri)
