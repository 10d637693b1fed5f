"""Command `nights`: an overview of the latest runs."""

import argparse
import tempfile
import webbrowser
from pathlib import Path

import trio

from job.cli.runs import records_of, refuse, write_file
from job.config.environment import Settings
from job.config.faults import Fault
from job.execution.outcome import ExitCode
from job.page.render import render_nights
from job.records.nights import read_nights
from job.reporting.recorded import nights_table
from job.reporting.stdout import say, write_line
from job.storage.store import StorageError
from job.text.messages import message, translator


def nights_command(settings: Settings, faults: list[Fault], options: argparse.Namespace) -> ExitCode:
    """Prints the latest runs, a line each, and what failed most often; writes them as a page if one is requested."""
    store, to = records_of(settings, faults, "REPORT_LANGUAGE"), translator(settings.language)
    if store is None or settings.runs_uri is None:
        return ExitCode.USAGE
    try:
        nights = trio.run(read_nights, store, options.count)
    except StorageError as error:
        return refuse(error, ExitCode.BUSY)
    if nights.runs:
        write_line(nights_table(nights, to).encode())
    else:
        say(to.text(message("no run is recorded")))
    if options.page is not None or options.open:
        path = Path(options.page) if options.page else Path(tempfile.mkdtemp(prefix="nights-")) / "index.html"
        if not write_file(path, [render_nights(nights, settings.runs_uri, beside=False, translator=to)]):
            return ExitCode.USAGE
        say(to.text(message("page: {page}", page=str(path))))
        if options.open:
            webbrowser.open(path.absolute().as_uri())
    for problem in nights.problems:
        refuse(problem, ExitCode.USAGE)
    return ExitCode.USAGE if nights.problems else ExitCode.DONE
