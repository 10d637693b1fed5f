"""The log of a run that nobody watches: one JSON object a line on standard output, as Cloud Logging reads them."""

import traceback
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal, NoReturn

from pydantic_core import to_json

from job.config.faults import Fault
from job.engines.failures import Cause
from job.execution.events import AttemptEnded, CallFinished, Event, summary_of
from job.execution.outcome import ExitCode, Outcome
from job.execution.progress import EngineProgress, RunProgress
from job.identity import COMMIT, VERSION, RunIdentity
from job.reporting.stdout import write_line
from job.text import shortened

Severity = Literal["INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL"]


TEXT_LIMIT = 8_000
"""Characters of a message: an entry of Cloud Logging has 256 KiB at the most, a batch may have a thousand answers."""


class CloudLogReporter:
    """Writes what happens. A line that cannot be written (a closed pipe, a full disk) never stops the run."""

    def __init__(self, run: RunIdentity, project: str | None) -> None:
        self._run = run
        self._trace = f"projects/{project}/traces/{run.trace_id}" if project else run.trace_id

    def on_faults(self, faults: Iterable[Fault]) -> None:
        """The configuration is at fault; nothing will be called."""
        for fault in faults:
            self._write("ERROR", str(fault), "config.faulty", where=fault.where, what=fault.what, remedy=fault.remedy)

    def on_notices(self, notices: Iterable[str]) -> None:
        """What the user may not have meant, though it can be done."""
        for notice in notices:
            self._write("NOTICE", notice, "config.noticed")

    def on_start(self, date: str | None, progress: RunProgress) -> None:
        """The run is about to call the data engines."""
        planned = {engine: account.planned for engine, account in progress.engines.items()}
        message = f"run {self._run.id} plans " + ", ".join(f"{engine} {count}" for engine, count in planned.items())
        self._write("INFO", message, "run.started", date=date, planned=planned, version=VERSION, commit=COMMIT)

    def on_barrier(self, progress: RunProgress) -> None:
        """All data are there; the cards follow."""
        self._write("INFO", "all data are prepared; the cards follow", "barrier.crossed", cards=progress.cards.planned)

    def on_event(self, event: Event) -> None:
        """A line for each call that has finished, and for each retry."""
        if isinstance(event, CallFinished):
            self._finished(event)
        elif isinstance(event, AttemptEnded) and event.wait is not None and event.failure is not None:
            message = f"{event.call.label}: {event.failure.text}; again in {event.wait:.1f} s"
            self._write("WARNING", message, "call.retried", **_call(event), wait=round(event.wait, 3))

    def on_storage(self, text: str, wrong: bool) -> None:
        """Storage is in trouble, or works again."""
        self._write("ERROR" if wrong else "NOTICE", text, "storage.failed" if wrong else "storage.recovered")

    def verified(self, known: str, *, done: bool) -> None:
        """What is known of today's run."""
        self._write("INFO" if done else "ERROR", known, "run.verified", done=done)

    def on_finish(self, outcome: Outcome, progress: RunProgress | None) -> None:
        """The run's last line."""
        severity: Severity = "INFO" if outcome.exit == 0 else "ERROR"
        fields = {**report_of(outcome, progress), **error_report(outcome)}
        self._write(severity, outcome.sentence, "run.finished", **fields)

    def _finished(self, event: CallFinished) -> None:
        failure = event.failure
        fields: dict[str, object] = _call(event)
        fields |= {
            "outcome": "done" if failure is None else "failed",
            "attempts": event.attempts,
            "status": event.status,
            "seconds": round(event.ended - event.started, 4),
        }
        if failure is None:
            self._write(
                "INFO", f"{event.call.label}: done in {event.ended - event.started:.2f} s", "call.finished", **fields
            )
        else:
            severity: Severity = "WARNING" if failure.cause is Cause.INTERRUPTED else "ERROR"
            fields |= {"cause": failure.cause, "reason": shortened(failure.text, TEXT_LIMIT)}
            self._write(severity, f"{event.call.label}: {failure.text}", "call.finished", **fields)

    def _write(self, severity: Severity, message: str, event: str, **fields: object) -> None:
        line = {
            "severity": severity,
            "message": shortened(message, TEXT_LIMIT),
            "event": event,
            "time": datetime.now(UTC).isoformat(),
            "run": self._run.id,
            "logging.googleapis.com/trace": self._trace,
            **fields,
        }
        write_line(to_json(line))


