"""History: past runs, read from their records; the latest as a list, or one in full."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import trio

from job.config.schema import LlmConfig
from job.planning.plan import Plan
from job.records import lease
from job.records.comparison import Comparison
from job.records.format import (
    AT_WORK,
    CARDS,
    INPUTS,
    KILLED,
    PAGE,
    REPORT,
    STARTED,
    RecordError,
    name_of,
    started_runs,
)
from job.records.inputs import RunInputs
from job.records.journal import attempts_in_journal, check_journal
from job.records.lease import Holder, SeenLease
from job.records.nights import READ_SECONDS, PastNights
from job.records.reading import read_report
from job.records.record import find_latest_inputs, read_results
from job.records.report import KILLED as KILLED_RUN
from job.records.report import REFUSED, RUNNING, RunReport, build_report
from job.records.timeline import Timeline
from job.storage.store import ObjectStore, StorageError, in_thread, read_many
from job.text.messages import message, template

LATEST = 20
UNREADABLE = "unreadable"
"""The state, in place of an outcome, of a run whose record cannot be used."""
OUTCOMES = (
    template("succeeded"),
    template("cards_missing"),
    template("data_engine_failed"),
    template("qa_engine_down"),
    template("deadline"),
    template("interrupted"),
    template("lease_lost"),
    template("unforeseen"),
    template("bad_config"),
    template("unfinished"),
    template("at work"),
    template("killed"),
    template("unreadable"),
)
"""All outcomes and states, as messages for people."""
FAULTS_NAMED = 10
"""Faulty entries that are named; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """One recorded run."""

    run_id: str
    started: datetime
    """In the run's time zone; in UTC if its record cannot be read."""
    day: str | None
    """The day that the run is for; `None` if its record cannot be read."""
    outcome: str
    """The report's outcome, or `at work`, `killed` or `unreadable`. The lease decides between the first two."""
    sentence: str = ""
    """The report's sentence, or what is wrong with the record."""
    seconds: float | None = None
    """How long the latest attempt took; `None` if it has not closed the record."""
    attempts: int | None = None
    """The number of known attempts; `None` if the latest one has not closed the record."""

    @property
    def is_closed(self) -> bool:
        """Whether its latest attempt has closed its record."""
        return self.outcome not in {AT_WORK, KILLED, UNREADABLE}


@dataclass(frozen=True, slots=True)
class History:
    """The runs that were read, and the faults of the list."""

    runs: Sequence[PastRun]
    """The newest first, each once."""
    faults: Sequence[str]
    """The faults of the list of runs. Each names an object."""
    is_whole: bool
    """Whether all recorded runs were read."""

    @property
    def unusable(self) -> Sequence[str]:
        """A sentence about each object that cannot be used."""
        return [*self.faults, *(past.sentence for past in self.runs if past.outcome == UNREADABLE)]


async def latest(store: ObjectStore, count: int, day: str | None = None) -> History:
    """The latest runs, and those that started within a day of `day`. Raises `StorageError`."""
    started, faults = await _entries(store)
    about = date.fromisoformat(day) if day else None
    ids = [
        run_id
        for number, (run_id, moment) in enumerate(started.items())
        if number < count or (about is not None and abs((moment.date() - about).days) <= 1)
    ]
    seen = await lease.look(store) if ids else None
    found: dict[str, PastRun] = {}
    errors: list[StorageError] = []

    async def read(run_id: str) -> None:  # noqa: ASYNC910  storage was awaited
        try:
            found[run_id] = await _past(store, run_id, started[run_id], seen)
        except StorageError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for run_id in ids:
            nursery.start_soon(read, run_id)
    if errors:
        raise errors[0]
    return History([found[run_id] for run_id in ids], faults, is_whole=len(ids) == len(started))


async def latest_id(store: ObjectStore) -> str | None:
    """The id of the run that started last; `None` if none is recorded. Raises `StorageError`."""
    started, _ = await _entries(store)
    return next(iter(started), None)


async def _entries(store: ObjectStore) -> tuple[dict[str, datetime], list[str]]:
    """Every recorded run and when it started, the newest first; and the faults of this list."""
    started, faults = started_runs(await in_thread(lambda: store.names(STARTED)))
    if len(faults) > FAULTS_NAMED:
        faults[FAULTS_NAMED:] = [f"and {len(faults) - FAULTS_NAMED:,} more under {STARTED}"]
    return started, faults


async def _past(store: ObjectStore, run_id: str, started: datetime, seen: SeenLease | None) -> PastRun:
    day = None
    try:
        inputs = await find_latest_inputs(store, run_id)
        if inputs is not None:
            day, started = inputs.day, datetime.fromisoformat(inputs.started)
        report = await _read_report(store, run_id, inputs)
    except RecordError as error:
        return PastRun(run_id, started, day, UNREADABLE, str(error))  # noqa: ASYNC910  storage was awaited
    if inputs is None:
        if report is None:
            return PastRun(run_id, started, day, UNREADABLE, f"{name_of(run_id, INPUTS)} is missing")
        day, started = report.day, datetime.fromisoformat(report.started)
    elif seen is not None and _is_open(run_id, report, seen.holder):
        return PastRun(run_id, started, day, AT_WORK if seen.seems_alive else KILLED)
    elif report is None or not _is_latest(report, inputs, await attempts_in_journal(store, run_id)):
        return PastRun(run_id, started, day, KILLED)
    attempts = len(report.attempts) + (report.continued and len(report.attempts) == 1)
    return PastRun(run_id, started, day, report.outcome, report.sentence, report.seconds, attempts)


