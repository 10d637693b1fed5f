"""Lines of a day: all that is said of it besides its sentence. The terminal prints them, a message cuts them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from job.day.advice import Step
from job.day.cards import complete_line
from job.day.failures import failure_groups, not_reached
from job.day.notices import notices_of
from job.day.outcome import Mark
from job.day.report import FAULTS_LISTED, Report
from job.day.view import View
from job.text.messages import Message, colon, listed, message


class Rank(IntEnum):
    """How much a line is needed in a message, if that has to be shortened."""

    ASIDE = -1
    """In no message: it quotes an answer, its reader has no checkout, or it is more than one reads there."""
    DETAIL = 0
    """What failed and why: the last goes first."""
    EXTRA = 1
    """What else one may know or do: the longest goes first. So it is for the next rank."""
    NEXT = 2
    """What to do next, and where to read more."""
    KEPT = 3
    """How the day stands."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, and perhaps a command below it, which goes with it."""

    text: Message
    rank: Rank = Rank.DETAIL
    mark: Mark = ""
    command: str | None = None
    """For a shell."""
    what_to_do: Message | None = None
    """About what failed, as a sentence."""
    is_of_config: bool = False
    """Whether it is a fault or a notice of the config, which a start says as soon as it knows it."""


def day_lines(view: View, faults: int = FAULTS_LISTED) -> Iterator[Line]:
    """What failed, what is odd, how the day compares and what to do next; so many faults of the config."""
    report, ledger = view.report, view.ledger
    groups = failure_groups(ledger)
    if (complete := complete_line(ledger)) is not None:
        yield Line(complete, Rank.ASIDE)
    yield from (Line(note, Rank.EXTRA) for note in report.notes)
    for group in groups:
        failed = colon(group.heading, listed(group.names)) if group.names else group.heading
        yield Line(failed, mark="✗", what_to_do=group.what_to_do)
        for answer in group.answers:
            yield Line(message("Last answer: {answer}", answer=answer), Rank.ASIDE, " ")
    for one in report.set_aside:
        yield Line(message("{sentence}.", sentence=one.reason), mark="✗")
    if groups and (counts := not_reached(ledger)) is not None:
        text = message("Not reached because of this, with nothing to put right: {counts}", counts=counts)
        yield Line(text, Rank.ASIDE)
    if groups:
        yield Line(colon(message("trace id"), report.trace_id), Rank.EXTRA)
    yield from (Line(error, Rank.ASIDE, "!") for error in ledger.first_errors)
    yield from map(Line, view.comparison)
    yield from _fault_lines(report, faults)
    yield from (Line(notice, mark="!", is_of_config=True) for notice in notices_of(ledger.plan))
    yield from step_lines(view.steps)
    if view.page is not None:
        yield Line(message("Page: {page}", page=view.page), Rank.NEXT)
    if report.detail is not None and not groups:  # else the answers are above
        yield Line(report.detail, Rank.ASIDE)


def step_lines(steps: Iterable[Step]) -> Iterator[Line]:
    """What to do, and the commands for it; those for later are left out, as this is read now."""
    for step in steps:
        command, rank = step.command, Rank.EXTRA if step.kind in {"without", "variables"} else Rank.NEXT
        if command is not None and command.wants_checkout:
            rank = Rank.ASIDE
        if step.kind != "later":
            yield Line(step.sentence, rank, command=command.text if command else None)


def _fault_lines(report: Report, count: int) -> Iterator[Line]:
    for fault in report.faults[:count]:
        yield Line(fault.sentence, mark="✗", is_of_config=True)
    if more := max(0, len(report.faults) - count) + report.faults_not_listed:
        yield Line(message("and {count} more", count=more), is_of_config=True)