def _call(event: CallFinished | AttemptEnded) -> dict[str, object]:
    call = event.call
    return {
        "engine": call.engine,
        "targets": call.targets,
        "card_type": call.card_type,
        "limit": event.limit,
        "traceparent": event.traceparent,
        "logging.googleapis.com/spanId": event.traceparent[36:52],
    }


LISTED = 200
"""Failures that are told one by one."""


LISTED_BYTES = 150_000
"""And no more than so much of them: an entry of Cloud Logging has 256 KiB at the most."""


LINE_LIMIT = 2_000
"""Characters of one of them: a batch may have a thousand answers."""


def report_of(outcome: Outcome, progress: RunProgress | None) -> dict[str, object]:
    """How the run ended, and its accounts."""
    failures = progress.failures if progress else []
    listed = _listed(failures)
    return {
        "outcome": outcome.word,
        "exit_code": int(outcome.exit),
        "cards": _card_totals(progress.cards if progress else EngineProgress(0)),
        "engines": {name: _engine_totals(account) for name, account in progress.engines.items()} if progress else {},
        "failures": listed,
        "failures_not_listed": len(failures) - len(listed),
    }


def _listed(failures: Sequence[CallFinished]) -> list[str]:
    left, listed = LISTED_BYTES, []
    for failure in failures[:LISTED]:
        line = shortened(summary_of(failure), LINE_LIMIT)
        left -= len(line.encode(errors="replace"))
        if left < 0:
            break
        listed.append(line)
    return listed


def _card_totals(account: EngineProgress) -> dict[str, int]:
    """The account of the cards; the last four add up to the first."""
    return {
        "planned": account.planned,
        "generated": account.done,
        "skipped": account.skipped,
        "failed": account.failed,
        "not_attempted": account.not_attempted,
    }


def _engine_totals(account: EngineProgress) -> dict[str, object]:
    return {
        "planned": account.planned,
        "done": account.done,
        "skipped": account.skipped,
        "failed": account.failed,
        "not_attempted": account.not_attempted,
        "calls": account.calls,
        "retries": account.retries,
        "p50_seconds": account.percentile(50),
        "p95_seconds": account.percentile(95),
    }


_TYPE = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"


STACK_LIMIT = 20_000
"""Characters, of the stack's end: an entry of Cloud Logging has 256 KiB at the most."""


SENTENCE_LIMIT = 2_000


class RunFailedError(Exception):
    """A run did not do all that it was to do."""


def error_report(outcome: Outcome) -> dict[str, object]:
    """The fields that make a log line an error; none where the run did its work, or where the error is out already."""
    if outcome.exit in {ExitCode.DONE, ExitCode.UNFORESEEN}:  # the traceback of a bug is on standard error
        return {}
    return {
        "@type": _TYPE,
        "serviceContext": {"service": "batch-orchestrator", "version": VERSION},
        "stack_trace": _stack(outcome),
    }


def _stack(outcome: Outcome) -> str:
    if outcome.error is not None:
        return _cut(outcome.error)
    try:
        _fail(outcome)
    except RunFailedError as error:
        return _cut(error)


def _fail(outcome: Outcome) -> NoReturn:
    raise RunFailedError(shortened(outcome.sentence, SENTENCE_LIMIT))


def _cut(error: Exception) -> str:
    """The beginning tells a stack, the end tells the error."""
    lines = "".join(traceback.format_exception(error))
    if len(lines) <= STACK_LIMIT:
        return lines
    return f"{lines[: STACK_LIMIT // 2]}…\n…{lines[-STACK_LIMIT // 2 :]}"
