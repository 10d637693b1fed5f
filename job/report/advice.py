"""Advice: what a person does next about a run. Every output shows these steps, and decides nothing itself."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import Enum
from typing import Literal, NamedTuple

from job.config.environment import Settings
from job.ledger.ledger import Ledger
from job.planning.left_out import OPTION
from job.report.commands import Place, plan_command
from job.report.inputs import RunInputs, today_of, without_plan
from job.report.outcome import Outcome
from job.report.report import FailedCall, RunReport, report_of
from job.text.messages import Message, listed, message, plural, template

Kind = Literal["correct", "again", "resume", "without", "start", "look", "wait"]
"""What a step is: correct the config; start the job again; resume the run; resume it without some targets; start a new
run for its day; look at something; wait for Cloud Run, which starts it again by itself or not."""


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


_NO_STEP = {Outcome.SUCCEEDED, Outcome.AT_WORK}
_AGAIN = {
    Outcome.BAD_CONFIG: template("Once that is corrected, this starts it again:"),
    Outcome.BUSY: template("Once the other run has ended, this starts it again:"),
    Outcome.NO_LEASE: template("Once storage can be reached, this starts it again:"),
}
"""The sentence before the command that starts the same attempt again, if something has to happen before."""
_AT_ONCE = template("This starts it again:")
_RETRY = template("Cloud Run starts it again by itself: nothing has to be done before its next message.")
_RETRIES = {
    Outcome.BAD_CONFIG: template("Cloud Run starts it again by itself, which fails too until that is corrected."),
    Outcome.INTERRUPTED: template(
        "Cloud Run starts it again by itself, unless somebody cancelled it: nothing has to be done before its next "
        "message."
    ),
}
_IN_VAIN = template("Cloud Run starts it again by itself, which fails too.")
"""The same, if something else is to be done instead."""


def advice(report: RunReport, place: Place, now: datetime | None, retry: Retry = Retry.UNKNOWN) -> tuple[Step, ...]:
    """What to do next, in this order; empty if nothing is to be done.

    `now` is when a person reads it; `None` if that is not known: the commands are then right on any day.
    """
    if report.outcome in _NO_STEP:
        return ()
    if any(str(fault.where) == OPTION for fault in report.faults):  # the command itself is wrong: it would fail again
        return tuple(_waiting(report, retry))
    return (*_waiting(report, retry), *_steps(report, place, now, is_last_resort=_is_last_resort(report, retry)))


def command_of(steps: Sequence[Step], kind: Kind) -> str | None:
    """The command of the first step of this kind; `None` without one."""
    return next((step.command for step in steps if step.kind == kind), None)


def with_commands(report: RunReport, place: Place) -> RunReport:
    """The report with the commands that are right when the run has ended, as `report.json` stores them."""
    steps = advice(report, place, datetime.fromisoformat(report.ended or report.started))
    start = command_of(steps, "again" if report.outcome is Outcome.BAD_CONFIG else "start")
    return report.model_copy(update={"resume_command": command_of(steps, "resume"), "start_command": start})


def last_words(inputs: RunInputs, ledger: Ledger, place: Place, now: datetime) -> Message:
    """What to do about a recorded run that is about to be ended at once, without a report."""
    failures = tuple(FailedCall.of(call) for call in ledger.failures)  # not the whole report: there is no time for it
    report = report_of(inputs, Ledger(without_plan()), state=Outcome.KILLED, failures=failures)
    steps = advice(report, place, now)
    if (command := command_of(steps, "again") or command_of(steps, "resume")) is not None:
        return message(
            "The run was ended at once, without a report. What it has recorded is kept; to go on with it: {command}",
            command=command,
        )
    return message(
        "The run was ended at once, without a report. This starts a new run for {day}: {command}",
        day=inputs.day,
        command=command_of(steps, "start") or "",
    )


def _is_last_resort(report: RunReport, retry: Retry) -> bool:
    """Whether a person has to do something only if Cloud Run's own retry does not come."""
    return retry is Retry.COMES and report.outcome is not Outcome.BAD_CONFIG and report.instead is None


