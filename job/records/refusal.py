"""Refusal: why a run is not done: the record of one whose configuration cannot be used, and what bars a resume."""

from collections.abc import Sequence
from datetime import datetime

from job.config.environment import Settings
from job.config.faults import Fault
from job.errors import JobError
from job.ledger.ledger import Ledger
from job.records.attempts import read_attempts
from job.records.record import ENTRY, pack_report
from job.records.session import Document
from job.report.commands import Place, list_command, show_command
from job.report.format import INPUTS, REPORT, entry_of, name_of
from job.report.inputs import RunInputs, is_same_config
from job.report.outcome import Ending, Outcome, began_elsewhere, never_began, no_record
from job.report.report import RunReport, read_report
from job.storage.store import ConflictError, ObjectStore, in_thread
from job.text.display import quoted, without_credentials
from job.text.messages import message, template


async def record_refusal(store: ObjectStore, report: RunReport, documents: Sequence[Document], ledger: Ledger) -> bool:
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
            store.create(name_of(report.run_id, document.name), document.make(ledger))
        return True

    try:
        return await in_thread(write)
    except ConflictError:  # there is a report of an earlier attempt
        return False


class NotResumableError(JobError):
    """The run cannot be resumed, or not here or not now. Has the fault, if it is one, and the ending of the resume."""

    def __init__(self, fault: Fault | None, ending: Ending) -> None:
        self.faults, self.ending = [fault] if fault else [], ending
        super().__init__(str(fault or ending.sentence))


async def not_resumable(store: ObjectStore, runs_uri: str, run_id: str) -> NotResumableError:
    """Why a run without inputs cannot be resumed. Raises `RecordError` and `StorageError`."""
    name = name_of(run_id, REPORT)
    stored = await in_thread(lambda: store.read(name))
    report = read_report(name, stored.data) if stored is not None else None
    if report is not None and report.outcome is Outcome.BAD_CONFIG:
        words = template("has nothing of run {run} but the faults of its config, for which nothing was called")
        remedy = template("`{command}` lists them; correct them and start a new run")
        command = show_command(run_id, runs_uri)
        fault = Fault("RUNS_URI", message(words, run=run_id), message(remedy, command=command))
        return NotResumableError(fault, never_began(run_id, report.start_command))
    what = message("has no record of run {run} from which it could be resumed", run=run_id)
    command = list_command(runs_uri)
    fault = Fault("RUNS_URI", what, message("`{command}` lists what is recorded there", command=command))
    return NotResumableError(fault, no_record(run_id, command))


def elsewhere(
    recorded: RunInputs, settings: Settings, *, new_config: bool, without: Sequence[str] = ()
) -> NotResumableError | None:
    """Why a run of a Cloud Run job cannot be resumed on a laptop that lacks the engines' URLs; `None` if it can."""
    if recorded.job is None or settings.job is not None or any(engine.url for engine in settings.engines.values()):
        return None
    command = Place.of(recorded).resume(recorded.run_id, "new_config" if new_config else "resume", without)
    text = template("is not set here, and run {run} began as the Cloud Run job {job}")
    what = message(text, run=recorded.run_id, job=recorded.job)
    fault = Fault("QA_ENGINE_URL", what, message("`{command}` resumes it there", command=command))
    return NotResumableError(fault, began_elsewhere(recorded.run_id, recorded.job, command))


async def contradictions(
    store: ObjectStore,
    recorded: RunInputs,
    settings: Settings,
    now: datetime,
    *,
    is_resumed: bool,
    place: bool = False,
) -> list[Fault]:
    """A fault for each variable that contradicts the recorded run; with `place` also for `CONFIG_URI`.

    A start is for the run's day, while `resume` is for any day, unless RUN_DATE says otherwise.
    A run without a date cannot be resumed on another day: that is a fault too, unless this execution has worked on the
    run before. Raises `RecordError` and `StorageError`.
    """
    run_id, found = recorded.run_id, list[Fault]()
    # An early version of the job did not record the attempts.
    attempts = await read_attempts(store, run_id) if recorded.date is None else ()
    known = {recorded.run_id, recorded.execution, *(entry.execution for entry in attempts)}
    today = recorded.other_day(now, attempts[0].zone if attempts else None)
    if today is not None and (settings.execution is None or settings.execution not in known):
        what = message(
            "run {run} has no date of its own: it was started on {day}, and the engines would use today's, {today}",
            run=run_id,
            day=recorded.day,
            today=today,
        )
        remedy = template("`{command}` starts a new run for {day}")
        if settings.run_id == run_id:
            remedy = template("unset RUN_ID; then `{command}` starts a new run for {day}")
        command = Place.of(recorded).start(recorded.day)
        found.append(Fault("RUN_DATE", what, message(remedy, command=command, day=recorded.day)))
    elif _is_for_another_date(recorded, settings, is_resumed=is_resumed):
        what = message("run {run} was started without RUN_DATE", run=run_id)
        if recorded.date is not None:
            text = template("{date} is not the date of run {run}, which is {recorded}")
            what = message(text, date=settings.run_date or "", run=run_id, recorded=recorded.date)
        unset = message("unset it to resume that run, or start a run of another RUN_ID")
        found.append(Fault("RUN_DATE", what, unset))
    if place and settings.config_uri and not is_same_config(settings.config_uri, recorded.config_uri):
        shown = quoted(without_credentials(settings.config_uri))
        what = message("{uri} is not where run {run} has its config from", uri=shown, run=run_id)
        set_it = message("set it to {uri}, or start a new run", uri=recorded.config_uri)
        found.append(Fault("CONFIG_URI", what, set_it))
    return found


def _is_for_another_date(recorded: RunInputs, settings: Settings, *, is_resumed: bool) -> bool:
    if settings.run_date is None:
        return False
    if is_resumed:
        return settings.run_date_is_explicit and settings.run_date != recorded.date
    return settings.run_date != recorded.day
