"""Commands about past runs: `runs`, `nights`, `report` and `verify`."""

import argparse
import tempfile
import webbrowser
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from pathlib import Path

import trio

from job.config.environment import Settings
from job.config.faults import NOT_SET, Fault
from job.engines.identity import RunIdentity
from job.execution.shutdown import Budget
from job.notification.message import late_lines
from job.notification.sender import Notifier
from job.page.render import render_nights, render_page
from job.records.past import RecordedRun, latest_id, night_after, read_nights, read_past, read_run
from job.records.verification import Verification, verify
from job.report.advice import advice
from job.report.cards import card_lines
from job.report.commands import PageLinks, list_command, page_address
from job.report.format import CARDS, PAGE, RecordError
from job.report.outcome import ExitCode, Outcome
from job.reporting.cloud_log import CloudLogReporter
from job.reporting.screen import nights_table, runs_table
from job.reporting.stdout import say, say_error, write_line
from job.reporting.terminal import as_text
from job.storage.store import ObjectStore, StorageError
from job.storage.uri import open_store
from job.text.display import printable
from job.text.messages import Message, Translator, Value, message, template, translator

LATEST = 20
"""Runs that `runs` lists."""
DRAIN_SECONDS = 1.0
LINES_AT_ONCE = 1000
"""Missing cards per write."""


def runs_command(settings: Settings, faults: list[Fault]) -> ExitCode:
    """Lists the latest recorded runs."""
    store, to = records_of(settings, faults, "REPORT_LANGUAGE"), translator(settings.language)
    if store is None:
        return ExitCode.USAGE
    try:
        past = trio.run(read_past, store, LATEST)
        if past.errors:
            raise past.errors[0]
    except StorageError as error:
        return refuse(error.words, ExitCode.BUSY, to)
    if past.runs:
        say(runs_table(past.runs, to))
    else:
        say(to.text(message("no run is recorded")))
    for problem in past.problems:
        refuse(problem, ExitCode.USAGE, to)
    return ExitCode.USAGE if past.problems else ExitCode.DONE


def nights_command(settings: Settings, faults: list[Fault], options: argparse.Namespace) -> ExitCode:
    """Prints the latest runs, a line each, and what failed most often; writes them as a page if one is requested."""
    store, to = records_of(settings, faults, "REPORT_LANGUAGE"), translator(settings.language)
    if store is None or settings.runs_uri is None:
        return ExitCode.USAGE
    has_page = options.page is not None or options.open
    try:
        past = trio.run(read_nights if has_page else read_past, store, options.count)
    except StorageError as error:
        return refuse(error.words, ExitCode.BUSY, to)
    if past.runs:
        write_line(nights_table(past, to).encode())
    else:
        say(to.text(message("no run is recorded")))
    if has_page:
        path = Path(options.page) if options.page else Path(tempfile.mkdtemp(prefix="nights-")) / "index.html"
        if not write_file(path, [render_nights(past, settings.runs_uri, beside=False, translator=to)]):
            return ExitCode.USAGE
        say(to.text(message("page: {page}", page=str(path))))
        if options.open:
            webbrowser.open(path.absolute().as_uri())
    for problem in past.problems:
        refuse(problem, ExitCode.USAGE, to)
    return ExitCode.USAGE if past.problems else ExitCode.DONE


def report_command(settings: Settings, faults: list[Fault], options: argparse.Namespace, now: datetime) -> ExitCode:
    """Prints a recorded run, by default the latest; writes its page or table if requested."""
    store = records_of(settings, faults, "REPORT_LANGUAGE")
    if store is None or settings.runs_uri is None:
        return ExitCode.USAGE
    to = translator(settings.language)
    recorded = _find(store, settings.runs_uri, options.run_id, to)
    if isinstance(recorded, ExitCode):
        return recorded
    if recorded.report.outcome is Outcome.BAD_CONFIG and (options.missing or options.csv is not None):
        text = template("run {run} had no plan, so there is no list of its cards")
        say_error(to.text(message(text, run=recorded.report.run_id)))
        return ExitCode.USAGE
    report, ledger, steps = recorded.report, recorded.ledger, advice(recorded.report, recorded.place, now)
    if options.csv is not None and not write_file(Path(options.csv), card_lines(report, ledger, to)):
        return ExitCode.USAGE
    path: Path | None = None
    if options.page is not None or options.open:
        path = Path(options.page) if options.page else Path(tempfile.mkdtemp(prefix="run-")) / "report.html"
        try:
            after = trio.run(night_after, store, report)
        except StorageError as error:
            return refuse(error.words, ExitCode.BUSY, to)
        links = PageLinks.of(settings.runs_uri, report, after, has_table=CARDS in recorded.documents, beside=False)
        if not write_file(path, [render_page(report, ledger, steps, links, translator=to)]):
            return ExitCode.USAGE
    if options.missing:
        _write_missing(recorded)
    else:
        own = page_address(settings.runs_uri, report.run_id) if PAGE in recorded.documents else None
        report = report.model_copy(update={"page": str(path) if path else own})
        # Not printed by rich, which would end the process with 1 if standard output is closed.
        write_line(as_text(report, ledger, steps, to).encode())
    if options.open and path:
        webbrowser.open(path.absolute().as_uri())
    return ExitCode.DONE


