"""The command `verify`: whether all the work of a day is done; whoever reads messages is told unless it is."""

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from math import inf
from typing import NamedTuple

import trio

from job.cli.past import open_records, view_of_day
from job.config.environment import Options
from job.day.attempt import ExitCode, Outcome, Start
from job.day.history import Nights
from job.outputs.log import LogLine, as_json, verified
from job.outputs.message import Notifier, body_lines, verify_lines
from job.outputs.stdout import say, say_error, write_line
from job.records.objects import RecordError
from job.records.past_nights import read_nights
from job.storage.store import ObjectStore, StorageError, UnreachableError, UnusableError
from job.telling.advice import NO_START, Commands, executions_lines, whole_night
from job.telling.lines import SIGNS, Line, Rank
from job.telling.nights import not_begun, why_not_begun
from job.telling.view import View, day_lines
from job.text.messages import Message, colon, message, translator
from job.text.shown import clock

NOT_EARLY = timedelta()
"""`verify` looks at a night that has begun."""


def verify_command(options: Options, given: argparse.Namespace) -> ExitCode:
    """Says whether all the work of a day is done, by default of the latest night; sends a message unless it is.

    It reads the whole record, and needs RUNS_URI, RUN_TIME_ZONE and RUN_SCHEDULE alone.
    """
    return trio.run(verify, options, given.date)


async def verify(options: Options, date: str | None = None) -> ExitCode:
    settings, to = options.settings, translator(options.settings.language)
    verdict = await _verdict(open_records(options), options, date)
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
    problem = message("not done by {time}", time=clock(now.astimezone(days.zone), day))
    if view is None:
        answer, steps = why_not_begun(day, nights, days, now), []
        if answer is None:
            answer, steps = not_begun(day, days), [*_first_steps(options, nights, day)]
        lines = [Line(answer, Rank.KEPT), *steps]
        return _Verdict(answer, False, steps, verify_lines(settings, None, day, SIGNS["bad"], problem, lines))
    if view.report.had_plan and view.ledger.is_complete:
        return _Verdict(
            message("{day} is done: {continued}", day=day, continued=view.numbers or view.outcome), is_done=True
        )
    answer = message("{day} is not done: {continued}", day=day, continued=view.outcome)
    mark = SIGNS["warn" if view.report.outcome is Outcome.AT_WORK else "bad"]
    return _Verdict(
        answer, False, [*day_lines(view)], verify_lines(settings, view.report, day, mark, problem, body_lines(view))
    )


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
                return nights, await view_of_day(store, options, nights, day)
            except StorageError as failed:
                if deadline is None or isinstance(failed, UnusableError):
                    raise
                error = failed
            await trio.sleep(LOOK_AGAIN_SECONDS)
    raise error


def _first_steps(options: Options, nights: Nights, day: str) -> Iterator[Line]:
    """How to begin a day, at the price of the night before; nothing if the job's name is not known."""
    settings, days, latest = options.settings, nights.days(options.settings), nights.latest_start
    if settings.job is not None and settings.job_to_start is None:
        return
    start, before = Start.of(options, days), nights.before(day)
    config_uri = start.config_uri or (latest.config_uri if latest else "")
    attempts = before.qa_attempts if before else None
    about = {"day": day, "job": settings.job_to_start, "config_uri": config_uri, "qa_attempts": attempts}
    start = start.model_copy(update=about)
    commands = Commands(start, settings.runs_uri or "", days, options.now)
    is_changed = latest is not None and latest.days != days  # then a plain start is refused
    yield whole_night(commands, start, before.cards.planned if before else 0, is_named=is_changed)
