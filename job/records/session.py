"""Session: one attempt's use of the record, from its entry to its end. It needs the lease."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import trio

from job.config.faults import ConfigError, Fault
from job.execution.shutdown import Budget, Shutdown
from job.ledger.ledger import Ledger
from job.planning.prepare import Prepared
from job.records.day import Document, Listing, read_results
from job.records.journal import Journal
from job.records.lease import BusyError, Lease
from job.report.attempt import Entry, Start, contents_of
from job.report.format import attempt_name, end_name
from job.report.outcome import NOTHING_CALLED, Outcome
from job.report.report import Report
from job.storage.store import ConflictError, StorageError, in_thread, words_of
from job.text.messages import Message, message, template

RETRY_SECONDS = 1.0
_TAKEN_OVER = message(Outcome.BUSY.about.sentence, cards=NOTHING_CALLED)
_RETRY = message("A retry asks for nothing again: nothing was called")
Notify = Callable[[Message, bool], None]
"""Gets a text about storage, and whether it is a fault."""


@dataclass(slots=True)
class StorageAlarm:
    """Reports a storage outage once when it starts and once when it ends."""

    notify: Notify
    is_on: bool = False

    def __call__(self, problem: Message | None) -> None:
        if problem is not None and not self.is_on:
            text = template("storage: {problem}; it is tried again for as long as the lease holds")
            self.notify(message(text, problem=problem), True)
        elif problem is None and self.is_on:
            self.notify(message("storage works again"), False)
        self.is_on = problem is not None


@dataclass(slots=True)
class Session:
    """The record of an attempt in progress."""

    lease: Lease
    entry: Entry
    journal: Journal
    notify: Notify
    found: dict[int, int]
    """How many objects of results there were of each earlier attempt."""
    before: Report | None
    """The report of the latest attempt before this one, if that has ended."""
    was_killed: bool
    """Whether an earlier attempt has not ended."""
    was_refused: bool
    """Whether nothing is recorded before but a start that was refused."""
    is_ended: bool = False
    """Whether the end is written."""
    alarm: StorageAlarm = field(init=False)

    def __post_init__(self) -> None:
        self.alarm = StorageAlarm(self.notify)

    def objects(self) -> dict[int, int]:
        """How many objects of results there are of each attempt, this one included."""
        own = {self.entry.number: self.journal.objects} if self.journal.objects else {}
        return {**self.found, **own}

    async def write(self, documents: Sequence[Document], shutdown: Shutdown, *, at_once: bool) -> set[str]:
        """Writes the remaining results, and then the documents. Returns the names of those that were written.

        It may take for as long as the lease is trusted; only little if `at_once`, and once the shutdown hurries.
        """
        left, written = list(documents), set[str]()

        async def work() -> None:
            await self.journal.flush()
            while left and self.lease.is_held():
                try:
                    await self._write_document(left[0])
                    written.add(left[0].name)
                except Exception as error:  # noqa: BLE001  the attempt does not depend on a document
                    self.notify(message(left[0].problem, error=words_of(error)), True)
                left.pop(0)

        await self._closing(work, shutdown, at_once=at_once)
        reason = message("storage took too long") if self.lease.is_held() else message("the lease is lost")
        for document in left:
            self.notify(message(document.problem, error=reason), True)
        return written

    async def end(self, report: Report, shutdown: Shutdown, *, at_once: bool) -> None:
        """Writes the report with which the attempt ends, after everything else. It is tried again, as in `write`."""
        name, data = end_name(report.day, report.number), report.packed()

        async def work() -> None:
            if self.journal.unwritten:
                return
            while True:
                try:
                    await in_thread(partial(self.lease.store.create, name, data))
                except ConflictError as error:
                    self.notify(message("storage: {error}", error=words_of(error)), True)
                    return
                except StorageError as error:
                    self.alarm(message("the end is not written yet: {error}", error=words_of(error)))
                    await trio.sleep(RETRY_SECONDS)
                else:
                    self.alarm(None)
                    self.is_ended = True
                    return

        await self._closing(work, shutdown, at_once=at_once)
        if not self.is_ended:
            text = template("storage: the record is not complete: {count} results and the end are not written")
            self.notify(message(text, count=self.journal.unwritten), True)

    async def release(self) -> None:
        """Releases the lease."""
        released = False
        with trio.move_on_after(Budget.RELEASE, shield=True):
            with suppress(StorageError):
                await self.lease.release()
                released = True
        self.lease.is_settled = True  # there is no time for another try
        if not released:
            text = template("storage: the lease is not released; other starts have to wait for a minute")
            self.notify(message(text), True)

    async def _closing(self, work: Callable[[], Awaitable[None]], shutdown: Shutdown, *, at_once: bool) -> None:
        if not at_once:
            is_over = False
            with shutdown.closing(self.lease.trusted_until):
                await work()
                is_over = True
            if is_over:
                return
        with trio.move_on_at(shutdown.closing_until):
            await work()

    async def _write_document(self, document: Document) -> None:
        """Raises `StorageError` and what `make` raises."""
        store = self.lease.store

        def write() -> None:
            document.write(store, store.read(document.name, 1))

        await in_thread(write)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a start has found of its day."""

    start: Start
    """This start, with its number if it is an attempt, and with the trace id of the day."""
    ledger: Ledger
    session: Session | None
    """`None` if everything is there already: nothing is written then."""
    before: Report | None
    """The report of the latest attempt before, if that has ended."""
    latest: Entry | None
    """How that attempt began; `None` without one."""


