"""Advice: what a person does next about a day. Every output shows these steps, and decides nothing itself."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import Enum
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from job.config.environment import Settings
from job.report.attempt import Start
from job.report.commands import Place, option
from job.report.outcome import Outcome
from job.report.report import Report
from job.text.messages import Message, listed, message, template

Kind = Literal["wait", "start", "look", "plan", "without"]
"""What a step is: wait for Cloud Run, which starts the job again by itself or not; start the job again; look at the day
first; look for faults of the config; go on without some targets."""


class Step(NamedTuple):
    """A step: a sentence, and the shell command that it introduces, if it has one."""

    kind: Kind
    sentence: Message
    command: str | None = None


class Retry(Enum):
    """Whether Cloud Run starts the task again by itself."""

    UNKNOWN = "unknown"
    COMES = "comes"
    NONE = "none"

    @classmethod
    def of(cls, settings: Settings) -> "Retry":
        """From the number of the attempt and of the retries, if these are known."""
        if settings.max_retries is None or settings.execution is None:
            return cls.UNKNOWN
        return cls.COMES if settings.task_attempt < settings.max_retries else cls.NONE


_RETRY = message("Cloud Run starts it again by itself: nothing has to be done before its next message.")
_RETRIES = {
    Outcome.BAD_CONFIG: message("Cloud Run starts it again by itself, which fails too until that is corrected."),
    Outcome.INTERRUPTED: message(
        "Cloud Run starts it again by itself, unless somebody cancelled it: nothing has to be done before its next "
        "message."
    ),
}


def advice(report: Report, place: Place, now: datetime, retry: Retry = Retry.UNKNOWN) -> tuple[Step, ...]:
    """What to do next, in this order; empty if nothing is to be done. `now` is when a person reads it."""
    return tuple(_steps(report, place, now, retry))


def command_of(steps: Sequence[Step], kind: Kind) -> str | None:
    """The command of the first step of this kind; `None` without one."""
    return next((step.command for step in steps if step.kind == kind), None)


def start_command(start: Start, place: Place, now: datetime, *options: str) -> str:
    """The command that starts the job again for this day, with the date if `now` is another day by then."""
    today = now.astimezone(ZoneInfo(start.zone)).date().isoformat()
    return place.run(*options, date=None if today == start.day else start.day)


def _steps(report: Report, place: Place, now: datetime, retry: Retry) -> Iterator[Step]:
    sentence = report.outcome.about.next
    if sentence is None:
        return
    if _may_have_asked(report):
        look = message("It is not known whether this was asked for. Look first at how the day stands:")
        if report.outcome is Outcome.BUSY:
            look = message("Look first at how the day stands:")
        yield Step("look", look, place.report(report.day))
        return
    if retry is Retry.COMES:
        yield Step("wait", _RETRIES.get(report.outcome, _RETRY))
        if report.outcome is not Outcome.BAD_CONFIG:
            sentence = message("Only if none comes, this requests only what is missing:")
    elif retry is Retry.NONE:
        yield Step("wait", message("Cloud Run does not start it again."))
    # Until an attempt is recorded, nobody else knows what it was asked for.
    own = [one for one in report.arguments if not one.startswith(("run", "--date"))]
    if report.number:  # without what was left out, or it could keep back what is missing
        own = option("without", report.without)
    yield Step("start", sentence, start_command(report, place, now, *own))
    if report.outcome is Outcome.BAD_CONFIG and any(".json" in str(fault.where) for fault in report.faults):
        look = message("This shows whether a fault is left in the config objects; it calls nothing:")
        yield Step("plan", look, place.command("plan", report.config_uri))
    if report.at_fault:
        names = [*report.without, *report.at_fault]
        text = template("Or go on without {names}: if nothing else is at fault, this makes all other cards:")
        command = start_command(report, place, now, *option("without", names))
        yield Step("without", message(text, names=listed(report.at_fault)), command)


def _may_have_asked(report: Report) -> bool:
    """Whether it is not known if what `--again` asks for is recorded: whoever asks once more may pay once more.

    A first try that was refused has asked for nothing. A retry asks for nothing, but its first try may have.
    """
    if report.number or not any(one.startswith("--again") for one in report.arguments):
        return False
    return report.outcome is not Outcome.BAD_CONFIG or report.task_attempt > 0


def last_words(start: Start, place: Place, now: datetime) -> Message:
    """What to do about a recorded start that is about to be ended at once."""
    return message(
        "Ended at once. What is recorded is kept; this requests only what is missing: {command}",
        command=start_command(start, place, now),
    )
