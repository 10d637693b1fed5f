"""Top of a run's page: the headline, its severity, and when the run was."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from job.ledger.totals import CardTotals
from job.report.comparison import comparison_lines
from job.report.outcome import QA_REFUSES, Outcome, Severity
from job.report.plan_change import plan_lines
from job.report.report import RunReport
from job.text.display import zone_of
from job.text.messages import Message, message, plural, template

_REFUSES = template("The QA engine refuses the job's calls: {missing}")
_COVERED_BY_HEADLINE = {
    Outcome.BAD_CONFIG,
    Outcome.SUCCEEDED,
    Outcome.CARDS_MISSING,
    Outcome.DEADLINE,
    Outcome.INTERRUPTED,
    Outcome.QA_ENGINE_DOWN,
}
"""Outcomes for which the job's sentence adds nothing to the headline."""


def severity(report: RunReport) -> Severity:
    """How severe the outcome is."""
    cut_off = report.engines["qa"].cut_off if "qa" in report.engines else 0
    return "bad" if report.cards.failed > cut_off else report.outcome.about.severity


def headline(report: RunReport) -> Message:
    """The outcome in a few words."""
    cards = report.cards
    if report.outcome is Outcome.BAD_CONFIG:
        return plural(
            "The configuration has 1 fault: nothing was called",
            "The configuration has {count} faults: nothing was called",
            count=len(report.faults) + report.faults_not_listed,
        )
    if report.outcome is Outcome.SUCCEEDED:
        if not cards.planned:
            return message("All data is ready")
        return plural("The card is there", "All {count} cards are there", count=cards.planned)
    if report.outcome is Outcome.DATA_ENGINE_FAILED and cards.missing == cards.planned:
        return message("No card was made: a data engine failed")
    text = _REFUSES if report.sentence.id == QA_REFUSES else report.outcome.about.headline
    return _what_is_missing(cards) if text is None else message(text, missing=_what_is_missing(cards))


def _what_is_missing(cards: CardTotals) -> Message:
    gap = cards.missing
    if not gap:
        return message("not everything is done")
    if cards.planned == 1:
        return message("1 of 1 card is missing")
    return plural(
        "1 of {planned} cards is missing", "{count} of {planned} cards are missing", count=gap, planned=cards.planned
    )


def explanation(report: RunReport) -> Message | None:
    """The job's sentence; `None` if it adds nothing to the headline."""
    says_all = report.outcome in {Outcome.BAD_CONFIG, Outcome.SUCCEEDED} or report.cards.missing
    if report.outcome in _COVERED_BY_HEADLINE and says_all:
        return None
    if report.outcome is Outcome.DATA_ENGINE_FAILED and "reason" in report.sentence.values:
        return message("Reason: {reason}", reason=report.sentence.values["reason"])
    return report.sentence


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
        yield from comparison_lines(comparison, report.sentence)
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
