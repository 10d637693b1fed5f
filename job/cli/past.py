"""The commands `nights` and `report`, which print what is recorded of past days."""

import argparse

import trio

from job.config.environment import DAY_VARIABLES, Options
from job.config.faults import ConfigError, Fault, FaultKind, not_set
from job.day.attempt import ExitCode, Outcome
from job.day.history import Nights
from job.day.report import PAGE
from job.outputs.stdout import say_error, write_line
from job.outputs.terminal import as_text, nights_table
from job.records.past_nights import read_nights
from job.records.record import read_day
from job.storage.store import NAME_A_PLACE, ObjectStore
from job.storage.uri import open_store
from job.telling.advice import Commands
from job.telling.nights import NO_NIGHT, not_begun, undone_lines, why_not_begun
from job.telling.sentence import sentence_of
from job.telling.view import View
from job.text.messages import Translator, colon, message, template, translator
from job.text.shown import printable


def nights_command(options: Options, given: argparse.Namespace) -> ExitCode:  # noqa: ARG001  as every command
    """Prints the latest days, a line each."""
    settings = options.settings
    store = open_records(options, "REPORT_LANGUAGE")
    nights = trio.run(read_nights, store)
    to = translator(settings.language)
    write_line(nights_table(nights, to).encode())
    problems = [night.problem for night in nights.nights if night.problem is not None]
    for problem in problems:
        say_error(to.text(colon("RUNS_URI", problem)))
    return ExitCode.USAGE if problems else ExitCode.DONE


def report_command(options: Options, given: argparse.Namespace) -> ExitCode:
    """Prints a recorded day, by default the latest."""
    settings = options.settings
    store = open_records(options, "REPORT_LANGUAGE")
    nights = trio.run(read_nights, store)
    to = translator(settings.language)
    view = trio.run(view_of_day, store, options, nights, given.day)
    if view is None:
        days, why = nights.days(options.settings), NO_NIGHT
        if given.day is not None:
            why = why_not_begun(given.day, nights, days, options.now) or not_begun(given.day, days)
        say_error(to.text(colon("RUNS_URI", why)))
        return ExitCode.USAGE
    if given.missing:
        _write_missing(view, to)
    else:
        # Not printed by rich, which would end the process with 1 if standard output is closed.
        write_line(as_text(view, to).encode())
    return ExitCode.DONE


async def view_of_day(store: ObjectStore, options: Options, nights: Nights, day: str | None) -> View | None:
    """What is shown of a day, by default of the latest. Raises `RecordError` and `StorageError`."""
    runs_uri = options.settings.runs_uri or ""
    day = day or next((night.day for night in nights.nights), None)
    if day is None:
        return None
    recorded = await read_day(store, day)
    if recorded is None:
        return None
    report, record = recorded
    commands = Commands(report, runs_uri, nights.days(options.settings), options.now)
    view = View.of(report, record.ledger, commands, undone_lines(nights, report))
    if PAGE not in record.listing.documents or report.outcome is Outcome.KILLED:  # its page says that it is at work
        return view
    return view.with_page(runs_uri)


def _write_missing(view: View, to: Translator) -> None:
    """Writes target and card type of every card that is not there, a line each, separated by a tab."""
    if not view.report.had_plan:
        text = template("the start of {day} was refused, so it is not known which cards are missing")
        what, remedy = message(text, day=view.report.day), message("leave it out to see why")
        raise ConfigError([Fault("--missing", what, remedy, FaultKind.COMMAND)])
    if view.ledger.counts("qa").missing == 0:
        say_error(to.text(sentence_of(view.report)))
    for card in view.ledger.missing("qa"):  # not by `say`, which would replace the tab
        write_line(f"{printable(card.item.target)}\t{printable(card.item.card_type)}".encode())


def open_records(options: Options, *others: str) -> ObjectStore:
    """The store at RUNS_URI. Raises `ConfigError` if that or one of the `others` is faulty."""
    runs_uri = options.settings.runs_uri
    wrong = [fault for fault in options.faults if fault.variable in {"RUNS_URI", *DAY_VARIABLES, *others}]
    if wrong or runs_uri is None:
        raise ConfigError(wrong or [not_set("RUNS_URI", NAME_A_PLACE)])
    return open_store(runs_uri)
