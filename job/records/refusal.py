"""Refusal: why a run is not done: the record of one whose configuration cannot be used, and what bars a resume."""

from collections.abc import Sequence
from datetime import datetime

from job.config.environment import Settings
from job.config.faults import Fault
from job.engines.identity import COMMIT, VERSION, RunIdentity
from job.execution.outcome import Outcome, never_began, no_record
from job.records.commands import again_command, list_command, show_command, start_command
from job.records.format import INPUTS, REPORT, entry_of, name_of
from job.records.history import without_plan
from job.records.inputs import RunInputs, is_same_config
from job.records.reading import read_report
from job.records.record import ENTRY, pack_report
from job.records.report import REFUSED, AttemptSummary, ReportedFault, RunReport
from job.records.session import Document
from job.records.timeline import Timeline
from job.storage.store import ConflictError, ObjectStore, in_thread
from job.text.display import quoted

FAULTS_LISTED = 1000


def refused_report(
    settings: Settings, run_id: str, faults: Sequence[Fault], outcome: Outcome, started: datetime, seconds: float
) -> RunReport:
    """The report of a run whose configuration cannot be used, so that nothing was called."""
    ended = AttemptSummary.of(outcome, settings.time_zone, started, seconds)
    return RunReport(
        run_id=run_id,
        day=settings.day_of(started),
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
        region=settings.region,
        job=settings.job,
        execution=settings.execution,
        # A rehearsal cannot be started by the job's own command.
        start_command=None if settings.resume_with else again_command(settings, []),
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


async def not_resumable(store: ObjectStore, runs_uri: str, run_id: str) -> NotResumableError:
    """Why a run without inputs cannot be resumed. Raises `RecordError` and `StorageError`."""
    name = name_of(run_id, REPORT)
    stored = await in_thread(lambda: store.read(name))
    report = read_report(name, stored.data) if stored is not None else None
    if report is not None and report.outcome == REFUSED:
        what = f"has nothing of run {run_id} but the faults of its config, for which nothing was called"
        remedy = f"`{show_command(run_id, runs_uri)}` lists them; correct them and start a new run"
        return NotResumableError(Fault("RUNS_URI", what, remedy), never_began(run_id, report.start_command))
    what = f"has no record of run {run_id} from which it could be resumed"
    command = list_command(runs_uri)
    fault = Fault("RUNS_URI", what, f"`{command}` lists what is recorded there")
    return NotResumableError(fault, no_record(run_id, command))


def contradictions(recorded: RunInputs, settings: Settings, now: datetime, *, place: bool = False) -> list[Fault]:
    """A fault for each variable that contradicts the recorded run; with `place` also for `CONFIG_URI`.

    A run without a date cannot be resumed by a person on another day: that is a fault too.
    """
    run_id, execution, found = recorded.run_id, settings.execution, []
    is_retry = execution is not None and (settings.task_attempt > 0 or execution == run_id)
    if not is_retry and (today := recorded.other_day(now)) is not None:
        what = (
            f"run {run_id} has no date of its own: it was started on {recorded.day}, "
            f"and the engines would use today's, {today}"
        )
        remedy = f"`{start_command(recorded)}` starts a new run for {recorded.day}"
        if settings.run_id == run_id:
            remedy = f"unset RUN_ID; then {remedy}"
        found.append(Fault("RUN_DATE", what, remedy))
    elif settings.run_date_is_explicit and settings.run_date != recorded.date:
        what = f"{settings.run_date} is not the date of run {run_id}, which is {recorded.date}"
        if recorded.date is None:
            what = f"run {run_id} was started without RUN_DATE"
        found.append(Fault("RUN_DATE", what, "unset it to resume that run, or start a run of another RUN_ID"))
    if place and settings.config_uri and not is_same_config(settings.config_uri, recorded.config_uri):
        what = f"{quoted(settings.config_uri)} is not where run {run_id} has its config from"
        found.append(Fault("CONFIG_URI", what, f"set it to {recorded.config_uri}, or start a new run"))
    return found
