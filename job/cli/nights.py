"""The command `nights`: the latest runs at a glance."""

import argparse
import tempfile
import webbrowser
from pathlib import Path

import trio

from job.cli.runs import records_of, refuse, write_file
from job.config.environment import Settings
from job.config.faults import Fault
from job.execution.outcome import ExitCode
from job.messages import message
from job.page.render import render_nights
from job.records.nights import read_nights
from job.reporting.recorded import nights_table
from job.reporting.stdout import say, write_line
from job.storage.store import StorageError


def nights_command(settings: Settings, faults: list[Fault], options: argparse.Namespace) -> ExitCode:
    """Prints the latest runs, a line each, and what failed most often; writes them as a page if one is requested."""
    store = records_of(settings, faults)
    if store is None or settings.runs_uri is None:
        return ExitCode.USAGE
    try:
        nights = trio.run(read_nights, store, options.count)
    except StorageError as error:
        return refuse(error, ExitCode.BUSY)
    if nights.runs:
        write_line(nights_table(nights).encode())
    else:
        say("no run is recorded")
    if options.page is not None or options.open:
        path = Path(options.page) if options.page else Path(tempfile.mkdtemp(prefix="nights-")) / "index.html"
        if not write_file(path, [render_nights(nights, settings.runs_uri, beside=False)]):
            return ExitCode.USAGE
        say(message("page: {page}", page=str(path)))
        if options.open:
            webbrowser.open(path.absolute().as_uri())
    for problem in nights.problems:
        refuse(problem, ExitCode.USAGE)
    return ExitCode.USAGE if nights.problems else ExitCode.DONE
