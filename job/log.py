"""The log of a run that nobody watches: one JSON object a line on standard output, as Cloud Logging reads them."""

import os
import select
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from pydantic_core import to_json

from job.answers import Cause
from job.events import AttemptEnded, CallFinished, Event
from job.faults import Fault
from job.markup import shortened
from job.outcome import Outcome
from job.plan import Plan
from job.report import report_of
from job.stack import error_report
from job.tally import Ledger
from job.trace import Run
from job.version import COMMIT, VERSION

Severity = Literal["INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL"]
STDOUT = 1
TEXT_LIMIT = 8_000
"""Characters of a message: an entry of Cloud Logging has 256 KiB at the most, a batch may have a thousand answers."""


class Log:
    """Writes what happens. A line that cannot be written (a closed pipe, a full disk) never stops the run."""

    def __init__(self, run: Run, project: str | None) -> None:
        self._run = run
        self._trace = f"projects/{project}/traces/{run.trace_id}" if project else run.trace_id

    def faults(self, faults: Iterable[Fault]) -> None:
        """The configuration is at fault; nothing will be called."""
        for fault in faults:
            self._write("ERROR", str(fault), "config.faulty", where=fault.where, what=fault.what, remedy=fault.remedy)

    def notices(self, notices: Iterable[str]) -> None:
        """What the user may not have meant, though it can be done."""
        for notice in notices:
            self._write("NOTICE", notice, "config.noticed")

    def started(self, plan: Plan, ledger: Ledger) -> None:
        """The run is about to call the data engines."""
        planned = {engine: tally.planned for engine, tally in ledger.engines.items()}
        message = f"run {self._run.id} plans " + ", ".join(f"{engine} {count}" for engine, count in planned.items())
        self._write("INFO", message, "run.started", date=plan.date, planned=planned, version=VERSION, commit=COMMIT)

    def barrier(self, ledger: Ledger) -> None:
        """All data are there; the cards follow."""
        self._write("INFO", "all data are prepared; the cards follow", "barrier.crossed", cards=ledger.cards.planned)

    def watch(self, event: Event) -> None:
        """A line for each call that has finished, and for each retry."""
        if isinstance(event, CallFinished):
            self._finished(event)
        elif isinstance(event, AttemptEnded) and event.wait is not None and event.failure is not None:
            message = f"{event.call.label}: {event.failure.text}; again in {event.wait:.1f} s"
            self._write("WARNING", message, "call.retried", **_call(event), wait=round(event.wait, 3))

    def storage(self, text: str, wrong: bool) -> None:
        """Storage is in trouble, or works again."""
        self._write("ERROR" if wrong else "NOTICE", text, "storage.failed" if wrong else "storage.recovered")

    def verified(self, known: str, *, done: bool) -> None:
        """What is known of today's run."""
        self._write("INFO" if done else "ERROR", known, "run.verified", done=done)

    def finished(self, outcome: Outcome, ledger: Ledger | None) -> None:
        """The run's last line."""
        severity: Severity = "INFO" if outcome.exit == 0 else "ERROR"
        fields = {**report_of(outcome, ledger), **error_report(outcome)}
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


def write_line(line: bytes) -> None:
    """A line on standard output, whole and at once: nothing is lost if the process is killed after it."""
    rest = line + b"\n"
    while rest:
        try:
            rest = rest[os.write(STDOUT, rest) :]
        except BlockingIOError:  # a pipe is non-blocking where another process that holds it wants it so
            select.select([], [STDOUT], [])
        except OSError:
            return


def _call(event: CallFinished | AttemptEnded) -> dict[str, object]:
    call = event.call
    return {
        "engine": call.engine,
        "targets": call.targets,
        "card_type": call.card_type,
        "bound": event.bound,
        "traceparent": event.traceparent,
        "logging.googleapis.com/spanId": event.traceparent[36:52],
    }
