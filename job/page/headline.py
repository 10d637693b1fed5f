"""Top of a run's page: the headline, its severity, and when the run was."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from job.engines.failures import Cause
from job.execution.outcome import QA_REFUSES
from job.execution.progress import CardTotals
from job.records.comparison import comparison_lines
from job.records.plan_change import plan_lines
from job.records.report import KILLED, REFUSED, RUNNING, UNFINISHED, RunReport
from job.text.display import zone_of
from job.text.messages import Message, message, plural, template

Severity = Literal["good", "warn", "bad"]

_BY_OUTCOME = {
    "deadline": template("The deadline passed: {missing}"),
    "interrupted": template("Interrupted: {missing}"),
    "lease_lost": template("Stopped: the lease was lost: {missing}"),
    "qa_engine_down": template("The QA engine is down: {missing}"),
    "unforeseen": template("The job has a bug: {missing}"),
    UNFINISHED: template("Not finished (running or killed): {missing}"),
}
_REFUSES = template("The QA engine refuses the job's calls: {missing}")

_COVERED_BY_HEADLINE = {REFUSED, "succeeded", "cards_missing", "deadline", "interrupted", "qa_engine_down"}
"""Outcomes for which the job's sentence adds nothing to the headline."""
_BY_SENTENCE = {RUNNING: template("At work: {missing}"), KILLED: template("Killed: {missing}")}
RESUMABLE = {"interrupted", UNFINISHED, "deadline", "lease_lost"}
"""Outcomes of a run that only has to be resumed; nothing has to be repaired first."""


def severity(report: RunReport) -> Severity:
    """How severe the outcome is."""
    if report.outcome == "succeeded":
        return "good"
    cut_off = sum(call.engine == "qa" and call.cause == Cause.INTERRUPTED for call in report.failures)
    return "warn" if report.outcome in RESUMABLE and report.cards.failed == cut_off else "bad"


def headline(report: RunReport) -> Message:
    """The outcome in a few words."""
    cards = report.cards
    if report.outcome == REFUSED:
        return plural(
            "The configuration has 1 fault: nothing was called",
            "The configuration has {count} faults: nothing was called",
            count=len(report.faults) + report.faults_not_listed,
        )
    if report.outcome == "succeeded":
        if not cards.planned:
            return message("All data is ready")
        return plural("The card is there", "All {count} cards are there", count=cards.planned)
    if report.outcome == "data_engine_failed" and missing(cards) == cards.planned:
        return message("No card was made: a data engine failed")
    if report.sentence_message is not None and report.sentence_message.id == QA_REFUSES:
        text: str | None = _REFUSES
    elif report.sentence_message is not None and report.sentence_message.id in _BY_SENTENCE:
        text = _BY_SENTENCE[report.sentence_message.id]
    else:
        text = _BY_OUTCOME.get(report.outcome)
    return _what_is_missing(cards) if text is None else message(text, missing=_what_is_missing(cards))


def _what_is_missing(cards: CardTotals) -> Message:
    gap = missing(cards)
    if not gap:
        return message("not everything is done")
    if cards.planned == 1:
        return message("1 of 1 card is missing")
    return plural(
        "1 of {planned} cards is missing", "{count} of {planned} cards are missing", count=gap, planned=cards.planned
    )


def explanation(report: RunReport) -> Message | str | None:
    """The job's sentence; `None` if it adds nothing to the headline."""
    sentence = report.sentence_message
    if report.outcome in _COVERED_BY_HEADLINE and (report.outcome in {REFUSED, "succeeded"} or missing(report.cards)):
        return None
    if report.outcome == "data_engine_failed" and sentence is not None and "reason" in sentence.values:
        return message("Reason: {reason}", reason=sentence.values["reason"])
    return sentence or report.sentence


def missing(cards: CardTotals) -> int:
    """The number of planned cards that are not made."""
    return cards.planned - cards.generated


@dataclass(frozen=True, slots=True)
class Period:
    """Start and end of a run, formatted for people."""

    began: str
    """The start, with a date only if that is not the day that the run is for."""
    ended: str | None
    """The end, with a date only if it differs from that of the start; `None` if the run has not ended."""
    zone: str
    """The time zone of all times of the run."""


def period(report: RunReport) -> Period:
    """When the run was."""
    began, zone = datetime.fromisoformat(report.started), zone_of(datetime.fromisoformat(report.started))
    start = _time(began, report.day)
    if report.ended is None:
        return Period(start, None, zone)
    return Period(start, _time(datetime.fromisoformat(report.ended), began.date().isoformat()), zone)


def _time(moment: datetime, day: str) -> str:
    """The time of day, with the date unless that is `day`."""
    return f"{moment:%H:%M:%S}" if moment.date().isoformat() == day else f"{moment:%Y-%m-%d %H:%M:%S}"


def since_lines(report: RunReport) -> Iterator[Message]:
    """The comparison with the night before, in sentences; nothing without one."""
    comparison = report.since_last_night
    if comparison is not None:
        yield from comparison_lines(comparison, report.sentence_message or report.sentence)
        if comparison.plan is not None:
            yield from plan_lines(comparison.plan, comparison.day)


def plan_notes(report: RunReport) -> Iterator[Message]:
    """The effects of a config change between the attempts at the run, in sentences."""
    if report.left_plan:
        yield plural(
            "The config was changed: 1 item that was done or tried before is no longer planned. Its calls are in the "
            "timeline, and count as calls and retries.",
            "The config was changed: {count} items that were done or tried before are no longer planned. Their calls "
            "are in the timeline, and count as calls and retries.",
            count=report.left_plan,
        )
    if report.outdated_cards:
        yield plural(
            "1 card was made with a model or parameters that the config has no longer. It stays as it is.",
            "{count} cards were made with a model or parameters that the config has no longer. They stay as they are.",
            count=report.outdated_cards,
        )
