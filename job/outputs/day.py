"""Page of a day, as words: its headline, its calls, and links to Google's console."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from job.day.advice import Step
from job.day.attempt import Start
from job.day.failures import names_of
from job.day.ledger import Ledger
from job.day.outcome import Outcome, Severity
from job.day.report import Report
from job.day.result import FAILED, CallResult
from job.engines.catalog import ALL_ENGINES
from job.records.nights import Night
from job.text.display import clock, shortened
from job.text.messages import Message, Value, duration, listed, message, plural

CALLS_SHOWN = 400
NAME_LIMIT = 60


@dataclass(frozen=True, slots=True)
class Headline:
    """What both pages say of a day first; or a warning, which is of no day."""

    severity: Severity
    sentence: Message
    day: str | None
    job: Sequence[str] = ()
    """The job and its project, as far as they are known: pages of two of them must not look alike."""
    link: str | None = None
    """The link to the page of the day, if that is another page."""
    when: Message | None = None
    took: Message | None = None
    shrank: Message | None = None
    """How many cards fewer it has than the night before, on the page of the nights: its own page has their names."""
    cause: Message | None = None
    """What the page of the day says under `link` of a failure, whose first names are `failed`."""
    failed: Value = ""
    detail: Message | None = None
    """The answer or the error behind it, if nothing else says it."""
    steps: Sequence[Step] = ()
    next_night: Message | None = None
    """When the next one begins, on the page of the nights."""
    bookmark: str | None = None
    """The link to the page as it is now, in the warning that this one may be old."""
    executions: str | None = None
    """The link to all executions of the job, in that warning."""


def headline_of(night: Night, steps: Sequence[Step], known: Start | None, link: str | None = None) -> Headline:
    """The headline of a day. `known` is a start of its job, as far as one is known."""
    report = night.report
    return Headline(
        severity=night.severity,
        sentence=night.outcome.about.label if report is None else report.sentence,
        day=night.day,
        job=job_of(known),
        link=link,
        when=None if report is None else _when(report),
        took=None if report is None else _took(report),
        detail=night.problem,
        steps=[step for step in steps if step.kind in {"wait", "start", "left_out", "later", "look"}],
    )


def _when(report: Report) -> Message:
    time = clock(datetime.fromisoformat(report.ended or report.started), report.day)
    if report.outcome is Outcome.SUCCEEDED:
        return message("Done at {time}", time=time)
    return message("Ended at {time}", time=time) if report.ended else message("began at {time}", time=time)


def _took(report: Report) -> Message | None:
    if report.number > 1:
        return plural("1 attempt", "{count} attempts", count=report.number)
    if report.number and report.seconds is not None:
        return message("took {took}", took=duration(report.seconds))
    return None


def job_of(start: Start | None) -> Sequence[str]:
    """The job and the project in which it started, as far as they are known; empty on a laptop."""
    return [] if start is None else [name for name in (start.job, start.project) if name is not None]


def names(found: Sequence[str]) -> Value:
    """The first names, and the number of further ones."""
    return listed([shortened(name, NAME_LIMIT) for name in found])


def what(call: CallResult) -> Value:
    """What a call was for."""
    return names(names_of(call.items))


def calls_of(ledger: Ledger) -> Sequence[CallResult]:
    """The calls of a day that are kept, at most `CALLS_SHOWN`: those that failed first, then by engine and time."""
    found = {id(call): call for call in ledger.failed}
    found |= {id(call): call for calls in ledger.calls.values() for call in calls.kept}
    order = sorted(
        found.values(), key=lambda call: (call.state != FAILED, ALL_ENGINES.index(call.engine), call.started)
    )
    return order[:CALLS_SHOWN]


_CONSOLE = "https://console.cloud.google.com"
_MARGIN = timedelta(minutes=5)
"""Added on both sides: an engine may still log after the job has ended."""


def log_link(report: Report, words: str | None = None) -> str | None:
    """The log of the job and of the engines under the day's trace, or only the lines with these words."""
    query = f'trace="projects/{report.project}/traces/{report.trace_id}"'
    if words is not None:
        query += "\n" + '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return _logs(report, query)


def execution_link(report: Report) -> str | None:
    """The log of the execution on Cloud Run, which also has what the job cannot log itself, such as crashes."""
    if report.execution is None:
        return None
    label = 'labels."run.googleapis.com/execution_name"'
    return _logs(report, f'resource.type="cloud_run_job"\n{label}="{report.execution}"')


def executions_link(start: Start) -> str | None:
    """All executions of the job, also those that left nothing."""
    if start.job is None or start.region is None or start.project is None:
        return None
    place = f"{_quoted(start.region)}/{_quoted(start.job)}"
    return f"{_CONSOLE}/run/jobs/details/{place}/executions?project={_quoted(start.project)}"


def trace_link(report: Report) -> str | None:
    """The trace, with the spans of the engines."""
    if report.project is None:
        return None
    return f"{_CONSOLE}/traces/list?project={_quoted(report.project)}&tid={report.trace_id}"


def _logs(report: Report, query: str) -> str | None:
    if report.project is None:
        return None
    began = datetime.fromisoformat(report.began) - _MARGIN
    ended = (datetime.fromisoformat(report.ended) if report.ended else began + timedelta(days=1)) + _MARGIN
    span = _quoted("/".join(f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in (began, ended)))
    return f"{_CONSOLE}/logs/query;query={_quoted(query)};timeRange={span}?project={_quoted(report.project)}"


def _quoted(value: str) -> str:
    return quote(value, safe="", errors="replace")
