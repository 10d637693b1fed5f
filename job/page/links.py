"""Links to Google's console, for the log and the trace of a run. `None` if the project is not known."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from job.report.report import RunReport

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