def write_file(path: Path, parts: Iterable[bytes]) -> bool:
    """Writes a file. Returns whether it was written; if not, prints the reason on standard error."""
    try:
        with path.open("wb") as file:
            file.writelines(parts)
    except OSError as error:
        say_error(f"{path}: {error.strerror or error}")
        return False
    return True


def _write_missing(recorded: RecordedRun) -> None:
    """Writes target and card type of every card that is not there, a line each, separated by a tab."""
    missing = recorded.ledger.items["qa"].missing()
    while lines := [
        f"{printable(item.target)}\t{printable(item.card_type)}" for item in islice(missing, LINES_AT_ONCE)
    ]:
        write_line("\n".join(lines).encode())  # not by `say`, which would replace the tabs


def _find(store: ObjectStore, runs_uri: str, run_id: str | None, to: Translator) -> RecordedRun | ExitCode:
    """The run of this id, or the latest. If it cannot be read: the exit code; prints the reason on standard error."""
    try:
        run_id = run_id or trio.run(latest_id, store)
        if run_id is None:
            return refuse(message("has no record of any run"), ExitCode.USAGE, to)
        recorded = trio.run(read_run, store, run_id)
    except RecordError as error:
        return refuse(error.what, ExitCode.USAGE, to)
    except StorageError as error:
        return refuse(error.words, ExitCode.BUSY, to)
    if recorded is None:
        text = template("has no record of run {run}; `{command}` lists what is there")
        return refuse(message(text, run=run_id, command=list_command(runs_uri)), ExitCode.USAGE, to)
    return recorded


def verify_command(settings: Settings, faults: list[Fault], now: datetime, date: str | None) -> ExitCode:
    """Reports whether a run of a day did all its work. The day is `date`, else RUN_DATE, else today."""
    # Without CONFIG_URI the runs of every config count.
    store = records_of(settings, faults, "CONFIG_URI", *([] if date else ["RUN_DATE"]))
    if store is None:
        return ExitCode.USAGE
    day = date or settings.day_of(now)
    verified: Verification | None = None
    try:
        verified = trio.run(verify, store, day, settings.config_uri)
        done, known = verified.done, verified.known
    except StorageError as error:
        done, known = False, f"RUNS_URI: {error}"
    is_text = settings.log_format == "text"
    reporter = CloudLogReporter(RunIdentity(settings.run_id or "verify"), settings.project)
    if is_text:
        say(known)
    else:
        reporter.verified(known, done=done)
    problem = None if done else trio.run(_send_late, store, verified, settings, day, now)
    if problem is not None and is_text:
        say_error(problem)
    elif problem is not None:
        reporter.on_notification_failed(problem)
        trio.run(reporter.drain, DRAIN_SECONDS)
    return ExitCode.DONE if done else ExitCode.FAILED


async def _send_late(
    store: ObjectStore, verified: Verification | None, settings: Settings, day: str, now: datetime
) -> Message | None:
    """Sends the message that no run of the day succeeded, if messages are on. Returns why it was not sent, if so."""
    notifier, run, is_known = Notifier(settings), None, verified is not None
    if notifier.hook is not None and verified is not None:
        try:
            # If the day has no run, the latest run of any day has the name of the job.
            run_id = verified.run_id or await latest_id(store)
            run = await read_run(store, run_id) if run_id else None
        except (RecordError, StorageError):
            is_known = False
    lines = late_lines(settings, day, now, run, is_known=is_known)
    return await notifier.send_lines(lines, lambda: {"event": "run.verified", "done": False}, Budget.MESSAGE)


def refuse(problem: Value, code: ExitCode, to: Translator) -> ExitCode:
    """Prints on standard error what is wrong with RUNS_URI or the records there, and returns this exit code."""
    say_error(to.text(message("RUNS_URI: {problem}", problem=problem)))
    return code


def records_of(settings: Settings, faults: list[Fault], *others: str) -> ObjectStore | None:
    """The store at RUNS_URI. If a variable is faulty: `None`; prints the reason on standard error.

    `others` are further variables that must not be faulty; they may be unset.
    """
    wrong = [fault for fault in faults if fault.where in {"RUNS_URI", "RUN_TIME_ZONE"}]
    wrong += [fault for fault in faults if fault.where in others and fault.what.id != NOT_SET]
    if settings.runs_uri is None and not wrong:
        wrong = [Fault("RUNS_URI", message(NOT_SET), message("set it to where runs are recorded"))]
    for fault in wrong:
        say_error(translator(settings.language).text(fault.sentence))
    return None if wrong or settings.runs_uri is None else open_store(settings.runs_uri)
