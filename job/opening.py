"""Opening: a start opens its day for an attempt; or it makes none, in one of the ways that are all here."""

import gc
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import trio

from job.config.environment import Options
from job.config.faults import ConfigError, Fault
from job.config.read import read_config
from job.day.attempt import Outcome, Start
from job.day.changes import lost_numbers
from job.day.ending import Ending, ending_of
from job.day.ledger import Ledger
from job.day.report import Report
from job.day.summary import report_of
from job.errors import JobError
from job.execution.shutdown import Shutdown, ShutdownError
from job.outputs.log import Reporter
from job.outputs.pages import documents, pages
from job.records.lease import BusyError, Holder, Lease, acquire
from job.records.objects import end_name
from job.records.past_nights import FINAL, PastNights, ended_for_good
from job.records.record import Record, read_day, write_document, write_without_lease
from job.records.session import (
    NewScheduleError,
    Session,
    StorageAlarm,
    decide,
    faults_of_record,
    planned_config,
    raise_unless_meant,
    resolve_day,
    write_documents,
)
from job.storage.store import StorageError, error_text
from job.storage.uri import open_store
from job.telling.advice import Commands, advice, whole_night
from job.telling.lines import Line
from job.telling.nights import undone_lines
from job.telling.notes import plan_notes
from job.telling.view import View
from job.text.messages import Message, Value, colon, message, not_written, semicolon
from job.text.shown import clock

REFUSAL_SECONDS = 3.0


@dataclass(slots=True)
class DayStatus:
    """What a start knows of its day so far: also after a bug, a person is told that.

    What looks at all items does so in a thread: of a million that takes 2 s, in which the lease is renewed.
    """

    options: Options
    reporter: Reporter
    shutdown: Shutdown
    past_nights: PastNights
    start: Start
    record: Record | None = None
    """That of its day, once it is known what the start adds to it."""
    lease: Lease | None = None

    @classmethod
    def of(cls, options: Options, reporter: Reporter) -> "DayStatus":
        past_nights = PastNights(reporter.on_notices)
        return cls(options, reporter, Shutdown(), past_nights, Start.of(options, options.days))

    @property
    def seconds(self) -> float:
        """Since the process started."""
        return time.monotonic() - self.options.started

    @property
    def runs_uri(self) -> str | None:
        return self.options.settings.runs_uri

    @property
    def commands(self) -> Commands:
        return Commands(self.start, self.runs_uri or "", self.start.days, datetime.now(UTC))

    def on_start(self, start: Start) -> None:
        self.start = start
        self.reporter.on_day(start)

    def on_wait(self, text: Message) -> None:
        """Tells in the log for whom it waits. No page says it: without the lease, both are the other one's."""
        ends_by = self.start.ends_by
        if ends_by is not None:
            text = semicolon(text, message("it waits until {time} at the latest", time=clock(ends_by, self.start.day)))
        self.reporter.on_message("run.waiting", text)

    def on_storage(self, text: Message, is_fault: bool) -> None:
        self.reporter.on_message("storage.failed" if is_fault else "storage.recovered", text)

    def view(self, ending: Ending, faults: Sequence[Fault] = (), ledger: Ledger | None = None) -> View:
        """The day as it stands now; `ledger` is that of its record, if this start has not read it."""
        past_nights, start, record = self.past_nights, self.start, self.record
        ledger = ledger or (Ledger.empty(start.day) if record is None else record.ledger)
        before = past_nights.before(ledger.plan)
        report = report_of(start, ledger, ending, seconds=self.seconds, faults=faults, before=before)
        undone = () if past_nights.nights is None else undone_lines(past_nights.nights, report)
        is_retried = start.has_retry and report.outcome not in FINAL
        return View.of(report, ledger, self.commands, undone, is_retried=is_retried)

    def view_after_bug(self) -> View:
        """The same once a bug has kept the record from being closed. Whatever the ledger has, it does not raise."""
        ending = Ending(Outcome.UNFORESEEN)
        try:
            return self.view(ending)
        except Exception:  # noqa: BLE001  the bug itself is reported already
            return self.view(ending, ledger=Ledger.empty(self.start.day))


async def open_day(status: DayStatus, stack: AsyncExitStack, helpers: trio.Nursery) -> Session | View:
    """Opens the day for an attempt, and releases its lease with `stack`; or returns how the start ends without one."""
    found: Session | Report | None = None
    ending: Ending | None = None
    faults: Sequence[Fault] = ()
    unclear: NewScheduleError | None = None
    try:
        with suppress(ShutdownError), status.shutdown.interruptible():
            found = await ended_for_good(status.options) or await _begin(status, stack, helpers)
    except ConfigError as error:
        faults, unclear = error.faults, error if isinstance(error, NewScheduleError) else None
    except BusyError as error:
        ending = Ending(Outcome.BUSY, why=error.why, detail=error.holder)
    except StorageError as error:
        ending = Ending(Outcome.STORAGE_FAILED, detail=colon(error.place, error.text))
    if isinstance(found, Session):  # its attempt is recorded, also if a shutdown has come since
        return found
    if found is not None:
        status.on_start(found)
        return replace(View.of(found, Ledger.empty(found.day), status.commands), was_sent=True)
    if faults:  # not above, where the error holds the record, which is read again
        status.reporter.on_faults(faults)
        view = await _refused(status, faults)
        return view if unclear is None else replace(view, steps=await _both_nights(status, unclear))
    if status.record is not None:
        return await _nothing_left(status, status.record)
    return status.view(ending or ending_of(None, status.shutdown.reason, None, status.shutdown.not_renewed))


