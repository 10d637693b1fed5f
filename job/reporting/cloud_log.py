"""Cloud Logging reporter: writes JSON lines to standard output, for runs without a terminal."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic_core import to_json

from job.config.faults import Fault
from job.engines.identity import COMMIT, VERSION, RunIdentity
from job.execution.events import AttemptEnded, CallFinished, CardTypeSetAside, Event
from job.execution.outcome import ExitCode, Outcome, totals_of
from job.execution.progress import RunProgress
from job.records.commands import ways_on
from job.records.comparison import Comparison, comparison_lines
from job.records.groups import then_of
from job.records.inputs import RunInputs
from job.records.results import CallResult
from job.reporting.ending import LAST_WORDS_SECONDS, cut_short
from job.reporting.status import barrier_message, time_status
from job.reporting.stdout import OutputQueue, say_error_within, write_line
from job.text.display import shortened
from job.text.messages import Message, message

Severity = Literal["INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL"]
TEXT_LIMIT = 8_000
"""Maximum characters of a message. A batch may have a thousand answers; Cloud Logging's limit is 256 KiB per entry."""
LISTED = 200
"""Maximum number of failures that the last line lists."""
LISTED_BYTES = 150_000
"""Maximum bytes of these failures together."""
LINE_LIMIT = 2_000
"""Maximum characters of one of them."""
_ERROR = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"


class CloudLogReporter:
    """Writes a line for each event. A line that cannot be written (closed pipe, full disk) does not stop the run.

    A slow reader does not delay the run: while 8 MiB of lines wait for it, lines about single calls are dropped, and
    the last line has their number.
    """

    def __init__(self, run: RunIdentity, project: str | None) -> None:
        self._run = run
        self._output = OutputQueue()
        self._dropped = 0
        self._inputs: RunInputs | None = None
        self._comparison: Comparison | None = None
        self._trace = f"projects/{project}/traces/{run.trace_id}" if project else run.trace_id

    def on_faults(self, faults: Iterable[Fault]) -> None:
        """The configuration has faults; nothing will be called."""
        for fault in faults:
            self._write("ERROR", str(fault), "config.faulty", where=fault.where, what=fault.what, remedy=fault.remedy)

    def on_notices(self, notices: Iterable[Message]) -> None:
        """Warnings about likely mistakes."""
        for notice in notices:
            self._write("NOTICE", str(notice), "config.noticed")

    def on_record(self, inputs: RunInputs) -> None:
        """The run has a record, and these are its inputs."""
        self._inputs = inputs

    def on_start(self, date: str | None, progress: RunProgress) -> None:
        """The run is about to call the data engines."""
        planned = {name: engine.planned for name, engine in progress.engines.items()}
        text = f"run {self._run.id} plans " + ", ".join(f"{engine} {count}" for engine, count in planned.items())
        self._write("INFO", text, "run.started", date=date, planned=planned, version=VERSION, commit=COMMIT)

    def on_barrier(self, progress: RunProgress) -> None:
        """All data is ready; the cards follow."""
        self._write("INFO", str(barrier_message(progress)), "barrier.crossed", cards=progress.cards.planned)

    def on_progress(self, progress: RunProgress, now: float) -> None:
        """Called once a minute: writes the progress."""
        cards, seconds = progress.cards, progress.cards.seconds_left(now)
        text = message(
            "cards: {done} of {planned} done, {failed} failed; {time}",
            done=cards.done + cards.skipped,
            planned=cards.planned,
            failed=cards.failed,
            time=time_status(progress, now),
        )
        engines = {
            name: {"planned": one.planned, "done": one.done, "skipped": one.skipped, "failed": one.failed}
            for name, one in progress.engines.items()
        }
        left = None if seconds is None else round(seconds)
        elapsed = round(now - progress.began)
        self._write("INFO", str(text), "run.progress", engines=engines, elapsed_seconds=elapsed, seconds_left=left)

    def on_event(self, event: Event) -> None:
        """Writes a line for each finished call, each retry, and each card type that is set aside."""
        if isinstance(event, CallFinished):
            self._on_finished(event)
        elif isinstance(event, AttemptEnded) and event.wait is not None and event.failure is not None:
            text = f"{event.call.label}: {event.failure.reason}; again in {event.wait:.1f} s"
            self._write_call("WARNING", text, "call.retried", **_call(event), wait=round(event.wait, 3))
        elif isinstance(event, CardTypeSetAside):
            fields = {"card_type": event.card_type, "remedy": str(event.remedy)}
            self._write("ERROR", str(event.reason), "circuit.opened", **fields)

    def on_storage(self, text: Message, is_fault: bool) -> None:
        """Storage fails or works again."""
        severity: Severity = "ERROR" if is_fault else "NOTICE"
        self._write(severity, str(text), "storage.failed" if is_fault else "storage.recovered")

    def verified(self, known: str, *, done: bool) -> None:
        """Writes the result of `verify`. Blocks until the line is written."""
        write_line(self._line("INFO" if done else "ERROR", known, "run.verified", done=done))

    def on_closed(self, comparison: Comparison | None, *, has_page: bool) -> None:  # noqa: ARG002  the log has no link
        """The run has ended, and its record is closed."""
        self._comparison = comparison

    def on_second_signal(self) -> None:
        """The process is about to end at once: says on standard error how to go on with a recorded run."""
        if self._inputs is not None:
            say_error_within(cut_short(self._inputs), LAST_WORDS_SECONDS)

    def on_finish(self, outcome: Outcome, progress: RunProgress | None) -> None:
        """The last line of the run."""
        done: Severity = "INFO" if outcome.unrecorded is None else "WARNING"
        severity: Severity = done if outcome.exit == 0 else "ERROR"
        fields = {**summary_of(outcome, progress), **error_report(outcome)}
        if outcome.unrecorded is not None:
            fields["unrecorded"] = outcome.unrecorded
        if self._comparison is not None:
            fields["since_last_night"] = since_last_night(self._comparison, outcome)
        if self._dropped:
            fields["lines_dropped"] = self._dropped
        if self._inputs is not None and outcome.exit != ExitCode.DONE:
            then = then_of(CallResult.of(event, 0.0) for event in (progress.failures if progress else ()))
            resume, start = ways_on(self._inputs, then, datetime.now(UTC))
            if resume is not None:
                fields["resume_command"] = resume
            if start is not None:
                fields["start_command"] = start
        self._write(severity, str(outcome.sentence), "run.finished", **fields)

    def on_notification_failed(self, text: Message) -> None:
        """The message about the run was not sent. Only this line may follow `run.finished`."""
        self._write("ERROR", str(text), "notification.failed")

    async def drain(self, seconds: float) -> None:
        """Waits until all lines are written, at most `seconds`."""
        await self._output.drain(seconds)

    def _on_finished(self, event: CallFinished) -> None:
        failure, seconds = event.failure, event.ended - event.started
        fields: dict[str, object] = _call(event)
        fields |= {
            "outcome": "done" if failure is None else "failed",
            "attempts": event.attempts,
            "status": event.status,
            "seconds": round(seconds, 4),
        }
        if failure is None and event.warning is not None:
            fields["warning"] = shortened(str(event.warning), TEXT_LIMIT)
            text = f"{event.call.label}: done in {seconds:.2f} s; {event.warning}"
            self._write_call("WARNING", text, "call.finished", **fields)
            return
        if failure is None:
            self._write_call("INFO", f"{event.call.label}: done in {seconds:.2f} s", "call.finished", **fields)
            return
        reason = str(failure.reason)
        fields |= {"cause": failure.cause, "reason": shortened(reason, TEXT_LIMIT)}
        severity: Severity = "WARNING" if failure.is_interruption else "ERROR"
        self._write_call(severity, f"{event.call.label}: {reason}", "call.finished", **fields)

    def _write_call(self, severity: Severity, text: str, event: str, **fields: object) -> None:
        if self._output.is_full:
            self._dropped += 1
        else:
            self._write(severity, text, event, **fields)

    def _write(self, severity: Severity, text: str, event: str, **fields: object) -> None:
        self._output.write(self._line(severity, text, event, **fields) + b"\n")

    def _line(self, severity: Severity, text: str, event: str, **fields: object) -> bytes:
        line = {
            "severity": severity,
            "message": shortened(text, TEXT_LIMIT),
            "event": event,
            "time": datetime.now(UTC).isoformat(),
            "run": self._run.id,
            "logging.googleapis.com/trace": self._trace,
            **fields,
        }
        try:
            return to_json(line)
        except ValueError:  # a lone surrogate, such as in the name of a file
            return json.dumps(line, ensure_ascii=False).encode(errors="replace")


