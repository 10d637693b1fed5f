"""Past runs, read from their records: the latest as a list, or one in full. Every list of runs is made here.

Whether a run has closed its record is decided in one place, `_is_current`: by the number of its latest attempt. What a
list says of a run comes from its summary, if that is of the latest attempt; else from its report and results.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from itertools import groupby

import trio

from job.engines.catalog import EngineName
from job.errors import JobError
from job.ledger.items import EngineItems
from job.ledger.ledger import Ledger
from job.planning.plan import Plan
from job.planning.typos import Known, typos
from job.records import lease
from job.records.attempts import latest_number, owners, read_attempts, read_latest
from job.records.days import is_latest
from job.records.journal import check_journal, read_journal
from job.records.lease import Holder, SeenLease
from job.records.left_out import plan_of
from job.records.record import find_latest_inputs
from job.report.advice import with_commands
from job.report.commands import Place
from job.report.comparison import Comparison, PlanChange, Slower, compare, plan_change, plan_lines, slower
from job.report.format import (
    CARDS,
    INPUTS,
    NIGHTS_PAGE,
    OF_OTHER_RUN,
    PAGE,
    REPORT,
    STARTED,
    SUMMARY,
    RecordError,
    name_of,
    started_runs,
)
from job.report.inputs import RunInputs, is_same_config, without_plan
from job.report.outcome import Outcome, Severity
from job.report.report import RunReport, read_report, report_of, summary_of
from job.report.summary import SUMMARY_LIMIT, NightBefore, RunSummary, read_summary
from job.storage.store import BACKGROUND_THREADS, ObjectStore, StorageError, in_thread, words_of
from job.text.display import zone_of
from job.text.messages import Message, Value, message, plural, template

RUNS_READ = 60
"""How many of the latest runs are read."""
ITEMS_KEPT = 200_000
"""Maximum number of missing items of all runs together; the summaries of older runs are kept without theirs."""
READ_SECONDS = 10.0
"""Time limit in a command for which a person waits."""
NEXT_READ = 5
"""How many runs after one are read to find the night after."""
FAILED_READS = 3
"""No further run is read after storage failed for this many."""
FAULTS_NAMED = 10
"""Faulty entries of the list of runs that are named; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """One recorded run."""

    run_id: str
    started: datetime
    """In the run's time zone; in UTC if its record cannot be read."""
    day: str | None
    """The day that the run is for; `None` if its record cannot be read."""
    outcome: Outcome
    """How it ended; or `AT_WORK`, `KILLED` or `UNREADABLE`. The lease decides between the first two."""
    sentence: str = ""
    """How it ended, or what is wrong with its record."""
    seconds: float | None = None
    """How long the latest attempt took; `None` if it has not closed the record."""
    attempts: int | None = None
    """The number of known attempts; `None` if the latest one has not closed the record."""
    summary: RunSummary | None = None
    """`None` if the latest attempt has not closed the record, or if it cannot be used."""
    problem: str | None = None
    """What is wrong with its summary, if that cannot be used. How the run ended is then known from its report."""

    @property
    def is_done(self) -> bool:
        """Whether the run did all its work. Cards that a person wants again, and that were not made, leave it done."""
        summary = self.summary
        is_remade = summary is not None and summary.asked_again > 0 and summary.is_complete
        return self.outcome is Outcome.SUCCEEDED or is_remade

    @property
    def word(self) -> Message:
        """The outcome, and what a person has asked for: cards that are made again, or left out."""
        outcome, summary = message(self.outcome.about.word), self.summary
        if summary is None:
            return outcome
        if summary.asked_again:
            if self.is_done:  # whatever became of the remake
                outcome = message(Outcome.SUCCEEDED.about.word)
            asked, made = summary.asked_again, summary.made_again
            outcome = message("{outcome}, {made} of {asked} made again", outcome=outcome, made=made, asked=asked)
        if left := summary.cards.left_out:
            outcome = message("{outcome}, {count} left out", outcome=outcome, count=left)
        return outcome

    @property
    def severity(self) -> Severity:
        """How severe the outcome is."""
        about = self.outcome.about.severity
        return "warn" if self.is_done and about == "bad" else about

    @property
    def shown_day(self) -> str:
        """The day that the run is for; that of its start if it is not known."""
        return self.day or self.started.date().isoformat()


@dataclass(frozen=True, slots=True)
class EndedRun:
    """The report of a run, and where the commands for it are to be given."""

    report: RunReport
    place: Place


