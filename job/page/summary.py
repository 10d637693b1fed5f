"""The outcome of a run at a glance: how severe it is, the headline, and when the run was."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from job.engines.failures import Cause
from job.execution.outcome import QA_REFUSES
from job.execution.progress import CardTotals
from job.messages import Message
from job.records.comparison import comparison_lines
from job.records.plan_change import plan_lines
from job.records.report import REFUSED, UNFINISHED, RunReport
from job.text import counted

Severity = Literal["good", "warn", "bad"]

_LEADS = {
    "deadline": "The deadline passed",
    "interrupted": "Interrupted",
    "lease_lost": "Stopped: the lease was lost",
    "qa_engine_down": "The QA engine is down",
    "unforeseen": "The job has a bug",
    UNFINISHED: "Not finished (running or killed)",
}

RESUMABLE = {"interrupted", UNFINISHED, "deadline", "lease_lost"}
"""Outcomes of a run that only has to be resumed: nothing is to be repaired first."""


def severity(report: RunReport) -> Severity:
    """How severe the outcome is."""
    if report.outcome == "succeeded":
        return "good"
    cut_off = sum(call.engine == "qa" and call.cause == Cause.INTERRUPTED for call in report.failures)
    return "warn" if report.outcome in RESUMABLE and report.cards.failed == cut_off else "bad"


def headline(report: RunReport) -> str:
    """The outcome in a few words."""
    cards = report.cards
    if report.outcome == REFUSED:
        return report.sentence.removesuffix(".")
    if report.outcome == "succeeded":
        if not cards.planned:
            return "All data is ready"
        return "The card is there" if cards.planned == 1 else f"All {cards.planned:,} cards are there"
    gap = missing(cards)
    if report.outcome == "data_engine_failed" and gap == cards.planned:
        return "No card was made: a data engine failed"
    lead = f"{_LEADS[report.outcome]}: " if report.outcome in _LEADS else ""
    if report.sentence_message is not None and report.sentence_message.id == QA_REFUSES:
        lead = "The QA engine refuses the job's calls: "
    if not gap:
        return f"{lead}not everything is done"
    return f"{lead}{gap:,} of {counted(cards.planned, 'card')} {'is' if gap == 1 else 'are'} missing"


def missing(cards: CardTotals) -> int:
    """Cards that were planned and are not there."""
    return cards.planned - cards.generated


@dataclass(frozen=True, slots=True)
class Period:
    """When a run was, as people write it."""

    began: str
    ended: str | None
    """With its day only if the run began on another; `None` if it has not ended."""
    zone: str
    """The time zone of all times of the run."""


def period(report: RunReport) -> Period:
    """When the run was."""
    began = datetime.fromisoformat(report.started)
    zone = began.tzname() or "UTC"
    if report.ended is None:
        return Period(f"{began:%Y-%m-%d %H:%M:%S}", None, zone)
    ended = datetime.fromisoformat(report.ended)
    pattern = "%H:%M:%S" if ended.date() == began.date() else "%Y-%m-%d %H:%M:%S"
    return Period(f"{began:%Y-%m-%d %H:%M:%S}", f"{ended:{pattern}}", zone)


def since_lines(report: RunReport) -> Iterator[Message]:
    """How the run compares with the night before, in sentences; nothing if there is none to compare it with."""
    comparison = report.since_last_night
    if comparison is not None:
        yield from comparison_lines(comparison, report.sentence_message or report.sentence)
        if comparison.plan is not None:
            yield from plan_lines(comparison.plan, comparison.day)
