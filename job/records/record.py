"""Day: the record of one day, as it is read. A later attempt goes on from it, and reports show it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from job.config.plan import Plan
from job.day.attempt import Attempt, Start, read_attempt
from job.day.ending import Ending
from job.day.format import (
    ATTEMPTS,
    CARDS,
    ENDS,
    PAGE,
    RESULTS,
    RecordError,
    altered,
    attempt_name,
    end_name,
    missing,
    results_name,
)
from job.day.ledger import Ledger
from job.day.outcome import Outcome, Severity
from job.day.report import Report, read_report, report_of
from job.records import lease
from job.records.journal import read_journal
from job.storage.store import ConflictError, ObjectStore, StoredObject, in_thread, read_many
from job.text.messages import message


@dataclass(frozen=True, slots=True)
class Document:
    """An object beside the record that is made when an attempt has ended. The job never reads it."""

    name: str
    """Below RUNS_URI."""
    make: Callable[[], bytes | None]
    """`None` if another start will write it."""
    there: StoredObject | None = None
    """The one that it replaces, if it is known: read before what it shows."""
    read: Callable[[ObjectStore], Awaitable[object]] | None = None
    """Reads anew what it shows, if that changes."""

    async def write(self, store: ObjectStore, start: Start) -> None:
        """Makes and writes it for this start; again if another one has written it meanwhile.

        It stays as it is if a later attempt at the day is recorded by then. Raises `StorageError`, which is a
        `ConflictError` after the third time, and what `make` and `read` raise.
        """
        there, is_latest = self.there, bool(start.number)  # a refused start has no lease
        for is_last in (False, False, True):
            if not is_latest and (await Listing.of(store, start.day)).latest > start.number:
                break
            try:
                await in_thread(partial(self._write, store, there))
                break
            except ConflictError:
                if is_last:
                    raise
            there, is_latest = await in_thread(partial(store.read, self.name, 1)), False
            if self.read is not None:
                await self.read(store)

    def _write(self, store: ObjectStore, there: StoredObject | None) -> None:
        data = self.make()
        if data is None:
            return
        if there is None:
            store.create(self.name, data)
        else:
            store.replace(self.name, data, there.generation)


@dataclass(frozen=True, slots=True)
class Listing:
    """The names of a day's objects. The latest attempt is the one with the highest number in any name.

    An attempt that was paused beyond its lease keeps its number, so that whatever it still writes does not come last.
    """

    day: str
    attempts: frozenset[int]
    results: Mapping[int, int]
    """How many objects of results there are of each attempt."""
    ends: frozenset[int]
    """0 is that of a start that was refused."""
    documents: frozenset[str]
    """Which of the page and the table there are."""

    @classmethod
    async def of(cls, store: ObjectStore, day: str, *, background: bool = False) -> "Listing":
        """Lists a day. Raises `RecordError` if a name is not one that the job gives, and `StorageError`."""
        names = await in_thread(partial(store.names, f"{day}/"), background=background)
        return cls.from_names(day, names)

    @classmethod
    def from_names(cls, day: str, names: list[str]) -> "Listing":
        """The listing with these names, which are sorted. Raises `RecordError`."""
        attempts, ends, results = set[int](), set[int](), dict[int, int]()
        for name in names:
            own = name.removeprefix(f"{day}/")
            if own.endswith("/"):
                continue  # an empty object, with which some programs make a folder in a bucket
            if own.startswith(ATTEMPTS):
                attempts.add(number := _number(name, own, ATTEMPTS))
                _check(name, attempt_name(day, number))
            elif own.startswith(ENDS):
                ends.add(number := _number(name, own, ENDS))
                _check(name, end_name(day, number))
            elif own.startswith(RESULTS):
                number = _number(name, own, RESULTS)
                if attempts:  # else their age has taken them, and takes these one by one
                    _check(name, results_name(day, number, results.get(number, 0)))  # there is none left out
                results[number] = results.get(number, 0) + 1
        documents = frozenset(one for one in (PAGE, CARDS) if f"{day}/{one}" in names)
        return cls(day, frozenset(attempts), results, frozenset(ends), documents)

    @property
    def latest(self) -> int:
        """The number of the latest attempt; 0 without one."""
        return max((*self.attempts, *self.results, *self.ends), default=0)

    @property
    def is_refused(self) -> bool:
        """Whether nothing is there but a start that was refused."""
        return self.latest == 0 and 0 in self.ends

    @property
    def is_recorded(self) -> bool:
        """Whether a start of the day is recorded, if only one that was refused."""
        return bool(self.latest or self.ends)

    async def attempt(self, store: ObjectStore, *, background: bool = False) -> Attempt | None:
        """How the latest attempt began; `None` without one. Raises `RecordError` and `StorageError`."""
        if not self.latest:
            return None
        name = attempt_name(self.day, self.latest)
        stored = await in_thread(partial(store.read, name), background=background)
        if stored is None:
            raise missing(name)
        return read_attempt(self.day, self.latest, stored.data)

    async def reports(self, store: ObjectStore) -> Mapping[int, Report]:
        """The reports of the attempts that have ended, by their numbers. Raises `RecordError` and `StorageError`."""
        names = {end_name(self.day, number): number for number in self.ends if number}
        found = await read_many(store, sorted(names))
        return {names[name]: read_report(self.day, names[name], stored.data) for name, stored in found.items()}


def _number(name: str, own: str, folder: str) -> int:
    digits = own.removeprefix(folder)[:6]
    if not (digits.isascii() and digits.isdigit()):
        raise _foreign(name)
    return int(digits)


def _check(name: str, expected: str) -> None:
    if name == expected:
        return
    if RESULTS in expected and RESULTS in name and name > expected:
        raise missing(expected)
    raise _foreign(name)


def _foreign(name: str) -> RecordError:
    return altered(name, message("remove it"))


@dataclass(frozen=True, slots=True)
class Record:
    """All that is recorded of a day."""

    listing: Listing
    latest: Attempt | None
    """How the latest attempt began; `None` without one."""
    reports: Mapping[int, Report]
    """Of the attempts that have ended, by their numbers."""
    ledger: Ledger

    @classmethod
    async def read(cls, store: ObjectStore, day: str, plan: Plan | None = None) -> "Record":
        """Reads a day, with all its results, into the ledger of this plan; by default that of the latest attempt.

        Raises `StorageError`, and `RecordError` if something is missing or was altered.
        """
        listing = await Listing.of(store, day)
        latest = await listing.attempt(store)
        reports = await listing.reports(store)
        _check_results(listing, reports)
        if plan is None:
            plan = Plan.empty(day) if latest is None else latest.made_plan()
        ledger = Ledger(plan, latest.again if latest else ())
        await read_journal(store, day, listing.results, ledger)
        return cls(listing, latest, reports, ledger)

    @property
    def ended(self) -> Report | None:
        """The report of the latest attempt; `None` if that has not ended, or without one."""
        return self.reports.get(self.listing.latest)

    @property
    def severity(self) -> Severity | None:
        """How grave it was as the day stood when it was read; `None` if nothing was recorded of it."""
        if len(self.reports) < len(self.listing.attempts):
            return Outcome.KILLED.about.severity
        if self.listing.is_refused:
            return Outcome.BAD_CONFIG.about.severity
        return None if self.ended is None else self.ended.severity


def _check_results(listing: Listing, reports: Mapping[int, Report]) -> None:
    for report in reports.values():
        for number, count in report.journal.items():
            if (there := listing.results.get(number, 0)) < count:
                raise missing(results_name(listing.day, number, there))


async def read_day(store: ObjectStore, day: str) -> tuple[Report, Record] | None:
    """How a day stands, and its record with all results; `None` if no start of it is recorded.

    Raises `RecordError` and `StorageError`.
    """
    record = await Record.read(store, day)
    ledger, ended = record.ledger, record.ended
    if record.latest is None:
        refused = await read_refused(store, day) if record.listing.is_refused else None
        return None if refused is None else (refused, record)
    if ended is None:
        return report_of(record.latest, ledger, Ending.worded(await state(store, day), ledger)), record
    ledger.set_aside = list(ended.set_aside)
    if ledger.totals() != ended.engines:  # an attempt that was paused has added results since
        ending = Ending.worded(Outcome.SUCCEEDED, ledger)
        if not ledger.is_complete:
            ending = Ending.worded(ended.outcome, ledger, exit_code=ended.exit_code)
        now = report_of(record.latest, ledger, ending)
        update = {"ended": ended.ended, "seconds": ended.seconds, "detail": ended.detail, "journal": ended.journal}
        if now.outcome is Outcome.SUCCEEDED:
            update["ended"] = datetime.fromtimestamp(ledger.last, ended.offset).isoformat(timespec="seconds")
        ended = now.model_copy(update=update)
    return ended, record


async def read_refused(store: ObjectStore, day: str, *, background: bool = False) -> Report | None:
    """The report of the start that was refused; `None` if there is none. Raises `RecordError` and `StorageError`."""
    stored = await in_thread(partial(store.read, end_name(day, 0)), background=background)
    return None if stored is None else read_report(day, 0, stored.data)


async def state(store: ObjectStore, day: str) -> Outcome:
    """The state of a day whose latest attempt has not ended. Raises `StorageError`."""
    seen = await lease.peek(store)
    is_at_work = seen is not None and seen.holder.day == day and seen.seems_alive
    return Outcome.AT_WORK if is_at_work else Outcome.KILLED


async def record_refusal(store: ObjectStore, report: Report) -> bool:
    """Records a start that was refused if the day has no attempt. Returns whether it did.

    Needs no lease. Raises `StorageError`.
    """
    if (await Listing.of(store, report.day)).latest:
        return False
    await Document(end_name(report.day, 0), report.packed).write(store, report)
    return True