@dataclass(frozen=True, slots=True)
class Past:
    """The latest runs."""

    runs: Sequence[PastRun] = ()
    """The newest first, each once."""
    faults: Sequence[str] = ()
    """What is wrong with the list of runs. Each fault names an object."""
    errors: Sequence[StorageError] = ()
    """Why runs could not be read that are not listed here."""
    is_whole: bool = True
    """Whether all recorded runs were read."""
    last_night: EndedRun | None = None
    """The run that counts for the latest day; `None` if it was not read."""

    @property
    def problems(self) -> Sequence[str]:
        """A sentence about each object that cannot be used."""
        runs = (run.sentence if run.outcome is Outcome.UNREADABLE else run.problem for run in self.runs)
        return [*self.faults, *(problem for problem in runs if problem), *(str(error) for error in self.errors)]

    @property
    def zone(self) -> str:
        """The time zone of the latest run, in which all times are shown."""
        return zone_of(self.runs[0].started) if self.runs else "UTC"

    @property
    def summaries(self) -> list[RunSummary]:
        """The summaries of the runs that have one."""
        return [run.summary for run in self.runs if run.summary is not None]

    def by_day(self) -> Sequence[tuple[str, Sequence[PastRun]]]:
        """The runs of each day together, the newest first."""
        runs = sorted(self.runs, key=lambda run: run.shown_day, reverse=True)  # stable: the newest run stays first
        return [(day, list(group)) for day, group in groupby(runs, key=lambda run: run.shown_day)]

    @property
    def latest(self) -> PastRun | None:
        """The run that counts for the latest day; `None` if no run is recorded."""
        return counting(self.by_day()[0][1]) if self.runs else None

    def period_line(self) -> Message:
        """The number of runs, and their first and last day."""
        days = sorted(run.shown_day for run in self.runs)
        if not days:
            return message("no run is recorded")
        return plural(
            "1 run, of {last}", "{count} runs, from {first} to {last}", count=len(days), first=days[0], last=days[-1]
        )

    def done_line(self) -> Message:
        """How many of the runs did all their work."""
        done = sum(run.is_done for run in self.runs)
        return plural("1 of them did all its work", "{count} of them did all their work", count=done)


