"""`report.json` of a run's record: how the run ended, for machines and for the page that people read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field, ValidationError

from job.engines.catalog import EngineName
from job.engines.failures import remedy
from job.execution.events import CallFinished
from job.execution.outcome import Outcome
from job.execution.progress import CardTotals, EngineTotals, RunProgress, _Part
from job.identity import COMMIT, VERSION, RunIdentity
from job.records.format import FORMAT, RecordError
from job.records.inputs import RunInputs
from job.reporting.cloud_log import report_of

LISTED = 10_000
"""Failures in the report: each may take a KB."""


UNFINISHED = "unfinished"


class FailedCall(_Part):
    """A call that failed for good in the latest attempt."""

    engine: EngineName
    targets: tuple[str, ...]
    card_type: str | None
    cause: str
    """transport, timeout, identity, status, unreadable, denied or interrupted."""
    status: int | None
    reason: str
    """The last answer, or why there was none."""
    attempts: int
    traceparent: str
    remedy: str


class AttemptSummary(_Part):
    """One attempt at the run that came to its end. Times are ISO 8601."""

    started: str
    ended: str
    seconds: float
    outcome: str
    exit_code: int


class RunReport(_Part):
    """The whole of `report.json`."""

    format: int = FORMAT
    run_id: str
    day: str
    date: str | None
    started: str
    """When the first attempt at the run began, ISO 8601 in the run's time zone."""
    ended: str | None
    seconds: float | None
    """How long the latest attempt took."""
    outcome: str
    exit_code: int | None
    sentence: str
    cards: CardTotals = CardTotals()
    engines: dict[EngineName, EngineTotals] = Field(default_factory=dict)
    failures: tuple[FailedCall, ...] = ()
    failures_not_listed: int = 0
    attempts: tuple[AttemptSummary, ...] = ()
    """That came to their ends, the latest last. A killed one leaves no report."""
    config_uri: str
    config_generations: dict[str, str] = Field(default_factory=dict)
    """The generation of each config object that was used."""
    version: str
    commit: str | None = None
    trace_id: str
    project: str | None = None
    execution: str | None = None

    @property
    def continued(self) -> bool:
        """Whether the latest attempt that closed was not the first: one that was killed left only the run's start."""
        if len(self.attempts) != 1:
            return len(self.attempts) > 1
        return datetime.fromisoformat(self.attempts[0].started) > datetime.fromisoformat(self.started)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the report tells besides the accounts."""

    inputs: RunInputs
    started: datetime
    """This attempt's, in any zone."""
    seconds: float
    """How long it took, by a clock that nobody sets."""
    earlier: tuple[AttemptSummary, ...]
    """The attempts before it."""
    project: str | None
    execution: str | None


def build_report(outcome: Outcome, progress: RunProgress, at: Circumstances) -> RunReport:
    """The report of an attempt that ends."""
    summary = report_of(outcome, progress)
    zone = datetime.fromisoformat(at.inputs.started).tzinfo
    moments = (at.started, at.started + timedelta(seconds=at.seconds))
    started, ended = (moment.astimezone(zone).isoformat(timespec="seconds") for moment in moments)
    seconds = round(at.seconds, 3)
    attempt = AttemptSummary(
        started=started, ended=ended, seconds=seconds, outcome=outcome.word, exit_code=int(outcome.exit)
    )
    return unfinished_report(at.inputs).model_copy(
        update={
            "ended": ended,
            "seconds": seconds,
            "outcome": outcome.word,
            "exit_code": int(outcome.exit),
            "sentence": outcome.sentence,
            "cards": CardTotals.model_validate(summary["cards"]),
            "engines": _engines(summary["engines"]),
            "failures": tuple(_failed(finished) for finished in progress.failures[:LISTED]),
            "failures_not_listed": max(0, len(progress.failures) - LISTED),
            "attempts": (*at.earlier, attempt),
            "version": VERSION,
            "commit": COMMIT,
            "project": at.project,
            "execution": at.execution,
        }
    )


def unfinished_report(inputs: RunInputs) -> RunReport:
    """What there is to say of a run that has begun and not closed."""
    return RunReport(
        run_id=inputs.run_id,
        day=inputs.day,
        date=inputs.date,
        started=inputs.started,
        ended=None,
        seconds=None,
        outcome=UNFINISHED,
        exit_code=None,
        sentence="The run has not closed its record: it is at work, or it was killed.",
        config_uri=inputs.config_uri,
        config_generations={name: kept.generation for name, kept in inputs.objects.items()},
        version=inputs.version,
        trace_id=RunIdentity(inputs.run_id).trace_id,
    )


def read_report(name: str, data: bytes) -> RunReport:
    """The report that an object of this name holds. Raises `RecordError`."""
    try:
        report = RunReport.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(f"{name} is not what a run writes ({error.error_count()} faults)") from error
    if report.format != FORMAT:
        raise RecordError(f"{name} has format {report.format}; this version of the job knows {FORMAT}")
    return report


def _engines(accounts: object) -> dict[EngineName, EngineTotals]:
    if not isinstance(accounts, Mapping):
        return {}
    return {name: EngineTotals.model_validate(account) for name, account in accounts.items()}


def _failed(finished: CallFinished) -> FailedCall:
    call, failure = finished.call, finished.failure
    cause, reason = (failure.cause, failure.text) if failure else ("", "")
    return FailedCall(
        engine=call.engine,
        targets=call.targets,
        card_type=call.card_type,
        cause=cause,
        status=finished.status,
        reason=reason,
        attempts=finished.attempts,
        traceparent=finished.traceparent,
        remedy=remedy(call.engine, cause, finished.status, reason, batch=len(call.targets)),
    )


def earlier_attempts(data: bytes | None) -> Sequence[AttemptSummary]:
    """What the report that is there tells of attempts; nothing where it cannot be read."""
    if data is None:
        return ()
    try:
        return read_report("", data).attempts
    except RecordError:
        return ()