async def _begin(status: DayStatus, stack: AsyncExitStack, helpers: trio.Nursery) -> Session | None:
    """Gets the lease, reads what the day has, and adds an attempt to it, unless nothing is left to be done."""
    options, shutdown = status.options, status.shutdown
    status.reporter.on_notices(options.settings.notices)
    if status.runs_uri is None:
        await read_config(options, status.start.day)  # raises this fault, and those of the config
    store = open_store(status.runs_uri or "", make=True)
    start, options, listing_before = await resolve_day(options, store)
    status.on_start(start)
    day, alarm = start.day, StorageAlarm(status.on_storage)
    with faults_of_record():
        config = await planned_config(options, store, start)
        waits = not options.again  # who asks for something again looks first at what the other one makes
        acquired = acquire(store, Holder.of(start), status.on_wait, waits=waits)
        lease = status.lease = await stack.enter_async_context(acquired)
        helpers.start_soon(shutdown.watch, lease.renew_forever, shutdown, partial(alarm, "lease"), name="lease")
        helpers.start_soon(shutdown.watch, status.past_nights.read_beside, store, day, name="past nights")
        if lease.has_waited:
            config = await planned_config(options, store, start)
        record = await Record.read(store, day, config.plan)
        await _raise_if_numbers_are_lost(status.past_nights, record)
        start = record.continued_by(start.with_config(config))
        raise_unless_meant(record, start, lease.holder)
        attempt = decide(record, start, config, listing_before)
        session = None if attempt is None else await Session.begin(lease, attempt, record, alarm)
    status.record = record
    status.on_start(start if attempt is None else attempt)
    status.reporter.on_notices([*record.ledger.plan.notices, *plan_notes(record.ledger.plan)])
    gc.freeze()  # looking for cycles among a million objects of plan and record takes 0.7 s, and stops all threads
    if session is not None:
        helpers.start_soon(shutdown.watch, session.journal.run, name="journal")
    return session


async def _raise_if_numbers_are_lost(past_nights: PastNights, record: Record) -> None:
    """Raises `ConfigError` if cards of a ticker would be made as those of a topic, unlike on the night before.

    Only then the night before is waited for; and what this day has begun with is not asked about again.
    """
    plan = record.ledger.plan
    is_new = record.latest is None or record.latest.plan != plan.digest
    if is_new and any(target.is_taken_for_topic for target in plan.targets):
        await past_nights.wait_until_read()
        before = await trio.to_thread.run_sync(past_nights.before, plan)
        if before is not None and (faults := [*lost_numbers(before[1], plan)]):
            raise ConfigError(faults)


async def _nothing_left(status: DayStatus, record: Record) -> View:
    """Everything is there, by whichever start."""
    status.shutdown.begin_closing()
    with status.shutdown.nights:
        await status.past_nights.wait_until_read()
    done_since = (record.end and record.end.done_at) or status.options.now
    view = await trio.to_thread.run_sync(status.view, Ending(Outcome.SUCCEEDED, done_since=done_since))
    if status.lease is not None:
        to_write = pages(view, status.past_nights, status.options.settings, has_table=view.report.cards.planned > 0)
        missing: dict[str, Value] = dict.fromkeys(to_write, message("no time was left for it"))
        with status.shutdown.documents:
            await write_documents(status.lease, to_write, missing)
        for name, why in missing.items():
            status.on_storage(not_written(name, why), True)
    return view.with_page(status.runs_uri)


async def _both_nights(status: DayStatus, unclear: NewScheduleError) -> tuple[Line, ...]:
    """How to go on with the night before, if something of it is missing, and how to begin the new one."""
    steps: list[Line] = []
    with suppress(JobError), trio.move_on_after(REFUSAL_SECONDS):
        recorded = await read_day(open_store(status.runs_uri or ""), unclear.day_before)
        if recorded is not None:
            report, record = recorded
            steps += [step for step in advice(report, record.ledger, status.commands) if step.is_start]
    return (*steps, whole_night(status.commands, status.start, unclear.cards, is_named=True))


async def _refused(status: DayStatus, faults: Sequence[Fault]) -> View:
    """Records the faults, and how the day stands if it has no attempt; else says that. Never raises."""
    ending, day = Ending(Outcome.BAD_CONFIG), status.start.day
    # What the first try was refused for, it has told.
    view = replace(status.view(ending, faults), was_sent=status.start.task_attempt > 0)
    is_unknown = not status.start.knows_days or "RUNS_URI" in {fault.variable for fault in faults}
    if view.report.is_of_command or status.runs_uri is None or is_unknown:
        return view
    try:
        with trio.fail_after(REFUSAL_SECONDS):
            store = open_store(status.runs_uri, make=True)
            recorded = await read_day(store, day)
            if recorded is None and status.start.names_day:  # a mistyped one would be a night that nobody meant
                return view
            view = replace(status.view(ending, faults, recorded and recorded[1].ledger), was_sent=view.was_sent)
            await write_document(store, end_name(day, 0), view.report.to_json)
            if recorded is not None and recorded[1].latest is not None:
                return view
            if status.past_nights.nights is None:
                await status.past_nights.read_beside(store, day)
            await write_without_lease(store, day, documents(view, status.past_nights, status.options.settings))
    except Exception as error:  # noqa: BLE001  see above
        problem = error_text(error) or message("no answer within {seconds} s", seconds=REFUSAL_SECONDS)
        status.on_storage(not_written(f"{day}/", problem), True)
        return view
    return view.with_page(status.runs_uri)
