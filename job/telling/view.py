"""View: all that is shown of a day, on its page, in a message, on a terminal and in the log."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from job.config.faults import FaultKind
from job.day.attempt import Outcome, Severity
from job.day.ledger import Ledger
from job.day.report import PAGE, Report
from job.day.summary import FAULTS_LISTED
from job.storage.uri import address_of
from job.telling.advice import Commands, advice, retried_by
from job.telling.changes import change_of
from job.telling.failures import failure_lines
from job.telling.lines import Line, Rank
from job.telling.notes import notes_of, put_back, was_early
from job.telling.sentence import numbers_of, outcome_of, sentence_of
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
    unrecorded_cards: int = 0
    """How many of these are cards that are made."""
    undone: tuple[Message, ...] = ()
    """Which nights besides are not done."""
    goes_on: bool = False
    """Whether it has failed, and Cloud Run starts it once more by itself."""
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
        is_bad = report.severity == "bad"
        goes_on = is_bad and retried_by(report, commands.now, is_retried=is_retried) is not None
        return cls(report, ledger, tuple(notes_of(report, ledger)), steps, undone=undone, goes_on=goes_on)

    @property
    def severity(self) -> Severity:
        """That of the report. A success whose end is not recorded is odd; so is a failure with which a retry goes on:
        a start and its retry say one ✗ between them.
        """
        is_odd = self.unrecorded is not None if self.report.severity == "good" else self.goes_on
        return "warn" if is_odd else self.report.severity

    @property
    def outcome(self) -> Message:
        return outcome_of(self.report)

    @property
    def numbers(self) -> Message | None:
        return numbers_of(self.report, self.unrecorded_cards)

    @property
    def sentence(self) -> Message:
        """Outcome and numbers in one."""
        return sentence_of(self.report, self.unrecorded_cards)

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
        view = replace(self, unrecorded=unrecorded, unrecorded_cards=cards)
        if view.warning is not None:
            return replace(view, steps=())
        if unrecorded and not cards and "cards" not in self.report.phases:
            text = template("Not recorded, since storage failed: {results}. No card is requested before that is.")
            view = replace(view, notes=(*self.notes, message(text, results=_results(unrecorded))))
        is_retried = self.report.has_retry
        return replace(view, steps=tuple(advice(self.report, self.ledger, commands, cards, is_retried=is_retried)))

    def with_page(self, runs_uri: str | None) -> "View":
        """The same with the address of its page there, if that was written."""
        if runs_uri is None or f"{self.report.day}/{PAGE}" in self.report.not_written:
            return self
        return replace(self, page=address_of(runs_uri, f"{self.report.day}/{PAGE}"))


def day_lines(view: View, faults: int = FAULTS_LISTED) -> Iterator[Line]:
    """What is said of a day after its outcome, in one order for every reader: the numbers; what else changed or is odd;
    the causes, or so many faults of the config; what to do; the links.
    """
    if view.numbers is not None:
        yield Line(message("{Sentence}.", Sentence=view.numbers), Rank.KEPT)
    if (cost := cost_line(view.ledger)) is not None:
        yield Line(cost)
    yield from _change_lines(view)
    yield from _cause_lines(view.report, faults)
    yield from view.steps
    if view.page is not None:
        yield Line(message("Page: {page}", page=view.page), Rank.KEPT)


def _change_lines(view: View) -> Iterator[Line]:
    """What else is not as on other nights: the loudest first."""
    if view.warning is not None:
        yield Line(view.warning, Rank.KEPT, "!")
    yield from (Line(message("{sentence}.", sentence=change), Rank.KEPT, "!") for change in view.changed)
    if (config_changed := put_back(view.report)) is not None:
        yield Line(config_changed, Rank.KEPT)
    for call in view.ledger.errors:
        yield Line(colon(call.label, call.warning or ""), mark="!")
    yield from (Line(note) for note in view.notes)
    yield from _notice_lines(view.ledger.plan.notices)
    yield from (Line(undone, Rank.KEPT) for undone in view.undone)


def _cause_lines(report: Report, faults: int) -> Iterator[Line]:
    """What failed and was answered, or what was refused, and who puts it right."""
    yield from failure_lines(report)
    if not report.failures and report.detail is not None and report.outcome is Outcome.STORAGE_FAILED:
        yield Line(message("Last answer: {answer}", answer=report.detail))
    elif report.why is not None or report.outcome is Outcome.BUSY:
        why = [one for one in (report.why, report.detail) if one is not None]
        yield from (Line(one, Rank.KEPT if one is report.why else Rank.ASIDE) for one in why)
    yield from _fault_lines(report, faults)


def _notice_lines(notices: Sequence[Message]) -> Iterator[Line]:
    """What is odd about the config: the first of it, and a line that counts the others."""
    yield from (Line(notice, mark="!", is_of_config=True) for notice in notices[:NOTICES_LISTED])
    if (more := len(notices) - NOTICES_LISTED) > 0:
        yield Line(message("and {count} more", count=more), mark="!", is_of_config=True)


def cost_line(ledger: Ledger) -> Message | None:
    """How many tries of the day may have been charged, if these are or may be more than those that made a card."""
    made = sum(call.done for call in ledger.calls["qa"])
    charged = made + sum(call.charged_tries for call in ledger.calls["qa"])
    if ledger.breaks_off and charged:
        return plural(
            "At least 1 try may have been charged.", "At least {count} tries may have been charged.", count=charged
        )
    if charged <= made:
        return None
    return plural("1 try may have been charged.", "{count} tries may have been charged.", count=charged)


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