def summary_of(outcome: Outcome, progress: RunProgress | None) -> Mapping[str, object]:
    """How this attempt at the run ended, and its totals."""
    listed = _listed(progress.failures) if progress else []
    return {
        **totals_of(outcome, progress),
        "failures": listed,
        "failures_not_listed": progress.failed_calls - len(listed) if progress else 0,
        "set_aside": [event.card_type for event in progress.set_aside[:LISTED]] if progress else [],
    }


def since_last_night(comparison: Comparison, outcome: Outcome) -> Mapping[str, object]:
    """The comparison with the night before, in numbers and in sentences."""
    kinds = {name: getattr(comparison, name).count for name in ("new", "added", "still", "mended")}
    lines = [shortened(str(line), LINE_LIMIT) for line in comparison_lines(comparison, outcome.sentence)]
    return {
        "run_id": comparison.run_id,
        "day": comparison.day,
        **kinds,
        "cut_off": comparison.cut_off,
        "not_attempted": comparison.not_attempted,
        "not_compared": comparison.not_compared,
        "gone": comparison.gone,
        "text": lines,
    }


def error_report(outcome: Outcome) -> Mapping[str, object]:
    """The fields that make the last line an entry of Error Reporting: one for each run, not for each card.

    Empty if the run succeeded, and for a bug, whose traceback is on standard error. Error Reporting groups the entries
    by the report location, which holds the outcome since there is no stack.
    """
    if outcome.exit in {ExitCode.DONE, ExitCode.UNFORESEEN}:
        return {}
    location = {"filePath": "job/orchestrator.py", "lineNumber": 1, "functionName": outcome.word}
    return {
        "@type": _ERROR,
        "serviceContext": {"service": "batch-orchestrator", "version": VERSION},
        "context": {"reportLocation": location},
    }


def _listed(failures: Sequence[CallFinished]) -> list[str]:
    left, listed = LISTED_BYTES, []
    for failure in failures[:LISTED]:
        line = shortened(str(failure.summary), LINE_LIMIT)
        left -= len(line.encode(errors="replace"))
        if left < 0:
            break
        listed.append(line)
    return listed


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
