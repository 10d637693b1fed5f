"""Commands about past days: `nights`, `report` and `verify`."""

import argparse
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from math import inf
from typing import NamedTuple

import trio

from job.config.days import Days
from job.config.environment import DAY_VARIABLES, Options, Settings
from job.config.faults import ConfigError, Fault, FaultKind, not_set
from job.day.attempt import ExitCode, Outcome, Start
from job.day.history import NightBefore, Nights
from job.day.report import NIGHTS_PAGE, PAGE, Report
from job.outputs.log import LogLine, as_json, verified
from job.outputs.message import Notifier, body_lines, verify_lines
from job.outputs.stdout import say, say_error, write_line
from job.outputs.terminal import as_text, nights_table
from job.records.objects import RecordError
from job.records.past_nights import attempt_before, read_nights
from job.records.record import read_day
from job.storage.store import NAME_A_PLACE, ObjectStore, StorageError, UnreachableError, UnusableError
from job.storage.uri import address_of, open_store
from job.telling.advice import NO_START, Commands, executions_lines, whole_night
from job.telling.lines import SIGNS, Line, Rank
from job.telling.nights import NO_NIGHT, nothing_of, undone_lines
from job.telling.sentence import cards_line
from job.telling.view import View
from job.text.messages import Message, Translator, colon, message, template, translator
from job.text.shown import clock, printable

NOT_EARLY = timedelta()
"""`verify` looks at a night that has begun."""


def nights_command(options: Options, given: argparse.Namespace) -> ExitCode:  # noqa: ARG001  as every command
    """Prints the latest days, a line each."""
    settings = options.settings
    store = _records(options, "REPORT_LANGUAGE")
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
    store = _records(options, "REPORT_LANGUAGE")
    nights = trio.run(read_nights, store)
    to = translator(settings.language)
    view = trio.run(_view, store, settings, nights, given.day, options.now)
    if view is None:
        say_error(to.text(colon("RUNS_URI", NO_NIGHT if given.day is None else nothing_of(given.day))))
        return ExitCode.USAGE
    if given.missing:
        _write_missing(view, to)
    else:
        # Not printed by rich, which would end the process with 1 if standard output is closed.
        write_line(as_text(view, to).encode())
    return ExitCode.DONE


async def _view(store: ObjectStore, settings: Settings, nights: Nights, day: str | None, now: datetime) -> View | None:
    """What is shown of a day, by default of the latest. Raises `RecordError` and `StorageError`."""
    runs_uri = settings.runs_uri or ""
    day = day or next((night.day for night in nights.nights), None)
    if day is None:
        return None
    before = None
    with suppress(RecordError, StorageError):  # this day can be shown without
        before = await attempt_before(store, nights, day)
    night_before = partial(NightBefore.of, nights.reports, before, day)
    recorded = await read_day(store, day, night_before)
    if recorded is None:
        return None
    report, record = recorded
    commands = Commands(report.start, runs_uri, nights.days(settings), now)
    view = View.of(report, record.ledger, commands, undone_lines(nights, report))
    return view.with_page(runs_uri) if PAGE in record.listing.documents else view


def _write_missing(view: View, to: Translator) -> None:
    """Writes target and card type of every card that is not there, a line each, separated by a tab."""
    if not view.report.had_plan:
        text = template("the start of {day} was refused, so it is not known which cards are missing")
        what, remedy = message(text, day=view.report.day), message("leave it out to see why")
        raise ConfigError([Fault("--missing", what, remedy, FaultKind.COMMAND)])
    if view.ledger.counts("qa").missing == 0:
        say_error(to.text(cards_line(view.report)))
    for card in view.ledger.missing("qa"):  # not by `say`, which would replace the tab
        write_line(f"{printable(card.item.target)}\t{printable(card.item.card_type)}".encode())


def verify_command(options: Options, given: argparse.Namespace) -> ExitCode:
    """Says whether all the work of a day is done, by default of the latest night; sends a message unless it is.

    It reads the whole record, and needs RUNS_URI, RUN_TIME_ZONE and RUN_SCHEDULE alone.
    """
    return trio.run(verify, options, given.date)


async def verify(options: Options, date: str | None = None) -> ExitCode:
    settings, to = options.settings, translator(options.settings.language)
    verdict = await _verdict(_records(options), options, date)
    if settings.log_format == "text":
        say(to.text(verdict.answer))
        for step in verdict.steps:
            say(to.text(step.text))
            if step.below is not None:
                say(f"  {step.below}")
    else:
        write_line(as_json(verified(verdict.answer, done=verdict.is_done)))
    if verdict.is_done:
        return ExitCode.DONE
    fields = {"event": "run.verified", "done": False}
    problem = await Notifier(settings).send_lines(verdict.lines, lambda: fields)
    if problem is not None and settings.log_format == "text":
        say_error(to.text(problem))
    elif problem is not None:
        write_line(as_json(LogLine("ERROR", "notification.failed", problem, {})))
    return ExitCode.FAILED


