"""Refusal: the record of a run whose configuration cannot be used. It lists the faults."""

from collections.abc import Sequence
from datetime import datetime

from job.config.environment import Settings
from job.config.faults import Fault
from job.engines.identity import COMMIT, VERSION, RunIdentity
from job.execution.outcome import Outcome, never_began, no_record
from job.records.format import INPUTS, REPORT, entry_of, name_of
from job.records.history import without_plan
from job.records.reading import read_report
from job.records.record import ENTRY, pack_report
from job.records.report import REFUSED, AttemptSummary, ReportedFault, RunReport
from job.records.session import Document
from job.records.timeline import Timeline
from job.storage.store import ConflictError, ObjectStore, in_thread

FAULTS_LISTED = 1000


def refused_report(
    settings: Settings, run_id: str, faults: Sequence[Fault], outcome: Outcome, started: datetime, seconds: float
) -> RunReport:
    """The report of a run whose configuration cannot be used, so that nothing was called."""
    ended = AttemptSummary.of(outcome, settings.time_zone, started, seconds)
    return RunReport(
        run_id=run_id,
        day=settings.run_date or started.astimezone(settings.time_zone).date().isoformat(),
        date=settings.run_date,
        started=ended.started,
        ended=ended.ended,
        seconds=ended.seconds,
        outcome=ended.outcome,
        exit_code=ended.exit_code,
        sentence=ended.sentence,
        sentence_message=ended.sentence_message,
        faults=tuple(ReportedFault.of(fault) for fault in faults[:FAULTS_LISTED]),
        faults_not_listed=max(0, len(faults) - FAULTS_LISTED),
        attempts=(ended,),
        config_uri=settings.config_uri,
        version=VERSION,
        commit=COMMIT,
        trace_id=RunIdentity(run_id).trace_id,
        project=settings.project,
        execution=settings.execution,
    )


async def record_refusal(store: ObjectStore, report: RunReport, documents: Sequence[Document]) -> bool:  # noqa: ASYNC910  storage was awaited
    """Records a run whose configuration cannot be used, unless its id has a record already. Raises `StorageError`.

    Returns whether it was recorded. It needs no lease, as it calls nothing. It writes no inputs, so that a later
    attempt with the same id starts a new run.
    """

    def write() -> bool:
        if store.read(name_of(report.run_id, INPUTS), 1) is not None:
            return False
        store.create(name_of(report.run_id, REPORT), pack_report(report))
        store.create(entry_of(report.run_id, report.started), ENTRY)
        for document in documents:
            store.create(name_of(report.run_id, document.name), document.make(Timeline(without_plan())))
        return True

    try:
        return await in_thread(write)
    except ConflictError:  # there is a report of an earlier attempt
        return False  # noqa: ASYNC910  storage was awaited


class NotResumableError(Exception):
    """The run to be resumed never had a plan. Has the fault, and the outcome of the resume."""

    def __init__(self, fault: Fault, outcome: Outcome) -> None:
        self.fault, self.outcome = fault, outcome
        super().__init__(str(fault))


async def not_resumable(store: ObjectStore, run_id: str) -> NotResumableError:
    """Why a run without inputs cannot be resumed. Raises `RecordError` and `StorageError`."""
    name = name_of(run_id, REPORT)
    stored = await in_thread(lambda: store.read(name))
    if stored is not None and read_report(name, stored.data).outcome == REFUSED:
        what = f"has nothing of run {run_id} but the faults of its config, for which nothing was called"
        fault = Fault("RUNS_URI", what, f"`python -m job report {run_id}` lists them; correct them and start a new run")
        return NotResumableError(fault, never_began(run_id))
    what = f"has no record of run {run_id} from which it could be resumed"
    return NotResumableError(
        Fault("RUNS_URI", what, "`python -m job runs` lists what is recorded there"), no_record(run_id)
    )