async def open_session(lease: Lease, start: Start, prepared: Prepared, notify: Notify) -> Opened:
    """Reads the record of the day into a ledger, and adds this attempt to it, unless everything is there already.

    Raises `StorageError`, `RecordError`, `ConfigError`, and `BusyError` if another start has taken over meanwhile, or
    if this is the retry of a start that stood back.
    """
    store = lease.store
    listing = await Listing.of(store, start.day)
    latest = await listing.entry(store)
    reports = await listing.reports(store)
    if latest is not None and latest.config_uri.rstrip("/") != start.config_uri.rstrip("/"):
        what = message("the day {day} was begun with the config at {uri}", day=start.day, uri=latest.config_uri)
        remedy = message("set it to that, or set RUNS_URI to another place: each config has its own")
        raise ConfigError([Fault("CONFIG_URI", what, remedy)])
    ledger = Ledger(prepared.plan, latest.again if latest else ())
    await read_results(store, listing, ledger, reports)
    number, again = listing.latest + 1, prepared.again
    asked_by = latest.asked_by if latest else ()
    if again is not None and not start.task_attempt:
        ledger.ask_again(again, number)
        asked_by = (*asked_by, *([start.execution] if start.execution else []))
    elif again is not None and start.execution not in asked_by:
        said = message("the first try of this execution has asked for nothing, so its retry does not either")
        raise BusyError(said, _RETRY)
    before, plan = reports.get(listing.latest), prepared.plan.digest()
    if latest is not None:
        start = start.model_copy(update={"trace_id": latest.trace_id, "began": latest.began})
    is_closed = (
        before is not None
        and before.outcome is Outcome.SUCCEEDED
        and before.without == ledger.left_out
        and not before.not_written
    )
    if is_closed and latest is not None and latest.plan == plan and not ledger.is_left:
        return Opened(start, ledger, None, before, latest)
    entry = Entry(
        **{**start.model_dump(), "number": number},
        owner=lease.holder.owner,
        objects=dict(contents_of(prepared)),
        batch_sizes=dict(prepared.plan.batch_sizes),
        plan=plan,
        cards=prepared.plan.count("qa"),
        again=tuple(ledger.requests),
        asked_by=asked_by,
    )
    if not lease.is_held():
        raise BusyError(message("this one was paused for longer than its lease lasts"), _TAKEN_OVER)
    try:
        await in_thread(partial(store.create, attempt_name(start.day, number), entry.packed()))
    except ConflictError:
        said = message("attempt {number} of {day} is another one", number=number, day=start.day)
        raise BusyError(said, _TAKEN_OVER) from None
    journal = Journal(store, start.day, number, plan, StorageAlarm(notify))
    was_killed = len(reports) < len(listing.attempts)
    found = dict(listing.results)
    session = Session(lease, entry, journal, notify, found, before, was_killed, listing.is_refused)
    return Opened(start.model_copy(update={"number": number}), ledger, session, before, latest)