class _Verdict(NamedTuple):
    """What `verify` says of a day: that it is done, that it is not, or that it could not look."""

    answer: Message
    is_done: bool = False
    steps: Sequence[Line] = ()
    lines: Iterable[Line] = ()
    """The message, unless it is done."""


async def _verdict(store: ObjectStore, options: Options, date: str | None) -> _Verdict:
    settings, now = options.settings, options.now
    try:
        nights, view = await _look(store, options, date)
    except (RecordError, StorageError) as error:
        days = settings.days()
        day = date or days.current(now, NOT_EARLY)
        at = clock(now.astimezone(days.zone), day)
        problem = message("could not be checked at {time}: {problem}", time=at, problem=error.text)
        seen = list(executions_lines(NO_START, settings.job_to_start, settings.region, settings.project))
        return _Verdict(colon(day, problem), False, seen, verify_lines(settings, None, day, "!", problem, seen))
    days = nights.days(settings)
    day = date or days.current(now, NOT_EARLY)
    report, mark, page = None, SIGNS["bad"], address_of(settings.runs_uri or "", NIGHTS_PAGE)
    if view is None:
        answer = sentence = nothing_of(day)
        steps = _first_steps(options, nights, day)
        lines = [Line(answer, Rank.KEPT), *steps]
    elif view.report.had_plan and view.ledger.is_complete:
        return _Verdict(message("{day} is done: {continued}", day=day, continued=view.sentence), is_done=True)
    else:
        report, sentence, steps, page = view.report, view.sentence, view.steps, view.page or page
        answer = message("{day} is not done: {continued}", day=day, continued=sentence)
        mark = SIGNS["warn"] if report.outcome is Outcome.AT_WORK else mark
        lines = list(body_lines(view))
    problem = message("not done by {time}", time=clock(now.astimezone(days.zone), day))
    told = None if date else _told(days, day, report, now)
    if told is not None:
        still = template("not done since {day}: {continued} → {page}")
        problem, lines = message(still, day=f"{told:%m-%d}", continued=sentence, page=page), []
    return _Verdict(answer, False, steps, verify_lines(settings, report, day, mark, problem, lines))


LOOK_SECONDS = 240.0
"""How long `verify` tries to look, at most, if it has a deadline: Cloud Run ends its job after 300 s."""
LOOK_AGAIN_SECONDS = 2.0


async def _look(store: ObjectStore, options: Options, date: str | None) -> tuple[Nights, View | None]:
    """The nights, and the day of `date`, by default of the latest night that has begun; `None` if nothing is there.

    If storage fails, it looks again until the deadline; without a deadline it does not.
    """
    settings = options.settings
    deadline = settings.deadline
    seconds = inf if deadline is None else min(deadline, LOOK_SECONDS) - (time.monotonic() - options.started)
    error: StorageError = UnreachableError(message("storage did not answer in time"))
    with trio.move_on_after(max(0.0, seconds)):
        while True:
            try:
                nights = await read_nights(store)
                day = date or nights.days(settings).current(options.now, NOT_EARLY)
                return nights, await _view(store, settings, nights, day, options.now)
            except StorageError as failed:
                if deadline is None or isinstance(failed, UnusableError):
                    raise
                error = failed
            await trio.sleep(LOOK_AGAIN_SECONDS)
    raise error


def _told(days: Days, day: str, report: Report | None, now: datetime) -> datetime | None:
    """When `verify`, which looks every day, told first that the day is not done; `None` if it does so now."""
    tick = days.tick_of(day)
    if tick is None or (report is not None and report.outcome is Outcome.AT_WORK):
        return None
    since = max(tick, tick if report is None else datetime.fromisoformat(report.start.started))
    ago = (now - since) // timedelta(days=1)
    return (now - timedelta(days=ago)).astimezone(days.zone) if ago > 0 else None


def _first_steps(options: Options, nights: Nights, day: str) -> tuple[Line, ...]:
    """How to start a day of which nothing is recorded; nothing if it is to come, or the job's name is not known."""
    settings, days, latest = options.settings, nights.days(options.settings), nights.latest_start
    if days.is_to_come(day, options.now) or (settings.job is not None and settings.job_to_start is None):
        return ()
    start = Start.of(options, days)
    config_uri = start.config_uri or (latest.config_uri if latest else "")
    place = start.model_copy(update={"job": settings.job_to_start, "config_uri": config_uri})
    return (whole_night(Commands(place, settings.runs_uri or "", days, options.now), day),)


def _records(options: Options, *others: str) -> ObjectStore:
    """The store at RUNS_URI. Raises `ConfigError` if that or one of the `others` is faulty."""
    runs_uri = options.settings.runs_uri
    wrong = [fault for fault in options.faults if fault.variable in {"RUNS_URI", *DAY_VARIABLES, *others}]
    if wrong or runs_uri is None:
        raise ConfigError(wrong or [not_set("RUNS_URI", NAME_A_PLACE)])
    return open_store(runs_uri)
