"""Advice: what a person does next about a day. Every output shows these steps, and decides nothing itself."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Literal, NamedTuple

from job.config.days import Days
from job.config.environment import Settings
from job.config.faults import FaultKind
from job.day.attempt import Start
from job.day.commands import Command, Commands, option
from job.day.failures import failure_groups
from job.day.ledger import Ledger
from job.day.outcome import Outcome
from job.day.report import Report
from job.text.messages import Message, dated_time, listed, message, template

StepKind = Literal["wait", "start", "later", "look", "plan", "without", "left_out", "variables"]
"""What a step is: wait for Cloud Run, which starts the job again by itself or not; start the job again, now and later;
look at the day first; look for faults of the config; go on without some targets; make what was left out; know who sets
variables."""


class Step(NamedTuple):
    """A step: a sentence, and the command that it introduces, if it has one."""

    kind: StepKind
    sentence: Message
    command: Command | None = None


SOON = timedelta(minutes=10)
"""Cloud Run may take so long until it starts a task again."""


class TaskRetry(Enum):
    """Whether Cloud Run starts the task again by itself."""

    UNKNOWN = "unknown"
    COMES = "comes"
    NONE = "none"
    """It does not, or not any more."""

    @classmethod
    def of(cls, settings: Settings) -> "TaskRetry":
        """From the number of the attempt and of the retries, if these are known."""
        if settings.max_retries is None or settings.execution is None:
            return cls.UNKNOWN
        return cls.COMES if settings.task_attempt < settings.max_retries else cls.NONE


_STARTED_AGAIN = message("Cloud Run starts it again by itself: nothing has to be done before its next message.")
_RETRIES = {
    Outcome.BAD_CONFIG: message("Cloud Run starts it again by itself, which fails too until that is corrected."),
    Outcome.INTERRUPTED: message(
        "Cloud Run starts it again by itself, unless somebody cancelled it: nothing has to be done before its next "
        "message."
    ),
}


def advice(
    report: Report, ledger: Ledger, commands: Commands, retry: TaskRetry = TaskRetry.UNKNOWN
) -> tuple[Step, ...]:
    """What to do next, in this order; empty if nothing is to be done. `commands` know when a person reads it.

    A command that is faulty itself must not be given again.
    """
    return () if report.is_of_command else (*_owners_step(report, ledger), *_steps(report, commands, retry))


def _owners_step(report: Report, ledger: Ledger) -> Iterator[Step]:
    """Who sets the variables that faults and remedies name, on Cloud Run."""
    of_fault = any(fault.kind is FaultKind.VARIABLE for fault in report.faults)
    if report.job and (of_fault or any("{variable}" in group.remedy.value for group in failure_groups(ledger))):
        yield Step("variables", message("Variables are set in terraform.tfvars, which an owner applies."))


def command_of(steps: Sequence[Step], kind: StepKind) -> Command | None:
    """The command of the first step of this kind; `None` without one."""
    return next((step.command for step in steps if step.kind == kind), None)


def _steps(report: Report, commands: Commands, retry: TaskRetry) -> Iterator[Step]:
    sentence = report.outcome.about.next
    if sentence is None:
        if report.outcome is Outcome.SUCCEEDED and report.without:
            yield from _left_out_steps(report, commands)
        return
    if _may_have_asked(report):
        look = message("It is not known whether this was asked for. Look first at how the day stands:")
        if report.outcome is Outcome.BUSY:
            look = message("Once no other start is at work, look first at how the day stands:")
        yield Step("look", look, commands.look(report.known_day))
        return
    # The retry of a start that names no day would be for the next one.
    names_day = retry is TaskRetry.COMES and report.outcome is not Outcome.BAD_CONFIG and _ends_soon(report, commands)
    if retry is TaskRetry.COMES and not names_day:
        yield Step("wait", _RETRIES.get(report.outcome, _STARTED_AGAIN))
        if report.outcome is not Outcome.BAD_CONFIG:
            sentence = template("Only if none comes, this does only what is left{terms}:")
    elif retry is TaskRetry.NONE:
        again = message("Cloud Run does not start it again any more.")
        yield Step("wait", again if report.task_attempt else message("Cloud Run does not start it again."))
    yield from _start_steps(report, report.outcome, sentence, commands, names_day=names_day)
    if report.outcome is Outcome.BAD_CONFIG and any(fault.kind is FaultKind.OBJECT for fault in report.faults):
        look = message("In a checkout, this shows whether a fault is left in the config objects; it calls nothing:")
        yield Step("plan", look, commands.read("plan", report.config_uri))
    if report.at_fault:
        names = [*report.without, *report.at_fault]
        command = commands.run(report.day, *option("without", names), names_day=names_day)
        text = template("Or go on without {names}: if nothing else is at fault, this makes all other cards{terms}:")
        yield Step("without", message(text, names=listed(report.at_fault), terms=command.terms), command)


def _left_out_steps(report: Report, commands: Commands) -> Iterator[Step]:
    command = commands.run(report.day)
    text = template("Once the cause is put right, this makes what was left out too{terms}:")
    yield Step("left_out", message(text, terms=command.terms), command)
    if command.until is not None:
        yield _later(command.until, commands.run(report.day, names_day=True))


def _may_have_asked(report: Report) -> bool:
    """Whether it is not known if what `--again` asks for is recorded: whoever asks once more may pay once more.

    A first try that was refused has asked for nothing. A retry asks for nothing, but its first try may have.
    """
    if report.number or not any(one.startswith("--again") for one in report.arguments):
        return False
    return report.outcome is not Outcome.BAD_CONFIG or report.task_attempt > 0


def first_steps(day: str, commands: Commands) -> tuple[Step, ...]:
    """How to start a day of which nothing is recorded."""
    command = commands.run(day, is_new=True)
    return (Step("start", message("This starts it{terms}:", terms=command.terms), command),)


def nothing_since(tick: datetime) -> Message:
    """That the night of this tick, and any later one, has left nothing."""
    return message("Nothing here since {time}", time=dated_time(tick))


def late_steps(start: Start | None, runs_uri: str | None, days: Days, tick: datetime) -> tuple[Step, ...]:
    """What to do about that, whenever it is read; nothing if no `start` is known."""
    if start is None:
        return ()
    command = Commands.of(start, runs_uri, days, tick).run(None)
    return (Step("start", message("This makes what is missing of the latest night:"), command),)


def go_on(start: Start, outcome: Outcome, commands: Commands) -> tuple[Step, ...]:
    """How to go on with an attempt that has no report."""
    sentence = outcome.about.next
    return () if sentence is None else tuple(_start_steps(start, outcome, sentence, commands))


def _start_steps(
    start: Start, outcome: Outcome, sentence: str, commands: Commands, *, names_day: bool = False
) -> Iterator[Step]:
    # Until an attempt is recorded, nobody else knows what it was asked for.
    own = [one for one in start.arguments if not one.startswith(("run", "--date"))]
    if start.number:  # without what was left out, or it could keep back what is missing
        own = option("without", start.without)
    # A refused start is recorded; and a day that was not current has to be confirmed by whoever names it.
    was_current = start.knows_days and start.days.current(datetime.fromisoformat(start.started)) == start.day
    is_new = was_current and not start.number and outcome is not Outcome.BAD_CONFIG
    names_day = names_day or not start.knows_days  # whether it is current is not known either
    command = commands.run(start.known_day, *own, names_day=names_day, is_new=is_new)
    yield Step("start", message(sentence, terms=command.terms), command)
    if command.until is not None:
        yield _later(command.until, commands.run(start.day, *own, names_day=True, is_new=is_new))


def _later(since: datetime, command: Command) -> Step:
    time = f"{since:%m-%d %H:%M}"
    return Step("later", message("From {time} on, in its place{terms}:", time=time, terms=command.terms), command)


def _ends_soon(report: Report, commands: Commands) -> bool:
    """Whether a start that does not name the day would soon be for a later one."""
    return not report.names_day and commands.days.current(commands.now + SOON) != report.day


def last_words(start: Start, commands: Commands) -> Message:
    """What to do about a recorded start that is about to be ended at once."""
    command = commands.run(start.day, *option("without", start.without))
    text = template("Ended at once. What is recorded is kept; this does only what is left{terms}: {command}")
    return message(text, terms=command.terms, command=command.text)