def counting(runs: Sequence[PastRun]) -> PastRun:
    """Of the runs of a day, the newest first, the one that counts: it did all its work, and none planned more; or the
    latest, if there is no such run.
    """
    most = max((run.summary.planned for run in runs if run.summary is not None), default=(0, 0))
    done = (run for run in runs if run.is_done and run.summary and run.summary.planned >= most)
    return next(done, runs[0])


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run, read from its record."""

    report: RunReport
    ledger: Ledger
    place: Place
    documents: frozenset[str] = frozenset()
    """Which of `report.html` and `cards.csv` the record has."""


async def read_past(
    store: ObjectStore, count: int = RUNS_READ, *, day: str | None = None, known: Mapping[str, RunSummary] | None = None
) -> Past:
    """The latest runs, and those that started within a day of `day`. Summaries in `known` are not read again.

    Raises `StorageError` if the list of runs or the lease cannot be read.
    """
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
    rest, kept = iter(ids), 0

    async def read() -> None:
        nonlocal kept
        for run_id in rest:
            if len(errors) >= FAILED_READS:
                return
            try:
                run = await _past_run(store, run_id, started[run_id], seen, (known or {}).get(run_id))
            except StorageError as error:
                errors.append(error)
                continue
            if run.summary is not None:
                kept += sum(len(group.targets) for group in run.summary.missing)
            found[run_id] = run if kept <= ITEMS_KEPT else _without_items(run)

    async with trio.open_nursery() as nursery:
        for _ in range(BACKGROUND_THREADS):
            nursery.start_soon(read)
    zone = next((found[one].started.tzinfo for one in ids if one in found and found[one].day is not None), UTC)
    runs = [replace(found[run_id], started=found[run_id].started.astimezone(zone)) for run_id in ids if run_id in found]
    return Past(runs, faults, errors, is_whole=len(ids) == len(started))


async def read_nights(
    store: ObjectStore, count: int = RUNS_READ, *, own: EndedRun | None = None, known: Past | None = None
) -> Past:
    """The latest runs, and the one that counts for the latest day in full. Raises `StorageError` as `read_past` does.

    `own` is a run that has just ended, `known` is what was read before it.
    """
    own_id = own.report.run_id if own is not None else None
    past = await read_past(
        store, count, known={one.run_id: one for one in known.summaries if one.run_id != own_id} if known else None
    )
    latest = past.latest
    if latest is None or latest.run_id == own_id:
        return replace(past, last_night=own if latest is not None else None)
    try:
        return replace(past, last_night=await _read_ended(store, latest))
    except JobError:  # the list says what is wrong with its record
        return past


async def _read_ended(store: ObjectStore, run: PastRun) -> EndedRun | None:
    """A listed run; without its results, of which there may be many, if it has closed its record."""
    inputs = await find_latest_inputs(store, run.run_id, background=True)
    report = await _read_report(store, run.run_id, inputs) if run.outcome.is_closed else None
    if report is None:
        recorded = await read_run(store, run.run_id)
        return EndedRun(recorded.report, recorded.place) if recorded is not None else None
    if inputs is None:
        return EndedRun(report.model_copy(update={"is_recorded": False}), Place.of_refused(report))
    is_current = await is_latest(store, run.run_id, inputs.config_uri, inputs.day)
    return EndedRun(report.model_copy(update={"is_latest": is_current}), Place.of(inputs))


async def night_after(store: ObjectStore, report: RunReport) -> RunSummary | None:
    """The next run of this config that has ended, for a later day; `None` if there is none. Raises `StorageError`."""
    entries, _ = await _entries(store)
    began = datetime.fromisoformat(report.started)
    for run_id in [run_id for run_id, started in reversed(entries.items()) if started > began][:NEXT_READ]:
        with suppress(RecordError):
            summary = await in_thread(partial(_read_summary, store, run_id))
            if summary and summary.day > report.day and is_same_config(summary.config_uri, report.config_uri):
                return summary
    return None


async def latest_id(store: ObjectStore) -> str | None:
    """The id of the run that started last; `None` if none is recorded. Raises `StorageError`."""
    started, _ = await _entries(store)
    return next(iter(started), None)


async def _entries(store: ObjectStore) -> tuple[dict[str, datetime], list[str]]:
    """Every recorded run and when it started, the newest first; and the faults of this list."""
    started, faults = started_runs(await in_thread(lambda: store.names(STARTED), background=True))
    if len(faults) > FAULTS_NAMED:
        faults[FAULTS_NAMED:] = [f"and {len(faults) - FAULTS_NAMED:,} more under {STARTED}"]
    return started, faults


async def _past_run(
    store: ObjectStore, run_id: str, started: datetime, seen: SeenLease | None, known: RunSummary | None
) -> PastRun:
    if known is not None:
        return _summarized(known)
    day = problem = None
    try:
        names = frozenset(await in_thread(lambda: store.names(name_of(run_id, "")), background=True))
        holder = seen.holder if seen is not None and seen.holder.run_id == run_id else None
        try:
            summary = await in_thread(partial(_read_summary, store, run_id), background=True)
        except RecordError as error:
            summary, problem = None, str(error)
        if summary is not None and await _is_current(store, summary, names, holder):
            return _summarized(summary)
        inputs = await find_latest_inputs(store, run_id, background=True)
        if inputs is not None:
            day, started = inputs.day, datetime.fromisoformat(inputs.started)
        report = await _read_report(store, run_id, inputs)
        if report is not None and (inputs is None or await _is_current(store, report, names, holder, inputs)):
            # Its summary is missing, or of another attempt: made again, as it is a function of the record.
            ledger = Ledger(inputs.plan() if inputs is not None else without_plan())
            if inputs is not None:
                ledger = await _ledger(store, inputs, report)
            run = _summarized(await in_thread(partial(summary_of, report, ledger, None), background=True))
            return run if problem is None else replace(run, summary=None, problem=problem)
        remade = None if inputs is None else await _summary_of_remake(store, inputs)
    except RecordError as error:
        return PastRun(run_id, started, day, Outcome.UNREADABLE, str(error))
    if inputs is None:
        return PastRun(run_id, started, day, Outcome.UNREADABLE, problem or f"{name_of(run_id, INPUTS)} is missing")
    is_at_work = holder is not None and seen is not None and seen.seems_alive
    state = Outcome.AT_WORK if is_at_work else Outcome.KILLED
    if (summary := remade) is not None:
        return replace(_summarized(summary.model_copy(update={"outcome": state})), attempts=None)
    return PastRun(run_id, started, day, state, problem=problem)


async def _summary_of_remake(store: ObjectStore, inputs: RunInputs) -> RunSummary | None:
    """The summary of a run that has not closed its record, if all is done and cards were to be made again; else `None`.

    The counts are what matters then: the day's work is done, whatever became of the remake.
    """
    if not any(entry.remakes for entry in await read_attempts(store, inputs.run_id)):
        return None
    ledger = await _ledger(store, inputs, None)
    summary = summary_of(report_of(inputs, ledger, state=Outcome.KILLED), ledger, None)
    return summary if summary.is_complete else None


def _summarized(summary: RunSummary) -> PastRun:
    return PastRun(
        run_id=summary.run_id,
        started=datetime.fromisoformat(summary.started),
        day=summary.day,
        outcome=summary.outcome,
        sentence=summary.sentence,
        seconds=summary.seconds,
        attempts=summary.attempts,
        summary=summary,
    )


def _without_items(run: PastRun) -> PastRun:
    summary = run.summary
    if summary is None:
        return run
    listed = sum(len(group.targets) for group in summary.missing)
    cut = summary.model_copy(update={"missing": (), "missing_not_listed": summary.missing_not_listed + listed})
    return replace(run, summary=cut)


def _read_summary(store: ObjectStore, run_id: str) -> RunSummary | None:
    name = name_of(run_id, SUMMARY)
    stored = store.read(name, SUMMARY_LIMIT + 1)
    return None if stored is None else read_summary(name, stored.data, run_id)


async def _is_current(
    store: ObjectStore,
    written: RunSummary | RunReport,
    names: frozenset[str],
    holder: Holder | None,
    inputs: RunInputs | None = None,
) -> bool:
    """Whether a document is of the run's latest attempt. `names` are all objects of the record.

    `holder` is the holder of the lease, if it is an attempt at this run. `inputs` are the latest, for a report.
    """
    if holder is not None and holder.owner not in written.journal:
        return False
    later = owners(written.run_id, names) - written.journal.keys()
    if written.attempt is not None:
        if latest_number(written.run_id, names) > written.attempt:
            return False
        if later:  # results of an attempt that has lost its lease, unless an early version of the job has made it
            later -= {entry.owner for entry in await read_attempts(store, written.run_id)}
        return not later
    if (
        isinstance(written, RunSummary) or inputs is None
    ):  # of an early version, which may not have written it at its end
        return False
    generations = {name: kept.generation for name, kept in inputs.objects.items()}
    return written.config_generations == generations and not (written.journal and later)


async def _read_report(store: ObjectStore, run_id: str, inputs: RunInputs | None) -> RunReport | None:
    """The report of a run; `None` if there is none, or only that of an earlier attempt without a plan.

    Raises `RecordError`, also if there is a report but no inputs, and `StorageError`.
    """
    name = name_of(run_id, REPORT)
    stored = await in_thread(lambda: store.read(name), background=True)
    if stored is None:
        return None
    report = read_report(name, stored.data)
    if report.run_id != run_id:
        raise RecordError(message(OF_OTHER_RUN, object=name, run=report.run_id))
    if inputs is None and report.outcome is not Outcome.BAD_CONFIG:
        raise RecordError(message("{object} is missing", object=name_of(run_id, INPUTS)))
    return None if inputs is not None and report.outcome is Outcome.BAD_CONFIG else report


async def read_run(store: ObjectStore, run_id: str) -> RecordedRun | None:
    """The run, also if it has not closed its record; `None` if it has none. Raises `RecordError` and `StorageError`."""
    names = frozenset(await in_thread(lambda: store.names(name_of(run_id, ""))))
    documents = frozenset(name for name in (PAGE, CARDS) if name_of(run_id, name) in names)
    inputs = await find_latest_inputs(store, run_id)
    written = await _read_report(store, run_id, inputs)
    if inputs is None:
        if written is None:
            return None
        place = Place.of_refused(written)
        return RecordedRun(written.model_copy(update={"is_recorded": False}), Ledger(without_plan()), place, documents)
    seen, place = await lease.look(store), Place.of(inputs)
    holder = seen.holder if seen is not None and seen.holder.run_id == run_id else None
    ledger = await _ledger(store, inputs, written)
    state = None
    if written is None or not await _is_current(store, written, names, holder, inputs):
        is_at_work = holder is not None and seen is not None and seen.seems_alive
        state = Outcome.AT_WORK if is_at_work else Outcome.KILLED
    since = written.since_last_night if written is not None and state is None else None
    kept = ("version", "commit", "execution", "attempt", "journal", "zone")
    more = {} if written is None else {name: getattr(written, name) for name in kept}
    if written is not None and written.project is not None:
        more["project"] = written.project
    latest = await read_latest(store, run_id, names)
    if latest is not None:
        more["card_url"] = latest.card_url
    attempts = () if written is None else written.attempts
    more["is_latest"] = await is_latest(store, run_id, inputs.config_uri, inputs.day)
    report = report_of(inputs, ledger, attempts, state=state, since=since, **more)
    if since is None:
        report = report.model_copy(update={"since_last_night": await _compared(store, inputs, ledger, report)})
    return RecordedRun(with_commands(report, place), ledger, place, documents)


async def check_run(store: ObjectStore, inputs: RunInputs) -> None:
    """Raises `RecordError` if results are missing that the run's report counts. Raises `StorageError`."""
    await _ledger(store, inputs, await _read_report(store, inputs.run_id, inputs))