def _is_open(run_id: str, report: RunReport | None, holder: Holder) -> bool:
    """Whether an attempt at this run has the lease and has not closed the record."""
    return holder.run_id == run_id and (report is None or holder.owner not in report.journal)


async def _read_report(store: ObjectStore, run_id: str, inputs: RunInputs | None) -> RunReport | None:
    """The report of a run; `None` if there is none, or only that of an earlier attempt without a plan.

    Raises `RecordError`, also if there is a report but no inputs, and `StorageError`.
    """
    name = name_of(run_id, REPORT)
    stored = await in_thread(lambda: store.read(name))
    if stored is None:
        return None
    report = read_report(name, stored.data)
    if report.run_id != run_id:
        raise RecordError(f"{name} belongs to run {report.run_id}")
    if inputs is None and report.outcome != REFUSED:
        raise RecordError(f"{name_of(run_id, INPUTS)} is missing")
    return None if inputs is not None and report.outcome == REFUSED else report


async def read_closing(store: ObjectStore, inputs: RunInputs, holder: Holder) -> RunReport | None:
    """The report with which a holder of the lease closed the record of its run; `None` if it has not closed it.

    Raises `RecordError` and `StorageError`.
    """
    report = await _read_report(store, holder.run_id, inputs)
    return None if _is_open(inputs.run_id, report, holder) else report


def _is_latest(report: RunReport, inputs: RunInputs, attempts: Iterable[str]) -> bool:
    """Whether the report is of the latest attempt, by the config and by the attempts that have written results."""
    generations = {name: kept.generation for name, kept in inputs.objects.items()}
    return report.config_generations == generations and report.is_after(attempts)


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run, read from its record."""

    report: RunReport
    timeline: Timeline
    documents: frozenset[str] = frozenset()
    """Which of `report.html` and `cards.csv` the record has."""

    def seen(self, moment: datetime) -> "RecordedRun":
        """The run as a person sees it at this moment: as `RunReport.seen`."""
        return replace(self, report=self.report.seen(moment))


async def read_run(store: ObjectStore, run_id: str) -> RecordedRun | None:
    """The run, also if it has not closed its record; `None` if it has none. Raises `RecordError` and `StorageError`."""
    inputs = await find_latest_inputs(store, run_id)
    written = await _read_report(store, run_id, inputs)
    if inputs is None:
        if written is None:
            return None
        return RecordedRun(written, Timeline(without_plan()), await _documents(store, run_id))
    seen = await lease.look(store)
    is_open = seen is not None and _is_open(run_id, written, seen.holder)
    report, timeline = await _read_whole(store, inputs, written, has_closed=not is_open)
    if report.ended is None:
        report = _unfinished(report, at_work=is_open and seen is not None and seen.seems_alive)
    since = written.since_last_night if written is not None and report.ended is not None else None
    if since is None:
        since = await _compared(store, inputs, timeline.plan, timeline)
    report = report.model_copy(update={"since_last_night": since})
    return RecordedRun(report, timeline, await _documents(store, run_id))


def _unfinished(report: RunReport, *, at_work: bool) -> RunReport:
    """The report of a run that has not closed its record. If the run is at work, it has no command to go on with it."""
    template = RUNNING if at_work else KILLED_RUN
    sentence = message(template, made=report.cards.generated, planned=report.cards.planned)
    commands = {"resume_command": None, "start_command": None} if at_work else {}
    return report.model_copy(update={"sentence": str(sentence), "sentence_message": sentence, **commands})


async def check_run(store: ObjectStore, inputs: RunInputs) -> None:
    """Raises `RecordError` if results are missing that the run's report counts. Raises `StorageError`."""
    await _read_whole(store, inputs, await _read_report(store, inputs.run_id, inputs))


async def _read_whole(
    store: ObjectStore, inputs: RunInputs, written: RunReport | None, *, has_closed: bool = True
) -> tuple[RunReport, Timeline]:
    """The report, made again from the results, and the results. `written` is the report in the record.

    `has_closed` is whether `written` may be of the latest attempt.
    """
    plan = inputs.plan()
    timeline = Timeline(plan, is_replanned=inputs.number > 0)
    found = await read_results(store, inputs.run_id, timeline)
    if written is None:
        return build_report(inputs, plan, timeline), timeline
    check_journal(inputs.run_id, written.journal, found)
    closed = has_closed and _is_latest(written, inputs, found)
    place = {key: getattr(written, key) for key in ("version", "commit", "project", "execution")}
    return build_report(inputs, plan, timeline, written.attempts, closed=closed, **place), timeline


async def _compared(store: ObjectStore, inputs: RunInputs, plan: Plan, timeline: Timeline) -> Comparison | None:
    """The comparison with the night before, for a run that was not compared when it ended."""
    past = PastNights(lambda _: None)
    with trio.move_on_after(READ_SECONDS):
        await past.read(store, inputs, plan)
    return past.compare(inputs.day, timeline.items)


def without_plan() -> Plan:
    """The plan of a run whose configuration could not be used."""
    return Plan((), LlmConfig(), None, {})


async def _documents(store: ObjectStore, run_id: str) -> frozenset[str]:
    try:
        there = await read_many(store, [name_of(run_id, name) for name in (PAGE, CARDS)], 1)
    except StorageError:  # documents are not needed to read the run
        return frozenset()  # noqa: ASYNC910  storage was awaited
    return frozenset(name.removeprefix(f"{run_id}/") for name in there)
