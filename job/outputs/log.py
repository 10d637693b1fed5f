"""Log: what is said of a start, each event once: on a terminal, or as JSON lines, as Cloud Logging reads them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Protocol

from pydantic_core import to_json

from job.config.faults import Fault
from job.day.attempt import ExitCode, Start
from job.day.report import Report
from job.day.result import CallResult, Counts
from job.engines.calls import ENGINES, Call, EngineName, counted
from job.engines.identity import COMMIT, VERSION
from job.execution.progress import CallRetried, EngineFailing, Event, Progress
from job.outputs.stdout import OutputQueue
from job.telling.advice import start_fields
from job.telling.failures import reason_of
from job.telling.fields import totals_of
from job.telling.sentence import waited_for_data
from job.telling.view import View
from job.text.messages import Message, Value, colon, duration, message, plural, semicolon
from job.text.shown import clock, shortened

LogSeverity = Literal["INFO", "NOTICE", "WARNING", "ERROR"]
MessageEvent = Literal["config.noticed", "run.waiting", "storage.failed", "storage.recovered", "notification.failed"]
"""An event that is a sentence, and no more."""
TEXT_LIMIT = 8_000
"""Maximum characters of a text. A batch may have a thousand answers; Cloud Logging's limit is 256 KiB per entry."""
_ERROR = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"


class LogLine(NamedTuple):
    severity: LogSeverity
    event: str
    words: Value
    fields: Mapping[str, object]
    shown: Message | None = None
    """What a terminal prints of it; `None` if that is nothing."""


class Writer(Protocol):
    output: OutputQueue

    def write(self, line: LogLine) -> None: ...
    def begin(self, progress: Progress) -> None: ...
    def end(self, view: View) -> None: ...