async def _ledger(store: ObjectStore, inputs: RunInputs, written: RunReport | None) -> Ledger:
    """The ledger of a run, from all its results and requests. `written` is the report in the record."""
    ledger = Ledger(await plan_of(store, inputs), is_replanned=inputs.number > 0)
    await read_journal(store, inputs.run_id, ledger)
    for entry in await read_attempts(store, inputs.run_id):
        ledger.ask(entry.remakes, entry.number)
    if written is not None:
        check_journal(inputs.run_id, written.journal, ledger.journal)
    return ledger


async def _compared(store: ObjectStore, inputs: RunInputs, ledger: Ledger, report: RunReport) -> Comparison | None:
    """The comparison with the night before, for a run that was not compared when it ended."""
    past = PastNights(lambda _: None)
    with trio.move_on_after(READ_SECONDS):
        await past.read(store, inputs, ledger.plan)
    return past.compare(report, ledger.items)


def summary_before(past: Past, config_uri: str | None, day: str | None) -> RunSummary | None:
    """The run to compare with: on the latest day before `day`, the run of this config that planned most.

    `config_uri=None` allows any config, `day=None` any day.
    """
    fitting = _fitting(past, config_uri, day)
    latest = max((summary.day for summary in fitting), default=None)
    # Runs are sorted from the newest, and max() returns the first of several equal ones.
    return max((one for one in fitting if one.day == latest), key=lambda one: one.planned, default=None)


