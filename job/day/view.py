"""View: all that is shown of a day, on its page, in a message, on a terminal and in the log."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from job.day.advice import Step, advice
from job.day.attempt import Attempt
from job.day.commands import Commands, page_address
from job.day.comparison import comparison_lines
from job.day.format import PAGE
from job.day.ledger import Ledger
from job.day.notices import unrecorded_note
from job.day.outcome import Severity
from job.day.report import Report
from job.text.messages import Message


@dataclass(frozen=True, slots=True)
class View:
    """A day as a person sees it: live, ended, killed, or refused."""

    report: Report
    ledger: Ledger
    """That of an empty plan if the day has none."""
    steps: tuple[Step, ...] = ()
    """What to do next."""
    comparison: tuple[Message, ...] = ()
    """What is new and gone since the night before, and what is still missing."""
    page: str | None = None
    """The address of its page; `None` if it has none."""
    unrecorded: int | None = None
    """How many results the record lacks, if its end could not be written."""
    follows: Severity | None = None
    """How grave it was before this attempt, or else the night before; `None` if that is not known."""

    @classmethod
    def of(
        cls,
        report: Report,
        ledger: Ledger,
        nights: Sequence[Report],
        before: Attempt | None,
        commands: Commands,
    ) -> "View":
        """What is shown of a report to whom the `commands` are given.

        `nights` are the reports of the nights before it, and `before` is the latest attempt at the one before.
        """
        steps = advice(report, ledger, commands)
        return cls(report, ledger, steps, tuple(comparison_lines(report, ledger, nights, before)))

    def unended(self, unrecorded: int) -> "View":
        """The same if the end could not be written, nor so many results."""
        note = unrecorded_note(unrecorded, is_done=self.ledger.is_complete)
        report = self.report.model_copy(update={"notes": (*self.report.notes, note)})
        return replace(self, report=report, unrecorded=unrecorded)

    def with_page(self, runs_uri: str | None) -> "View":
        """The same with the address of its page there, if that was written."""
        if runs_uri is None or f"{self.report.day}/{PAGE}" in self.report.not_written:
            return self
        return replace(self, page=page_address(runs_uri, self.report.day))
