"""The end of a run in words, for a terminal: what failed, by cause, and how to go on. Of a run or a recorded one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from job.records.commands import how_to_go_on, missing_command, start_anew
from job.records.groups import FailureGroup, then_of
from job.records.set_aside import SetAsideType
from job.text.display import shortened
from job.text.messages import ENGLISH, NAMED, Message, Translator, message, plural

ANSWERS_SHOWN = 3
"""Last answers of a group; the rest is counted."""
ANSWER_LIMIT = 500
Mark = Literal["✗", "!", " "]


@dataclass(frozen=True, slots=True)
class WayBack:
    """What a reader of the end needs to look further and to go on. `None` for what there is not."""

    run_id: str
    outcome: str
    cards: int
    """Planned."""
    missing: int
    """Cards that are not there."""
    trace_id: str
    page: str | None
    """Where the run's page is."""
    command: str | None
    """What goes on with the run; `None` if it is not recorded."""
    runs_uri: str | None = None
    """As in `RunInputs`."""


def failure_lines(
    groups: Sequence[FailureGroup],
    not_listed: int = 0,
    set_aside: Iterable[SetAsideType] = (),
    translator: Translator = ENGLISH,
) -> Iterator[tuple[Mark, Message]]:
    """Each group once: what failed, the last answers, what to do. `not_listed` is the number of further failures.

    Then each card type that was set aside. Answers are cut as they are long in the translator's language.
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


def way_back_lines(groups: Sequence[FailureGroup], way: WayBack) -> Iterator[Message]:
    """Where to look further, and how to go on with a run that did not do all its work."""
    named = sum(min(group.items, NAMED) for group in groups if group.engine == "qa")
    if way.command is not None and way.missing > named:
        yield plural(
            "1 card is missing; its name: {command}",
            "{count} cards are missing; their names: {command}",
            count=way.missing,
            command=missing_command(way.run_id, way.runs_uri),
        )
    if groups:
        yield message("trace id: {trace}", trace=way.trace_id)
    if way.page is not None:
        yield message("page: {page}", page=way.page)
    if way.command is None:
        yield from start_anew(way.missing if way.missing > named else 0, way.cards - way.missing)
        return
    yield how_to_go_on(way.outcome, then_of(groups), way.cards - way.missing)
    yield message("  {command}", command=way.command)