def _fitting(past: Past, config_uri: str | None, day: str | None) -> list[RunSummary]:
    """The runs of this config before `day` that had a plan, the newest first."""
    return [
        summary
        for summary in past.summaries
        if summary.outcome is not Outcome.BAD_CONFIG
        and (config_uri is None or is_same_config(summary.config_uri, config_uri))
        and (day is None or summary.day < day)
    ]


async def find_night_before(
    store: ObjectStore, past: Past, config_uri: str | None, day: str | None
) -> NightBefore | None:
    """The night to compare with, and its plan, made again from the recorded config: what was left out by hand is
    asked for again. Raises `StorageError`.
    """
    summary = summary_before(past, config_uri, day)
    return None if summary is None else NightBefore.of(summary, await _find_plan(store, summary.run_id))


async def _find_plan(store: ObjectStore, run_id: str) -> Plan | None:
    """The plan of a run and what is left out of it, made again from its record; `None` if that cannot be used."""
    try:
        inputs = await find_latest_inputs(store, run_id, background=True)
        return None if inputs is None else await plan_of(store, inputs)
    except RecordError:
        return None


async def find_known(
    store: ObjectStore, past: Past, config_uri: str | None, day: str | None, before: NightBefore | None
) -> Known | None:
    """What the latest complete night before `day` made cards of: one whose data was all there, less what it missed.

    `before` is the night before, which is often the same. Raises `StorageError`.
    """
    for summary in _fitting(past, config_uri, day):
        if summary.outcome in _COMPLETE and not summary.missing_not_listed:
            is_before = before is not None and before.summary.run_id == summary.run_id
            plan = before.plan if before is not None and is_before else await _find_plan(store, summary.run_id)
            if plan is not None:
                missed = {target for group in summary.missing for target in group.targets}
                if before is not None and is_before:  # what a person has left out of it is part of its plan
                    missed |= before.left_out
                return Known.of(summary.day, plan, missed)
    return None


_COMPLETE = {Outcome.SUCCEEDED, Outcome.CARDS_MISSING}