def _waiting(report: RunReport, retry: Retry) -> Iterator[Step]:
    if retry is Retry.COMES and report.instead is not None:
        yield Step("wait", message(_IN_VAIN))
    elif retry is Retry.COMES:
        yield Step("wait", message(_RETRIES.get(report.outcome, _RETRY)))
    elif retry is Retry.NONE:
        yield Step("wait", message("Cloud Run does not start it again."))


def _steps(report: RunReport, place: Place, now: datetime | None, *, is_last_resort: bool) -> Iterator[Step]:
    if report.instead is not None:
        yield Step(report.instead.kind, report.instead.sentence, report.instead.command)
        return
    is_of_config = any(".json" in str(fault.where) for fault in report.faults)
    if report.outcome is Outcome.BAD_CONFIG and is_of_config and report.config_uri and not place.arguments:
        correct = template(
            "Correct the configuration. {command} shows whether a fault is left in the config objects; it calls "
            "nothing."
        )
        yield Step("correct", message(correct, command=plan_command(report.config_uri)))
    is_today = now is None or today_of(report.started, now, report.zone) == report.day
    can_start = is_today and report.is_latest and place.can_start_again and (now is not None or report.date is None)
    is_in_vain = bool(place.arguments) and report.date is None and not is_today  # a resume that would be refused again
    if (not report.is_recorded or report.outcome is Outcome.BAD_CONFIG) and not is_in_vain:
        yield from _again(report, place, is_last_resort=is_last_resort)
        return
    if can_start:
        yield Step("again", _last_resort() if is_last_resort else _resume(report), place.start_again(report.date))
        yield from _without(report, place)
    if report.date is not None or (is_today and not can_start):
        sentence = _last_resort() if is_last_resort else _resume(report)
        if can_start:
            sentence = message("On a later day, this requests only what is missing:")
        yield Step("resume", sentence, place.resume(report.run_id, report.then))
        if not can_start:
            yield from _without(report, place)
    if report.date is None:
        sentence = _on_a_later_day(report.day)
        if not is_today and is_last_resort:
            sentence = message(
                "Only if none comes, this starts a new run for {day}, which makes all its cards:", day=report.day
            )
        yield Step("start", sentence, place.start(report.day))


def _without(report: RunReport, place: Place) -> Iterator[Step]:
    if report.at_fault and report.cards.missing:
        text = template("Or go on without {names}: if nothing else is at fault, this makes all other cards:")
        command = place.resume(report.run_id, without=report.at_fault)
        yield Step("without", message(text, names=listed(report.at_fault)), command)


def _last_resort() -> Message:
    return message("Only if none comes, this requests only what is missing:")


def _again(report: RunReport, place: Place, *, is_last_resort: bool) -> Iterator[Step]:
    command = place.again()
    if is_last_resort:
        yield Step("again", message("Only if none comes, this starts it again:"), command)
    elif report.had_plan:
        made, missing = report.cards.made, report.cards.missing
        if missing:
            yield Step(
                "look",
                plural(
                    "1 card is missing. Only a recorded run lists its missing cards: set RUNS_URI.",
                    "{count} cards are missing. Only a recorded run lists its missing cards: set RUNS_URI.",
                    count=missing,
                ),
            )
        yield Step("again", _unrecorded(made), command)
    elif command is not None:
        yield Step("again", message(_AGAIN.get(report.outcome, _AT_ONCE)), command)


def _unrecorded(made: int) -> Message:
    if not made:
        return message("This run is not recorded and cannot be resumed: start a new run.")
    return plural(
        "This run is not recorded and cannot be resumed: a new run makes the 1 card that is there again.",
        "This run is not recorded and cannot be resumed: a new run makes the {count} cards that are there again.",
        count=made,
    )


def _resume(report: RunReport) -> Message:
    if report.then != "new_config":
        return message(report.outcome.about.resume)
    return message("Once the config is corrected, this requests only what is missing:")


def _on_a_later_day(day: str) -> Message:
    return message(
        "The run has no date of its own, so it can be continued only on {day}. On a later day, this starts a new run "
        "for {day}, which makes all its cards:",
        day=day,
    )
