"""View: all that is shown of a day, on its page, in a message, on a terminal and in the log."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from job.config.faults import FaultKind
from job.day.attempt import Outcome, Severity
from job.day.ledger import Ledger
from job.day.report import PAGE, Report
from job.day.summary import FAULTS_LISTED
from job.engines.calls import counted
from job.storage.uri import address_of
from job.telling.advice import Commands, advice
from job.telling.changes import change_of
from job.telling.failures import failure_lines
from job.telling.lines import Line, Rank
from job.telling.notes import notes_of, put_back, was_early
from job.telling.sentence import sentence_of
from job.text.messages import Message, colon, message, plural, template

NOTICES_LISTED = 3


@dataclass(frozen=True, slots=True)
class View:
    """A day as a person sees it: live, ended, killed, or refused."""

    report: Report
    ledger: Ledger
    """That of an empty plan if the day has none."""
    notes: tuple[Message, ...] = ()
    steps: tuple[Line, ...] = ()
    """What to do next."""
    page: str | None = None
    unrecorded: int | None = None
    """How many results the record lacks, if its end could not be written."""
    undone: tuple[Message, ...] = ()
    """Which nights besides are not done."""
    was_sent: bool = False
    """Whether whoever reads messages was told of it before, as by a try that Cloud Run repeats."""
    severity_before: Severity | None = None
    """How grave it was before this attempt, or else the night before; `None` if that is not known."""

    @classmethod
    def of(
        cls,
        report: Report,
        ledger: Ledger,
        commands: Commands,
        undone: tuple[Message, ...] = (),
        *,
        is_retried: bool = False,
    ) -> "View":
        """What is shown of a report to whom the `commands` are given. `is_retried` is as in `advice`."""
        steps = tuple(advice(report, ledger, commands, is_retried=is_retried))
        return cls(report, ledger, tuple(notes_of(report, ledger)), steps, undone=undone)

    @property
    def severity(self) -> Severity:
        """That of the report; a success whose end is not recorded is odd."""
        is_good = self.report.severity == "good"
        return "warn" if is_good and self.unrecorded is not None else self.report.severity

    @property
    def sentence(self) -> Message:
        return sentence_of(self.report)

    @property
    def changed(self) -> list[Message]:
        """What makes a success a warning: that it came too early, and what was changed since the night before."""
        report = self.report
        changes = [change_of(change, report.compared_with or report.day) for change in report.loud_changes]
        return [was_early(report), *changes] if report.was_early else changes

    @property
    def warning(self) -> Message | None:
        """That nobody is to start it again, since a success is not wholly recorded: no other sentence saves so much."""
        if not self.unrecorded or self.report.outcome is not Outcome.SUCCEEDED:
            return None
        return message(
            "Do not start it again: all work is done, but {results} could not be recorded, and a start would request "
            "that again. If verify and its alert say that this day is not done, ignore that.",
            results=_results(self.unrecorded),
        )

    def unended(self, unrecorded: int, cards: int, commands: Commands) -> "View":
        """The same if the end could not be written, nor so many results, of which some are made `cards`.

        Cloud Run's retry goes on then, since it does not know how this start ended.
        """
        view = replace(self, unrecorded=unrecorded)
        if view.warning is not None:
            return replace(view, steps=())
        note = None
        if cards:
            text = template("Made, but not recorded: {cards}. The next start makes that again, and may pay twice.")
            note = message(text, cards=counted("qa", cards))
        elif unrecorded and "cards" not in self.report.phases:
            text = template("Not recorded, since storage failed: {results}. No card is requested before that is.")
            note = message(text, results=_results(unrecorded))
        if note is not None:
            view = replace(view, notes=(*self.notes, note))
        is_retried = self.report.has_retry
        return replace(view, steps=tuple(advice(self.report, self.ledger, commands, cards, is_retried=is_retried)))

    def with_page(self, runs_uri: str | None) -> "View":
        """The same with the address of its page there, if that was written."""
        if runs_uri is None or f"{self.report.day}/{PAGE}" in self.report.not_written:
            return self
        return replace(self, page=address_of(runs_uri, f"{self.report.day}/{PAGE}"))


def day_lines(view: View, faults: int = FAULTS_LISTED) -> Iterator[Line]:
    """What failed and was answered, what is odd, what it has cost, and what to do next; so many faults of the config.

    Every reader has them in this order, after the sentence.
    """
    report, detail = view.report, view.report.detail
    if view.warning is not None:
        yield Line(view.warning, Rank.KEPT, "!")
    yield from (Line(message("{sentence}.", sentence=change), Rank.KEPT, "!") for change in view.changed)
    yield from failure_lines(report)
    if not report.failures and detail is not None and report.outcome is Outcome.STORAGE_FAILED:
        yield Line(message("Last answer: {answer}", answer=detail))
    yield from _fault_lines(report, faults)
    yield from (Line(note) for note in view.notes)
    if (config_changed := put_back(report)) is not None:
        yield Line(config_changed, Rank.KEPT)
    for call in view.ledger.errors:
        yield Line(colon(call.label, call.warning or ""), mark="!")
    yield from _notice_lines(view.ledger.plan.notices)
    if (cost := cost_line(view.ledger)) is not None:
        yield Line(cost)
    yield from (Line(undone, Rank.KEPT) for undone in view.undone)
    yield from view.steps
    if view.page is not None:
        yield Line(message("Page: {page}", page=view.page), Rank.KEPT)
    if detail is not None and report.outcome is Outcome.BUSY:
        yield Line(detail, Rank.ASIDE)


def _notice_lines(notices: Sequence[Message]) -> Iterator[Line]:
    """What is odd about the config: the first of it, and a line that counts the others."""
    yield from (Line(notice, mark="!", is_of_config=True) for notice in notices[:NOTICES_LISTED])
    if (more := len(notices) - NOTICES_LISTED) > 0:
        yield Line(message("and {count} more", count=more), mark="!", is_of_config=True)


def cost_line(ledger: Ledger) -> Message | None:
    """How many tries of the day may have been charged, if these are or may be more than those that made a card."""
    made = sum(call.done for call in ledger.calls["qa"])
    charged = made + sum(call.charged_tries for call in ledger.calls["qa"])
    text = template("{tries} may have been charged; {made} made a card.")
    if ledger.breaks_off:
        text = template("At least {tries} may have been charged; at least {made} made a card.")
    elif charged <= made:
        return None
    return message(text, tries=plural("1 try", "{count} tries", count=charged), made=made) if charged else None


def _results(count: int) -> Message:
    return plural("1 result", "{count} results", count=count)


def _fault_lines(report: Report, count: int) -> Iterator[Line]:
    for fault in report.faults[:count]:
        if fault.kind is FaultKind.COMMAND:  # apart, a message does not cut the way that costs least
            yield Line(colon(fault.where, fault.what), mark="✗", is_of_config=True)
            yield Line(Message("{Remedy}", {"Remedy": fault.remedy}), is_of_config=True)
        else:
            yield Line(fault.sentence, mark="✗", is_of_config=True)
    if more := max(0, len(report.faults) - count) + report.faults_not_listed:
        yield Line(message("and {count} more", count=more), is_of_config=True)
    if report.job and any(fault.kind is FaultKind.VARIABLE for fault in report.faults):
        yield Line(message("Who: an owner of the project."))
