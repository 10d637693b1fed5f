"""View: all that is shown of a day, on its page, in a message, on a terminal and in the log."""

from dataclasses import dataclass

from job.ledger.ledger import Ledger
from job.report.advice import Step
from job.report.report import Report
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
    """What is new since the night before, what is still missing, and whether it was slow."""
    page: str | None = None
    """The address of its page; `None` if it has none."""
    unrecorded: int | None = None
    """How many results the record lacks, if its end could not be written."""
    is_news: bool = True
    """Whether a message is sent."""
