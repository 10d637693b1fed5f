"""Cloud Logging reporter: writes JSON lines to standard output, for programs."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from math import inf
from typing import Literal

from pydantic_core import to_json

from job.config.faults import Fault
from job.engines.calls import Call
from job.engines.identity import COMMIT, VERSION
from job.execution.progress import CallRetried, EngineFailing, EngineRecovered, Event, Progress
from job.ledger.result import CUT_OFF, CallResult
from job.output.reporter import FAILURES, MessageEvent, barrier_message, engine_message, progress_message
from job.output.stdout import LAST_WORDS_SECONDS, OutputQueue, say_error_within, write_line
from job.report.advice import command_of
from job.report.attempt import Start
from job.report.commands import start_fields
from job.report.outcome import ExitCode
from job.report.report import Report, totals_of
from job.report.view import View
from job.text.display import shortened
from job.text.messages import Message

LogSeverity = Literal["INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL"]
TEXT_LIMIT = 8_000
"""Maximum characters of a message. A batch may have a thousand answers; Cloud Logging's limit is 256 KiB per entry."""
_ERROR = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"


class CloudLogReporter:
    """Writes a line for each event. A line that cannot be written (closed pipe, full disk) does not stop the run.

    A slow reader does not delay the run: while 8 MiB of lines wait for it, lines about single calls are dropped, and
    the last line has their number.
    """

    def __init__(self, project: str | None) -> None:
        self._output = OutputQueue()
        self._project = project
        self._about: dict[str, str] = {}
        """The day and its trace, once they are known."""
        self._start: Start | None = None

    def on_faults(self, faults: Iterable[Fault]) -> None:
        """The configuration has faults; nothing will be called."""
        for fault in faults:
            parts = {"where": str(fault.where), "what": str(fault.what), "remedy": str(fault.remedy)}
            self._write("ERROR", str(fault), "config.faulty", **parts)

    def on_message(self, event: MessageEvent, text: Message) -> None:
        """Something that a person should know. Only a message that was not sent may follow `run.finished`."""
        self._write("ERROR" if event in FAILURES else "NOTICE", str(text), event)

    def on_day(self, start: Start) -> None:
        """The day, its trace id and the number of the attempt are known."""
        trace = f"projects/{self._project}/traces/{start.trace_id}" if self._project else start.trace_id
        self._start, self._about = start, {"day": start.day, "logging.googleapis.com/trace": trace}

    def on_start(self, progress: Progress) -> None:
        """The run is about to call the data engines."""
        ledger = progress.ledger
        planned = {engine: ledger.counts(engine).planned for engine in ledger.plan.engines()}
        text = f"{ledger.plan.date} plans " + ", ".join(f"{engine} {count}" for engine, count in planned.items())
        number = self._start.number if self._start is not None else 0
        self._write("INFO", text, "run.started", number=number, planned=planned, version=VERSION, commit=COMMIT)

    def on_barrier(self, progress: Progress) -> None:
        """All data is ready; the cards follow."""
        cards = progress.ledger.counts("qa").planned
        self._write("INFO", str(barrier_message(progress.ledger)), "barrier.crossed", cards=cards)

    def on_progress(self, progress: Progress, now: float) -> None:
        """Called once a minute: writes the progress."""
        counts = {engine: progress.ledger.counts(engine) for engine in progress.gauges}
        text, seconds = progress_message(progress, now), progress.seconds_left("qa", now)
        engines = {
            name: {"planned": one.planned, "done": one.done, "failed": one.failed} for name, one in counts.items()
        }
        left = None if seconds is None else round(seconds)
        elapsed = round(now - progress.began)
        self._write("INFO", str(text), "run.progress", engines=engines, elapsed_seconds=elapsed, seconds_left=left)

    def on_event(self, event: Event) -> None:
        """Writes a line for each finished call, each retry, and each card type that is set aside."""
        if isinstance(event, CallResult):
            self._on_result(event)
        elif isinstance(event, CallRetried):
            wait = round(event.wait, 3) if event.wait < inf else None
            again = "once another card is done" if wait is None else f"in {wait:.1f} s"
            text = f"{event.call.label}: {event.reason}; again {again}"
            fields = _call(event.call, event.limit, event.traceparent)
            self._write_call("WARNING", text, "call.retried", **fields, wait=wait)
        elif isinstance(event, EngineFailing):
            text, seconds = str(engine_message(event)), event.patience
            self._write("WARNING", text, "engine.failing", engine=event.engine, patience_seconds=seconds)
        elif isinstance(event, EngineRecovered):
            text, seconds = str(engine_message(event)), round(event.seconds, 3)
            self._write("NOTICE", text, "engine.recovered", engine=event.engine, seconds=seconds)
        else:
            self._write("ERROR", str(event.reason), "circuit.opened", card_type=event.card_type)

    def verified(self, known: str, *, done: bool) -> None:
        """Writes the result of `verify`. Blocks until the line is written."""
        write_line(self._line("INFO" if done else "ERROR", known, "run.verified", done=done))

    def on_second_signal(self, text: Message | None) -> None:
        """The process is about to end at once: says on standard error how to go on, if there is a way."""
        if text is not None:
            say_error_within(text, LAST_WORDS_SECONDS)

    def on_finish(self, view: View) -> None:
        """The last line of the start. Its totals are those of all attempts at the day."""
        report = view.report
        is_done = report.exit_code == ExitCode.DONE
        done: LogSeverity = "INFO" if view.unrecorded is None and report.severity == "good" else "WARNING"
        # Of a start whose variables are faulty, nothing was said before: no other line names its day.
        fields: dict[str, object] = {"day": report.day, **totals_of(report), **error_report(report)}
        if report.detail is not None:
            fields["detail"] = shortened(str(report.detail), TEXT_LIMIT)
        notes = [*report.notes, *view.comparison]
        if notes:
            fields["notes"] = [shortened(str(note), TEXT_LIMIT) for note in notes]
        if view.unrecorded is not None:
            fields["unrecorded"] = view.unrecorded
        if self._output.dropped:
            fields["lines_dropped"] = self._output.dropped
        if (command := command_of(view.steps, "start")) is not None:
            fields |= start_fields(command)
        self._write(done if is_done else "ERROR", str(report.sentence), "run.finished", **fields)

    async def drain(self, seconds: float) -> None:
        """Waits until all lines are written, at most `seconds`."""
        await self._output.drain(seconds)

    def _on_result(self, result: CallResult) -> None:
        fields = _call(result, result.limit, result.traceparent)
        fields |= {
            "outcome": "done" if result.done else "failed",
            "attempts": result.tries,
            "status": result.status,
            "seconds": round(result.seconds, 3),
        }
        severity: LogSeverity = "INFO"
        text = f"{result.label}: done in {result.seconds:.2f} s"
        if not result.done:
            severity = "WARNING" if result.state == CUT_OFF else "ERROR"
            text = f"{result.label}: {result.reason}"
            fields |= {"cause": result.cause, "reason": shortened(str(result.reason), TEXT_LIMIT)}
        elif result.warning is not None:
            severity, text = "WARNING", f"{text}; {result.warning}"
            fields["warning"] = shortened(str(result.warning), TEXT_LIMIT)
        self._write_call(severity, text, "call.finished", **fields)

    def _write_call(self, severity: LogSeverity, text: str, event: str, **fields: object) -> None:
        if self._output.has_room():
            self._write(severity, text, event, **fields)

    def _write(self, severity: LogSeverity, text: str, event: str, **fields: object) -> None:
        self._output.write(self._line(severity, text, event, **fields) + b"\n")

    def _line(self, severity: LogSeverity, text: str, event: str, **fields: object) -> bytes:
        line = {
            "severity": severity,
            "message": shortened(text, TEXT_LIMIT),
            "event": event,
            "time": datetime.now(UTC).isoformat(),
            **self._about,
            **fields,
        }
        try:
            return to_json(line)
        except ValueError:  # a lone surrogate, such as in the name of a file
            return json.dumps(line, ensure_ascii=False).encode(errors="replace")


def error_report(report: Report) -> Mapping[str, object]:
    """The fields that make the last line an entry of Error Reporting: one for each run, not for each card.

    Empty if the run succeeded, and for a bug, whose traceback is on standard error. Error Reporting groups the entries
    by the report location, which holds the outcome since there is no stack.
    """
    if report.exit_code in {ExitCode.DONE, ExitCode.UNFORESEEN}:
        return {}
    location = {"filePath": "job/orchestrator.py", "lineNumber": 1, "functionName": report.outcome}
    return {
        "@type": _ERROR,
        "serviceContext": {"service": "batch-orchestrator", "version": VERSION},
        "context": {"reportLocation": location},
    }


def _call(call: Call | CallResult, limit: int, traceparent: str) -> dict[str, object]:
    return {
        "engine": call.engine,
        "targets": call.targets,
        "card_type": call.card_type,
        "limit": limit,
        "traceparent": traceparent,
        "logging.googleapis.com/spanId": traceparent[36:52],
    }