class Reporter:
    """Reports a start to its user while it is in progress, and its end."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._start: Start | None = None
        self._about: Mapping[str, object] = {}
        """The day and its trace, once they are known: fields of every line."""

    def on_faults(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            parts = {"where": str(fault.where), "what": str(fault.what), "remedy": str(fault.remedy)}
            self._say("ERROR", "config.faulty", fault.sentence, **parts)

    def on_notices(self, notices: Iterable[Message]) -> None:
        for notice in notices:
            self.on_message("config.noticed", notice)

    def on_message(self, event: MessageEvent, text: Message) -> None:
        """Something that a person should know. Only a message that was not sent may follow `run.finished`."""
        self._say("ERROR" if event.endswith(".failed") else "NOTICE", event, text)

    def on_day(self, start: Start) -> None:
        trace = f"projects/{start.project}/traces/{start.trace_id}" if start.project else start.trace_id
        self._start, self._about = start, {"day": start.day, "logging.googleapis.com/trace": trace}

    def on_start(self, progress: Progress) -> None:
        plan = progress.ledger.plan
        planned = {engine: progress.ledger.counts(engine).planned for engine in plan.engines()}
        number = self._start.number if self._start else 0
        fields = {"number": number, "planned": planned, "version": VERSION, "commit": COMMIT}
        self._say("INFO", "run.started", colon(plan.date, counted("qa", planned.get("qa", 0))), **fields)
        self._writer.begin(progress)

    def on_barrier(self, progress: Progress) -> None:
        self._say("INFO", "barrier.crossed", message("All data is ready"), cards=progress.ledger.counts("qa").planned)

    def on_progress(self, progress: Progress, now: float) -> None:
        """Called once a minute."""
        counts = _counts(progress)
        engines = {
            name: {"planned": total.planned, "done": total.done, "failed": total.failed}
            for name, total in counts.items()
        }
        seconds = progress.seconds_left("qa", now)
        times = {
            "elapsed_seconds": round(now - progress.began),
            "seconds_left": None if seconds is None else round(seconds),
        }
        self._say("INFO", "run.progress", progress_message(progress, now), engines=engines, **times)

    def on_event(self, event: Event) -> None:
        if isinstance(event, CallResult):
            self._write(_finished(event))
        elif isinstance(event, CallRetried):
            fields = _call(event.call, event.limit, event.traceparent) | {"wait": round(event.wait, 3)}
            again = f"again in {event.wait:.0f} s at the earliest" if event.wait >= 1 else "again when it is its turn"
            text = f"{event.call.label}: {event.reason}; {again}"
            self._write(LogLine("WARNING", "call.retried", text, fields))
        elif isinstance(event, EngineFailing):
            self._on_failing(event)
        else:
            label, time = ENGINES[event.engine].label, duration(event.seconds)
            words = message("The {engine} engine works again, after {time}", engine=label, time=time)
            fields = {"engine": event.engine, "seconds": round(event.seconds, 3)}
            self._say("NOTICE", "engine.recovered", words, **fields)

    def _on_failing(self, event: EngineFailing) -> None:
        """With `alerts`, a mail leads here: it has to say what it costs, and by when this start ends."""
        start = self._start
        if start is None:
            raise AssertionError("no call is made before the day is known")
        since = datetime.fromtimestamp(event.since, start.offset)
        ends = datetime.fromtimestamp(event.fails_by, start.offset)
        if start.ends_by is not None:
            ends = min(ends, start.ends_by)
        text = message(
            "The {engine} engine has been out since {since}: {reason}. If it stays out, this start ends by {end}; the "
            "execution may be cancelled."
        )
        if event.charged_tries:
            text = plural(
                "The {engine} engine has been out since {since}: {reason}. 1 try may have been charged. If it stays "
                "out, this start ends by {end}; the execution may be cancelled.",
                "The {engine} engine has been out since {since}: {reason}. {count} tries may have been charged. If it "
                "stays out, this start ends by {end}; the execution may be cancelled.",
                event.charged_tries,
            )
        values = {"engine": ENGINES[event.engine].label, "reason": event.reason}
        times = {"since": clock(since, start.day), "end": clock(ends, start.day)}
        words = replace(text, values={**text.values, **values, **times})
        fields = {
            "engine": event.engine,
            "patience_seconds": event.patience,
            "since": since.isoformat(timespec="seconds"),
            "seconds": round(event.seconds, 3),
            "answer": shortened(str(event.reason), TEXT_LIMIT),
            "charged_tries": event.charged_tries,
            "ends_if_out": ends.isoformat(timespec="seconds"),
            "ends_by": None if start.ends_by is None else start.ends_by.isoformat(timespec="seconds"),
        }
        self._say("WARNING", "engine.failing", words, **fields)

    def on_finish(self, view: View) -> None:
        """The end. Its totals are those of all attempts at the day."""
        self._write(_end(view))
        self._writer.end(view)

    async def drain(self, seconds: float) -> None:
        await self._writer.output.drain(seconds)

    def _say(self, severity: LogSeverity, event: str, text: Message, **fields: object) -> None:
        """The same words for the log and for a terminal."""
        self._write(LogLine(severity, event, text, fields, text))

    def _write(self, line: LogLine) -> None:
        self._writer.write(line._replace(fields={**self._about, **line.fields}))


def verified(text: Message, *, done: bool) -> LogLine:
    return LogLine("INFO" if done else "ERROR", "run.verified", text, {"done": done}, text)


def _finished(result: CallResult) -> LogLine:
    """A call that is done or has failed for good. A terminal shows the failures, and what is odd."""
    fields = _call(result, result.limit, result.traceparent)
    fields |= {
        "outcome": "done" if result.done else "failed",
        "attempts": result.tries,
        "status": result.status,
        "seconds": round(result.seconds, 3),
    }
    if not result.done:
        fields |= {"cause": result.cause, "reason": shortened(str(reason_of(result)), TEXT_LIMIT)}
        text = f"{result.label}: {reason_of(result)}"
        if result.is_cut_off:  # it is counted at the end
            return LogLine("WARNING", "call.finished", text, fields)
        return LogLine("ERROR", "call.finished", text, fields, colon(result.label, reason_of(result)))
    text = f"{result.label}: done in {result.seconds:.2f} s"
    if result.warning is None:
        return LogLine("INFO", "call.finished", text, fields)
    fields["warning"] = shortened(str(result.warning), TEXT_LIMIT)
    shown = colon(result.label, result.warning)
    return LogLine("WARNING", "call.finished", f"{text}; {result.warning}", fields, shown)


def _end(view: View) -> LogLine:
    report = view.report
    severity: LogSeverity = "INFO" if view.severity == "good" else "WARNING"
    # Of a start whose variables are faulty, nothing was said before: no other line names its day.
    fields: dict[str, object] = {"day": report.day, **totals_of(report), **error_report(report)}
    if report.detail is not None:
        fields["detail"] = shortened(str(report.detail), TEXT_LIMIT)
    notes = view.notes if view.warning is None else (view.warning, *view.notes)
    for name, texts in (("answers", report.answers), ("changed", view.changed), ("notes", notes)):
        if texts:
            fields[name] = [shortened(str(text), TEXT_LIMIT) for text in texts]
    if view.unrecorded is not None:
        fields["unrecorded"] = view.unrecorded
    if any(step.is_start for step in view.steps):
        fields |= start_fields(view.steps)
    severity = severity if report.exit_code == ExitCode.DONE else "ERROR"
    return LogLine(severity, "run.finished", view.sentence, fields)


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


def elapsed_time(progress: Progress, now: float) -> Message:
    return message("{elapsed} elapsed", elapsed=duration(now - progress.began))


def progress_message(progress: Progress, now: float) -> Message:
    """How many cards are done so far; before, the engines that they wait for, and how much of their data is done."""
    if waited := waited_for_data(_counts(progress)):
        return colon(message("Data phase"), semicolon(waited, elapsed_time(progress, now)))
    cards, engine = progress.ledger.counts("qa"), progress.engines.get("qa")
    return message(
        "cards: {done} of {planned} done, {failed} failed; {time}",
        done=cards.done,
        planned=cards.planned,
        failed=engine.counts.failed if engine is not None else 0,
        time=elapsed_time(progress, now),
    )


def _counts(progress: Progress) -> Mapping[EngineName, Counts]:
    return {engine: progress.ledger.counts(engine) for engine in progress.engines}


class CloudLog:
    """Writes a line for each event. What cannot be written (closed pipe, full disk) does not stop the run, and a slow
    reader does not delay it.
    """

    def __init__(self) -> None:
        self.output = OutputQueue()

    def write(self, line: LogLine) -> None:
        self.output.write(as_json(line) + b"\n")

    def begin(self, progress: Progress) -> None:
        """Draws nothing."""

    def end(self, view: View) -> None:
        """The last line says it."""


def as_json(line: LogLine) -> bytes:
    """A line of the log, of this moment."""
    entry = {
        "severity": line.severity,
        "message": shortened(str(line.words), TEXT_LIMIT),
        "event": line.event,
        "time": datetime.now(UTC).isoformat(),
        **line.fields,
    }
    try:
        return to_json(entry)
    except ValueError:  # a lone surrogate, such as in the name of a file
        return json.dumps(entry, ensure_ascii=False).encode(errors="replace")
