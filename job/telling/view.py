"""View: all that is shown of a day, on its page, in a message, on a terminal and in the log.

The lines of a day are all that is said of it besides its sentence: the terminal prints them, a message cuts them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

from job.config.faults import FaultKind
from job.day.attempt import Outcome, Severity
from job.day.history import NightBefore
from job.day.ledger import Ledger
from job.day.report import PAGE, Report
from job.telling.advice import Commands, Step, advice, page_address
from job.telling.failures import FailureText, failure_texts
from job.telling.notes import notices_of, unrecorded_notes
from job.telling.reporting import FAULTS_LISTED
from job.text.messages import Message, colon, listed, message, plural

Mark = Literal["✓", "✗", "!", " ", ""]
"""Before a line: a success, a failure, a warning, more about the line before, or none."""
SIGNS: Mapping[Severity, Mark] = {"good": "✓", "warn": "!", "bad": "✗"}
"""What a title begins with."""


@dataclass(frozen=True, slots=True)
class View:
    """A day as a person sees it: live, ended, killed, or refused."""

    report: Report
    ledger: Ledger
    """That of an empty plan if the day has none."""
    steps: tuple[Step, ...] = ()
    page: str | None = None
    unrecorded: int | None = None
    """How many results the record lacks, if its end could not be written."""
    undone: tuple[Message, ...] = ()
    """Which nights besides are not done."""
    before: NightBefore | None = None
    was_sent: bool = False
    """Whether whoever reads messages was told of it before, as by a try that Cloud Run repeats."""
    severity_before: Severity | None = None
    """How grave it was before this attempt, or else the night before; `None` if that is not known."""

    @classmethod
    def of(
        cls,
        report: Report,
        ledger: Ledger,
        before: NightBefore | None,
        commands: Commands,
        undone: tuple[Message, ...] = (),
    ) -> "View":
        """What is shown of a report to whom the `commands` are given."""
        return cls(report, ledger, advice(report, ledger, commands), undone=undone, before=before)

    @property
    def groups(self) -> list[FailureText]:
        return failure_texts(self.ledger, self.before, self.report.start)

    def unended(self, unrecorded: int, cards: int, commands: Commands) -> "View":
        """The same if the end could not be written, nor so many results, of which some are made `cards`."""
        notes = unrecorded_notes(self.report, unrecorded, cards)
        report = self.report.model_copy(update={"notes": (*self.report.notes, *notes)})
        steps = advice(report, self.ledger, commands, cards)
        return replace(self, report=report, steps=steps, unrecorded=unrecorded)

    def with_page(self, runs_uri: str | None) -> "View":
        """The same with the address of its page there, if that was written."""
        if runs_uri is None or f"{self.report.day}/{PAGE}" in self.report.not_written:
            return self
        return replace(self, page=page_address(runs_uri, self.report.day))


class Rank(IntEnum):
    """How much a line is needed in a message, if that has to be shortened."""

    ASIDE = -1
    """A message leaves it out: it needs a checkout, or is too much for a chat."""
    DETAIL = 0
    """What failed and why: the last goes first."""
    EXTRA = 1
    """What else one may know or do: the longest goes first, as of `NEXT`."""
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
    is_answer: bool = False
    """Whether it quotes an answer, which is cut before a line is left out."""
    is_of_config: bool = False
    """Whether it is a fault or a notice of the config, which a start says as soon as it knows it."""


def day_lines(view: View, faults: int = FAULTS_LISTED) -> Iterator[Line]:
    """What failed and was answered, what is odd, what it has cost, and what to do next; so many faults of the config.

    Terminal and message have them in this order, and the page the same in a layout of its own; `Rank` only says what a
    message leaves out first.
    """
    report, groups = view.report, view.groups
    yield from (Line(message("{sentence}.", sentence=change), Rank.NEXT, "!") for change in report.changed)
    for group in groups:
        failed = colon(group.heading, listed(group.names)) if group.names else group.heading
        yield Line(message("{sentence}.", sentence=failed), mark="✗")
        yield from (Line(quote, is_answer=True) for quote in group.quotes[:1])
        if group.remedy is not None:
            yield Line(group.remedy)
    if groups:
        yield Line(colon(message("trace id"), report.start.trace_id), Rank.ASIDE)
    elif report.detail is not None and report.outcome is Outcome.STORAGE_FAILED:
        yield Line(message("Last answer: {answer}", answer=report.detail), is_answer=True)
    yield from _fault_lines(report, faults)
    yield from odd_lines(view)
    yield from (Line(undone, Rank.NEXT) for undone in view.undone)
    yield from step_lines(view.steps)
    if view.page is not None:
        yield Line(message("Page: {page}", page=view.page), Rank.NEXT)
    if report.detail is not None and report.outcome is Outcome.BUSY:
        yield Line(report.detail, Rank.ASIDE)


def odd_lines(view: View) -> Iterator[Line]:
    """What is odd, and what it has cost."""
    yield from (Line(note, Rank.EXTRA) for note in view.report.notes)
    for call in view.ledger.errors:
        yield Line(colon(call.label, call.warning or ""), Rank.EXTRA, "!", is_answer=True)
    yield from (Line(notice, mark="!", is_of_config=True) for notice in notices_of(view.ledger.plan))
    if (cost := cost_line(view.ledger)) is not None:
        yield Line(cost, Rank.EXTRA)


def cost_line(ledger: Ledger) -> Message | None:
    """How many tries of the day may have been charged, if these are more than those that made a card."""
    made = sum(call.done for call in ledger.calls["qa"])
    charged = made + sum(call.charged_tries or 0 for call in ledger.calls["qa"])
    if charged <= made:
        return None
    return plural(
        "1 try may have been charged; {made} made a card.",
        "{count} tries may have been charged; {made} made a card.",
        count=charged,
        made=made,
    )


def step_lines(steps: Iterable[Step]) -> Iterator[Line]:
    """What to do, and the commands for it."""
    for step in steps:
        command, rank = step.command, Rank.EXTRA if step.kind == "again" else Rank.NEXT
        if command is not None and command.wants_checkout:
            rank = Rank.ASIDE
        yield Line(step.sentence, rank, command=command.text if command else None)


def _fault_lines(report: Report, count: int) -> Iterator[Line]:
    for fault in report.faults[:count]:
        if fault.kind is FaultKind.COMMAND:  # apart, a message does not cut the way that costs least
            yield Line(colon(fault.where, fault.what), mark="✗", is_of_config=True)
            yield Line(Message("{Remedy}", {"Remedy": fault.remedy}), is_of_config=True)
        else:
            yield Line(fault.sentence, mark="✗", is_of_config=True)
    if more := max(0, len(report.faults) - count) + report.faults_not_listed:
        yield Line(message("and {count} more", count=more), is_of_config=True)
    if report.start.job and any(fault.kind is FaultKind.VARIABLE for fault in report.faults):
        yield Line(message("Who: an owner of the project."))