async def write_nights_page(
    store: ObjectStore, known: Past | None, own: EndedRun, render: Callable[[Past], bytes], until: float
) -> Message | None:
    """Overwrites the page of the nights, after this run has written its summary, until trio's time `until`.

    `known` is what was read when the run started, `own` is this run. Returns why the page is not written, for example
    because another run has written it meanwhile, or `None`. Never raises.
    """
    problem: Value | None = message("storage took too long")
    with trio.move_on_at(until):
        try:
            await _write_nights_page(store, known, own, render)
            problem = None
        except Exception as error:  # noqa: BLE001  the run does not depend on this page
            problem = words_of(error)
    if problem is None:
        return None
    return message("the page of the nights is not written: {error}", error=problem)


async def _write_nights_page(
    store: ObjectStore, known: Past | None, own: EndedRun, render: Callable[[Past], bytes]
) -> None:
    there = await in_thread(lambda: store.read(NIGHTS_PAGE, 1), background=True)  # before the summaries
    past = await read_nights(store, own=own, known=known)

    def write() -> None:
        data = render(past)
        if there is None:
            store.create(NIGHTS_PAGE, data)
        else:
            store.replace(NIGHTS_PAGE, data, there.generation)

    await in_thread(write, background=True)


@dataclass(slots=True)
class PastNights:
    """Past nights, read while a run is at work. The run does not wait for them."""

    notify: Callable[[list[Message]], None]
    """Gets notices for the user."""
    nights: Past | None = None
    """`None` until they are read."""
    before: NightBefore | None = None
    """The night to compare with; `None` if there is none or it is not read yet."""
    change: PlanChange | None = None
    """How the plan has changed since then."""

    async def read(self, store: ObjectStore, inputs: RunInputs, plan: Plan) -> None:
        """Reads the past nights, for a run with this plan. Never raises."""
        doubtful: list[Message] = []
        try:
            self.nights = await read_past(store)
            before = await find_night_before(store, self.nights, inputs.config_uri, inputs.day)
            if before is not None and before.plan is not None:
                self.change = await in_thread(partial(plan_change, before.plan, plan.whole), background=True)
            self.before = before
            known = await find_known(store, self.nights, inputs.config_uri, inputs.day, before)
            if known is not None or not self.nights.problems:  # otherwise any ticker may be one of a night before
                doubtful = await in_thread(partial(typos, inputs.contents, plan, known), background=True)
        except JobError as error:
            text = template("past nights cannot be read, so this one is not compared with them: {error}")
            self.notify([message(text, error=words_of(error))])
        except Exception:
            # A bug here must not end the run, and must be seen: this writes its traceback to standard error.
            logging.getLogger(__name__).exception("past nights are not compared")
        if self.before is not None and self.change is not None:
            self.notify(list(plan_lines(self.change, self.before.summary.day)))
        self.notify(doubtful)

    def typical_card_seconds(self, config_uri: str) -> Mapping[str, float]:
        """The median seconds of each card type in the latest run of this config that made cards, the slowest first.

        Empty if there is no such run, or if past nights are not read yet.
        """
        summaries = self.nights.summaries if self.nights else ()
        made = (
            one.card_seconds for one in summaries if one.card_seconds and is_same_config(one.config_uri, config_uri)
        )
        return next(made, {})

    def may_follow_failure(self, run_id: str, config_uri: str) -> bool:
        """Whether the latest other run of this config failed. True also if that is not known."""
        if self.nights is None or self.nights.errors:
            return True
        for run in self.nights.runs:
            if run.run_id == run_id:
                continue
            if run.summary is None:  # killed, or unreadable: it may have been of this config
                return True
            if is_same_config(run.summary.config_uri, config_uri):
                return run.outcome is not Outcome.SUCCEEDED
        return False

    def compare(self, report: RunReport, items: Mapping[EngineName, EngineItems]) -> Comparison | None:
        """Compares the run with this report and these items with the night before, and how long it took with those
        before. `None` if there is no night before, or if that fails."""
        try:
            if self.before is None:
                return None
            comparison = compare(report.day, items, self.before, self.change)
            return comparison.model_copy(update={"slower": self._slower(report)})
        except Exception:
            logging.getLogger(__name__).exception("the run is not compared with the night before")  # as above
            return None

    def _slower(self, report: RunReport) -> Slower | None:
        """Whether all attempts at the run together took much longer than usual; `None` if cards were made again."""
        if self.nights is None or report.ended is None or report.asked_again:
            return None
        nights = [
            night
            for night in _fitting(self.nights, report.config_uri, report.day)
            if night.outcome in _COMPLETE and night.attempts == 1
        ]
        return slower(sum(attempt.seconds for attempt in report.attempts), report.engines, nights)
