"""Parts of a run's page: the headline, the sentences below it, the tables, and links to Google's console."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from job.ledger.ledger import Ledger
from job.ledger.result import CallResult
from job.page.board import NAME_LIMIT
from job.report.comparison import Comparison, comparison_lines, plan_lines
from job.report.failures import FailureGroup
from job.report.outcome import QA_REFUSES, Outcome, Severity
from job.report.report import RunReport
from job.text.display import shortened, zone_of
from job.text.messages import Message, Translator, Value, listed, message, plural, template

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
    if report.cards.failed > cut_off:
        return "bad"
    # All cards are there, and some were not made again.
    is_remade = report.outcome is Outcome.CARDS_MISSING and not report.cards.missing
    return "warn" if is_remade else report.outcome.about.severity


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
    missing = _what_is_missing(report)
    return missing if text is None else message(text, missing=missing)


def _what_is_missing(report: RunReport) -> Message:
    cards, gap = report.cards, report.cards.missing
    if not gap and (left := report.asked_again - report.made_again):
        return plural(
            "All cards are there; 1 was not made again", "All cards are there; {count} were not made again", count=left
        )
    if not gap:
        return message("not everything is done")
    if cards.planned == 1:
        return message("1 of 1 card is missing")
    return plural(
        "1 of {planned} cards is missing", "{count} of {planned} cards are missing", count=gap, planned=cards.planned
    )


def explanation(report: RunReport) -> Message | None:
    """The job's sentence; `None` if it adds nothing to the headline."""
    says_all = report.outcome in {Outcome.BAD_CONFIG, Outcome.SUCCEEDED} or report.cards.missing or report.asked_again
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
            "1 item that was done or tried before is no longer planned: the config was changed, or targets left out. "
            "Its calls are in the timeline, and count as calls and retries.",
            "{count} items that were done or tried before are no longer planned: the config was changed, or targets "
            "left out. Their calls are in the timeline, and count as calls and retries.",
            count=report.left_plan,
        )
    if report.outdated_cards:
        yield plural(
            "1 card was made with a model or parameters that the config has no longer. It stays as it is.",
            "{count} cards were made with a model or parameters that the config has no longer. They stay as they are.",
            count=report.outdated_cards,
        )


OPEN_ROWS = 15
"""A group with more parts is closed at first."""

FAILURES_SHOWN = 1000
"""Failed calls that are shown; further ones are only counted."""
CHANGES: Mapping[str, Message] = {
    "new": message("new"),
    "added": message("new, not planned then"),
    "still": message("still missing"),
    "mended": message("mended"),
}
"""The names of the kinds of changes since the night before, in the order in which they are shown."""
CHANGES_SHOWN = 200
"""Items of each kind that are shown; further ones are only counted."""
ALL_CALLS = 400
"""The table shows all calls of a run that has at most this many."""


def is_cut(comparison: Comparison) -> bool:
    """Whether some changes since the night before are not shown."""
    return any(getattr(comparison, kind).count > CHANGES_SHOWN for kind in CHANGES)


def is_open(parts: Sequence[FailureGroup]) -> bool:
    """Whether the parts of a group are open at first."""
    return len(parts) <= OPEN_ROWS


def names(group: FailureGroup) -> Value:
    """The first targets or cards of a group, and the number of further ones."""
    return listed([shortened(name, NAME_LIMIT) for name in group.names])


def before(call: CallResult, translator: Translator) -> Sequence[tuple[str, int]]:
    """The answers before the last one, each with its count; empty if all were the same as the last."""
    answers = Counter(shortened(translator.text(answer), 120) for answer in call.answers_before)
    if len(answers) == 1 and shortened(translator.text(call.reason or ""), 120) in answers:
        return ()
    return list(answers.items())


def worth_a_look(ledger: Ledger) -> tuple[bool, Sequence[CallResult]]:
    """Whether the table has all calls, and its calls; if not all, these are the retried and the slowest calls."""
    lanes = ledger.lanes.values()
    if sum(map(len, lanes)) <= ALL_CALLS and all(lane.whole for lane in lanes):
        return True, sorted((call for lane in lanes for call in lane.kept), key=lambda call: call.started)
    picked = {id(call): call for lane in lanes for call in lane.retried}
    picked |= {id(call): call for lane in lanes for _, _, call in lane.slowest}
    return False, sorted(picked.values(), key=lambda call: (-len(call.failed_attempts), -call.seconds))


_CONSOLE = "https://console.cloud.google.com"

_MARGIN = timedelta(minutes=5)
"""Added on both sides: an engine may still log after the run has ended."""


def log_link(report: RunReport, words: str | None = None) -> str | None:
    """The log of the job and of the engines under the run's trace, or only the lines with these words."""
    if report.project is None:
        return None
    query = f'trace="projects/{report.project}/traces/{report.trace_id}"'
    if words is not None:
        query += "\n" + '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{_CONSOLE}/logs/query;query={_quoted(query)};timeRange={_range(report)}?project={_quoted(report.project)}"


def execution_link(report: RunReport) -> str | None:
    """The log of the execution on Cloud Run, which also has what the job cannot log itself, such as crashes."""
    if report.project is None or report.execution is None:
        return None
    label = 'labels."run.googleapis.com/execution_name"'
    query = f'resource.type="cloud_run_job"\n{label}="{report.execution}"'
    return f"{_CONSOLE}/logs/query;query={_quoted(query)};timeRange={_range(report)}?project={_quoted(report.project)}"


def trace_link(report: RunReport) -> str | None:
    """The trace, with the spans of the engines."""
    if report.project is None:
        return None
    return f"{_CONSOLE}/traces/list?project={_quoted(report.project)}&tid={report.trace_id}"


def _range(report: RunReport) -> str:
    began = datetime.fromisoformat(report.started) - _MARGIN
    ended = (datetime.fromisoformat(report.ended) if report.ended else began + timedelta(days=1)) + _MARGIN
    return _quoted("/".join(f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in (began, ended)))


def _quoted(value: str) -> str:
    return quote(value, safe="", errors="replace")
