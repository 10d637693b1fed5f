"""Ending: the last lines of a run, or of a recorded run, on a terminal: what failed and how to resume."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from job.records.commands import (
    how_to_go_on,
    missing_command,
    on_a_later_day,
    start_command,
    unrecorded_lines,
    ways_on,
)
from job.records.groups import FailureGroup, then_of
from job.records.inputs import RunInputs
from job.records.set_aside import SetAsideType
from job.text.display import shortened
from job.text.messages import ENGLISH, NAMED, Message, Translator, message, plural

ANSWERS_SHOWN = 3
"""Last answers that are shown of a group; further ones are only counted."""
ANSWER_LIMIT = 500
LAST_WORDS_SECONDS = 0.2
"""For the line after a second signal, if nobody reads standard error."""
Mark = Literal["✗", "!", " "]


@dataclass(frozen=True, slots=True)
class NextSteps:
    """What a person needs to investigate and to resume a run. A field is `None` if it does not apply."""

    run_id: str
    outcome: str
    cards: int
    """Number of planned cards."""
    missing: int
    """Number of planned cards that are not made."""
    trace_id: str
    page: str | None
    """Where the run's page is."""
    command: str | None
    """The command that resumes the run; `None` if it is not recorded, or cannot be resumed any more."""
    start: str | None = None
    """The command that starts a new run for the day of one without a date."""
    day: str = ""
    """The day that the run is for."""
    runs_uri: str | None = None
    """As in `RunInputs`."""


def failure_lines(
    groups: Sequence[FailureGroup],
    not_listed: int = 0,
    set_aside: Iterable[SetAsideType] = (),
    translator: Translator = ENGLISH,
) -> Iterator[tuple[Mark, Message]]:
    """For each group: what failed, the last answers, what to do. `not_listed` is the number of further failures.

    Then each card type that was set aside. Answers are translated before they are shortened.
    """
    for group in groups:
        yield "!" if group.is_cut_off else "✗", group.heading
        answers = group.answers
        for answer, count in answers[:ANSWERS_SHOWN]:
            text = shortened(translator.text(answer), ANSWER_LIMIT)
            if len(answers) == 1:
                yield " ", message("last answer: {answer}", answer=text)
            else:
                yield " ", message("last answer for {count}: {answer}", count=count, answer=text)
        if len(answers) > ANSWERS_SHOWN:
            yield " ", message("other last answers: {count}", count=len(answers) - ANSWERS_SHOWN)
        if group.go_on is None:
            yield " ", message("what to do: {remedy}", remedy=group.remedy)
        else:
            yield " ", message("what to do: {remedy} {go_on}", remedy=group.remedy, go_on=group.go_on)
    if not_listed:
        yield "✗", plural("1 more failed", "{count} more failed", count=not_listed)
    for one in set_aside:
        yield "✗", one.reason_message
        yield " ", message("what to do: {remedy}", remedy=one.remedy_message)


def cut_short(inputs: RunInputs) -> Message:
    """The last words of a recorded run that a second signal ends at once, without a report."""
    resume, _ = ways_on(inputs, "resume", datetime.now(UTC))
    if resume is None:
        return message(
            "The run was ended at once, without a report. This starts a new run for {day}: {command}",
            day=inputs.day,
            command=start_command(inputs),
        )
    return message(
        "The run was ended at once, without a report. What it has recorded is kept; to go on with it: {command}",
        command=resume,
    )


def next_step_lines(groups: Sequence[FailureGroup], steps: NextSteps) -> Iterator[Message]:
    """Where to look further, and how to resume a run that did not do all its work."""
    named = sum(min(group.items, NAMED) for group in groups if group.engine == "qa")
    is_recorded = steps.command is not None or steps.start is not None
    if is_recorded and steps.missing > named:
        yield plural(
            "1 card is missing; its name: {command}",
            "{count} cards are missing; their names: {command}",
            count=steps.missing,
            command=missing_command(steps.run_id, steps.runs_uri),
        )
    if groups:
        yield message("trace id: {trace}", trace=steps.trace_id)
    if steps.page is not None:
        yield message("page: {page}", page=steps.page)
    if not is_recorded:
        yield from unrecorded_lines(steps.missing if steps.missing > named else 0, steps.cards - steps.missing)
    if steps.command is not None:
        yield how_to_go_on(steps.outcome, then_of(groups), steps.cards - steps.missing)
        yield message("  {command}", command=steps.command)
    if steps.start is not None:
        yield on_a_later_day(steps.day)
        yield message("  {command}", command=steps.start)
