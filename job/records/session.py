"""Session: for which day a start is, and one attempt's use of the record under the lease, to its end."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import chain

import trio

from job.config.environment import AGAIN, DATE, DAY_VARIABLES, Options
from job.config.faults import ConfigError, Fault, FaultKind
from job.config.read import PlannedConfig, read_config, unreadable
from job.day.attempt import Attempt, Outcome, Start
from job.day.report import Report
from job.day.result import CallResult
from job.engines.calls import Item
from job.execution.progress import Event
from job.execution.shutdown import Shutdown
from job.records.lease import BusyError, Holder, Lease
from job.records.objects import RecordError, attempt_name, end_name, gone
from job.records.past_nights import earlier_try, known_days
from job.records.record import Documents, Journal, Listing, Record, write_document
from job.storage.store import ConflictError, ObjectStore, StorageError, UnusableError, in_thread, in_thread_to_its_end
from job.text.messages import Message, Value, listed, message, not_written, template


@contextmanager
def faults_of_record() -> Iterator[None]:
    """Raises `ConfigError` if RUNS_URI, or the record of the day there, cannot be used as it is."""
    try:
        yield
    except RecordError as error:
        raise ConfigError([Fault("RUNS_URI", error.what, error.remedy, error.kind)]) from error
    except UnusableError as error:
        raise ConfigError([unreadable("RUNS_URI", error)]) from error


async def resolve_day(options: Options, store: ObjectStore) -> tuple[Start, Options, Listing | None]:
    """A start of its day, the options with what is wrong with that, and what is recorded of it if it asks for it again.

    Raises `ConfigError` or `StorageError`, unless there are faults already: then theirs is one more.
    """
    if DAY_VARIABLES & {fault.variable for fault in options.faults}:
        return Start.of(options, None), options, None
    listing = None
    try:
        with faults_of_record():
            days = await known_days(options.settings, store)
            begun = None if options.date else await earlier_try(options, store)
        day, faults = options.day(days)
        if options.again and not faults and not options.settings.task_attempt:
            with faults_of_record():
                listing = await Listing.of(store, day)
        start = Start.of(options, days)
    except (ConfigError, StorageError) as error:
        if not options.faults:
            raise
        faults = [unreadable("RUNS_URI", error)] if isinstance(error, StorageError) else [*error.faults]
        start, begun = Start.of(options, options.days), None
    if begun is not None:
        start = start.model_copy(update={"day": begun[0].day})
    return start, replace(options, faults=[*options.faults, *faults]), listing


async def planned_config(options: Options, store: ObjectStore, start: Start) -> PlannedConfig:
    """The config of a start: that of now; of a day that is over and was begun, the one that its record has.

    Raises as `read_config`, and `RecordError`.
    """
    latest = None
    if not options.faults and start.day < start.days.current(options.now):
        latest = await (await Listing.of(store, start.day)).latest_attempt(store)
    return await read_config(options, start.day, None if latest is None else latest.config)


END_RETRY_SECONDS = 1.0
RELEASE_SECONDS = 0.5
"""Time limit for releasing the lease: after a signal, the last line and the message have little more."""


@dataclass(slots=True)
class StorageAlarm:
    """Reports a storage outage once when it starts and once when it ends, however many parts of a start meet it."""

    notify: Callable[[Message, bool], None]
    failing: set[str] = field(default_factory=set)
    """Which parts have met it, and have not written since."""

    def __call__(self, who: str, problem: Message | None) -> None:
        was_on = bool(self.failing)
        if problem is not None:
            self.failing.add(who)
            if not was_on:
                text = template("storage: {problem}; it is tried again for as long as the lease holds")
                self.notify(message(text, problem=problem), True)
        else:
            self.failing.discard(who)
            if was_on and not self.failing:
                self.notify(message("storage works again"), False)


@dataclass(slots=True)
class Session:
    lease: Lease
    attempt: Attempt
    journal: Journal
    alarm: StorageAlarm
    record: Record
    """What was recorded of the day when it began; the ledger goes on."""
    is_ended: bool = False

    @classmethod
    async def begin(cls, lease: Lease, attempt: Attempt, record: Record, alarm: StorageAlarm) -> "Session":
        """Records the attempt. Raises `StorageError`, and `BusyError` if another start has taken over."""
        day, number = attempt.day, attempt.number
        paused = BusyError(message("this one was paused for longer than its lease lasts"))
        if not lease.is_held():
            raise paused
        try:
            await in_thread_to_its_end(partial(lease.store.create, attempt_name(day, number), attempt.to_json()))
        except ConflictError:
            raise paused from None
        lease.holder = lease.holder.with_begun(attempt)
        journal = Journal(lease.store, day, number, attempt.plan, partial(alarm, "results"))
        return cls(lease, attempt, journal, alarm, record)

    def on_event(self, event: Event) -> None:
        if isinstance(event, CallResult):
            self.record.ledger.add(event)
            self.journal.append(event)

    async def show(self, pages: Documents) -> None:
        """Writes pages while it is at work. What cannot be written is only noticed: they are written again."""
        missing: dict[str, Value] = dict.fromkeys(pages, "")
        await write_documents(self.lease, pages, missing)
        if self.lease.is_held():
            self.alarm("pages", next((not_written(name, why) for name, why in missing.items()), None))

    async def close(self, report: Report, documents: Documents, shutdown: Shutdown) -> Report:
        """Writes results, documents and the end, releases the lease; returns the report with what was not written."""
        missing: dict[str, Value] = dict.fromkeys(documents, message("no time was left for it"))

        def closed() -> Report:
            begun = {self.attempt.number: self.journal.objects} if self.journal.objects else {}
            journal = {**self.record.listing.results, **begun}
            return report.model_copy(update={"journal": journal, "not_written": (*missing, *report.not_written)})

        async def flush() -> None:
            if shutdown.reason is not None:
                self.journal.stop()
            await self.journal.flush()

        with shutdown.record:
            await shutdown.again_after_requests(flush)
            with shutdown.documents:
                await write_documents(self.lease, documents, missing)
                self.alarm("pages", None)
            await shutdown.again_after_requests(partial(self._write_end, closed()))
        for why in dict.fromkeys(missing.values()):
            names = [name for name, reason_of in missing.items() if reason_of == why]
            self.alarm.notify(not_written(listed(names), why), True)
        if not self.is_ended:
            text = template("storage: the record is not complete: {count} results and the end are not written")
            self.alarm.notify(message(text, count=len(self.journal.unwritten)), True)
        await self._release()
        return closed()

    async def _write_end(self, report: Report) -> None:
        create = partial(self.lease.store.create, end_name(report.day, report.number), report.to_json())
        while not self.is_ended:
            try:
                await in_thread(create)
            except ConflictError as error:
                self.alarm.notify(error.text, True)
                return
            except StorageError as error:
                self.alarm("end", not_written(end_name(report.day, report.number), error.reason))
                await trio.sleep(END_RETRY_SECONDS)
            else:
                self.alarm("end", None)
                self.is_ended = True

    async def _release(self) -> None:
        with trio.move_on_after(RELEASE_SECONDS), suppress(StorageError):
            await self.lease.release()
            self.alarm("lease", None)  # it may not have been renewed since
        self.lease.is_closed = True  # there is no time for another try


async def write_documents(lease: Lease, documents: Documents, missing: dict[str, Value]) -> None:
    """Writes each document. `missing` has why they are not written, and loses those that are."""
    for name, make in documents.items():
        write = partial(write_document, lease.store, name, make, lease.is_held)
        try:
            try:
                await write()
            except ConflictError:  # with a page of this start that was given up, and came late
                await write()
        except Exception as error:  # noqa: BLE001  the attempt does not depend on a document
            missing[name] = error.reason if isinstance(error, StorageError) else str(error)
        else:
            del missing[name]


class NewScheduleError(ConfigError):
    """Nothing is recorded of the day of a start that comes late, after the schedule was changed.

    Has the latest day that was begun before, and how many cards the whole new one has.
    """

    def __init__(self, fault: Fault, day_before: str, cards: int) -> None:
        super().__init__([fault])
        self.day_before, self.cards = day_before, cards


def raise_unless_meant(record: Record, start: Start, last: Holder) -> None:
    """Raises `ConfigError` if nothing is recorded of the day, and whoever starts it may not mean a whole night.

    Not if the day is named and confirmed. `last` is what is known of the starts before.
    """
    if record.latest is not None or (start.names_day and "--yes" in start.arguments):
        return
    day, days, now = start.day, start.days, datetime.fromisoformat(start.started)
    if day in last.begun:
        raise gone(day)
    if start.names_day and day != days.current(now):
        what = message("nothing is recorded of {date}: this start would make, and pay for, all of it", date=day)
        raise ConfigError([Fault(DATE, what, message("add --yes if that is meant"), FaultKind.COMMAND)])
    if last.begun and last.schedule_differs(days) and days.is_late(day, now):
        before = last.begun[-1]
        text = template("the schedule was changed since {before}: this start would make, and pay for, all of {day}")
        fault = Fault(
            DATE, message(text, before=before, day=day), message("name the day that is meant"), FaultKind.COMMAND
        )
        raise NewScheduleError(fault, before, record.ledger.counts("qa").planned)


def decide(
    record: Record, start: Start, config: PlannedConfig, listing_before: Listing | None = None
) -> Attempt | None:
    """The attempt that a start adds to the record of its day; `None` if everything is there already.

    What it asks to have made again is opened in the ledger of the record. `listing_before` is what was recorded of the
    day when this start began, if it asks for something again.

    Raises `ConfigError` if the day is that of another config, and what `_rerun` raises.
    """
    latest, ledger = record.latest, record.ledger
    if latest is not None:
        _raise_if_other(latest, start)
    asked_by = latest.asked_by if latest else ()
    if config.again and start.execution not in asked_by:  # a first try may be delivered twice
        _rerun(config.again, record, start, listing_before)
        asked_by = (*asked_by, *([start.execution] if start.execution else []))
    plan = config.plan.digest
    if _is_done(record, plan):
        return None
    return Attempt(
        **{**dict(start), "number": record.listing.latest + 1},
        batch_sizes=dict(config.plan.batch_sizes),
        objects={name: stored.data.decode() for name, stored in config.objects.items()},
        plan=plan,
        again=ledger.reruns,
        asked_by=asked_by,
    )


def _raise_if_other(begun: Start, start: Start) -> None:
    """Raises `ConfigError` if the day began with another config."""
    if begun.config_uri.rstrip("/") == start.config_uri.rstrip("/"):
        return
    text = template("the day began with the config of {then}, but this start has that of {now}")
    remedy = message(
        "if this start is wrong, give it its own RUNS_URI: nothing is lost. Only if the day is wrong, move its "
        "folder out of runs/, and name it with --yes: the whole day is then made, and paid for, again"
    )
    what = message(text, then=begun.config_uri, now=start.config_uri)
    raise ConfigError([Fault("CONFIG_URI", what, remedy, FaultKind.STORAGE)])


def _rerun(items: Iterable[Item], record: Record, start: Start, listing_before: Listing | None) -> None:
    """Opens what a start asks to have made again.

    Raises `BusyError` if it is the retry of a start that is not recorded, or if more is recorded than in
    `listing_before`: another start may have made the same; and `ConfigError` if nothing was made yet.
    """
    if start.task_attempt:
        text = template("The first try recorded nothing to make again on {day}, so this retry makes nothing again")
        raise BusyError(None, message(text, day=start.day))
    if listing_before is not None and record.listing != listing_before:
        raise BusyError(None, message("Another start has just ended"))
    if not any(call.done for call in chain.from_iterable(record.ledger.calls.values())):
        what = message("nothing was made yet for {day}", day=start.day)
        remedy = message("start it without this option, or add the --date that you mean")
        raise ConfigError([Fault(AGAIN, what, remedy, FaultKind.COMMAND)])
    record.ledger.rerun(items, record.listing.latest + 1)


def _is_done(record: Record, plan: str) -> bool:
    """Whether the latest attempt had this plan and has ended with all of it done, and with all documents written."""
    latest, end, ledger = record.latest, record.end, record.ledger
    if latest is None or end is None or latest.plan != plan or not ledger.is_complete:
        return False
    is_same = end.without == ledger.left_out
    return end.outcome is Outcome.SUCCEEDED and is_same and not end.not_written
