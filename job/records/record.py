"""Record of one day: how it is read, and the journal, which writes an attempt's results in the background."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import trio
from pydantic_core import from_json, to_json

from job.config.plan import Plan
from job.day.attempt import FORMAT, Attempt, Outcome, Severity, Start
from job.day.ending import Ending
from job.day.ledger import Ledger
from job.day.report import CARDS, PAGE, Report
from job.day.result import CallResult
from job.day.summary import report_of
from job.records.lease import Holder, peek
from job.records.objects import (
    ATTEMPTS,
    ENDS,
    RESULTS,
    RecordError,
    altered,
    attempt_name,
    check_format,
    end_name,
    missing,
    plan_of,
    read_attempt,
    read_report,
    results_name,
)
from job.storage.store import THREADS, ObjectStore, StorageError, each_of, in_thread
from job.text.messages import Message, message, not_written

WRITE_SECONDS = 1.0
"""How long a result waits at most before it is written. A night of three hours makes 10,000 objects so."""
WRITE_RESULTS = 100
"""A write starts when this many results wait. At fewer than 40 calls per second, fewer arrive during one write."""
WRITE_RETRY_SECONDS = 1.0
_NAME = re.compile(r"(attempts/|ends/)([0-9]{6})\.json|(results/)([0-9]{6})-[0-9]{6}\.jsonl")


@dataclass(slots=True)
class Journal:
    """Appends results to the record of an attempt. Keeps every result until it is written."""

    store: ObjectStore
    day: str
    number: int
    plan: str
    on_outage: Callable[[Message | None], None]
    """Gets why writing fails, and `None` when it works again."""
    objects: int = 0
    """How many objects were begun; once everything is flushed, all of them are written."""
    _pending: list[CallResult] = field(default_factory=list)
    _chunk: tuple[str, bytes] | None = None
    """The object that is being written. It is kept unchanged until it is written, so that the write can be repeated."""
    _in_chunk: list[CallResult] = field(default_factory=list)
    _full: trio.Event = field(default_factory=trio.Event)
    _running: trio.CancelScope = field(default_factory=trio.CancelScope)
    _writing: trio.Lock = field(default_factory=trio.Lock)
    _writing_took: float = 0.0

    @property
    def unwritten(self) -> list[CallResult]:
        """The results that are not known to be written."""
        return self._in_chunk + self._pending

    def append(self, result: CallResult) -> None:
        self._pending.append(result)
        if len(self._pending) >= WRITE_RESULTS:
            self._full.set()

    async def run(self) -> None:
        """Writes appended results until it is stopped: every `WRITE_SECONDS`, or when `WRITE_RESULTS` wait."""
        with self._running:
            while True:
                # Counted from the start of the last write: results that were appended during it have waited already.
                with trio.move_on_at(trio.current_time() + WRITE_SECONDS - self._writing_took):
                    await self._full.wait()
                await self.flush()

    def stop(self) -> None:
        """Ends `run`, even during a write that hangs. `flush` repeats that write."""
        self._running.cancel()

    async def flush(self) -> None:
        """Returns when all results appended so far are written, however long that takes."""
        async with self._writing:
            began = trio.current_time()
            await self._write()  # again what an earlier flush could not
            if self._pending:
                self._chunk = self.next_chunk()
                await self._write()
            self._writing_took = trio.current_time() - began

    async def _write(self) -> None:
        while self._chunk is not None:
            try:
                await in_thread(partial(self.store.create, *self._chunk))
            except StorageError as error:
                self.on_outage(not_written(self._chunk[0], error.reason))
                await trio.sleep(WRITE_RETRY_SECONDS)
            else:
                self._chunk, self._in_chunk = None, []
                self.on_outage(None)

    def next_chunk(self) -> tuple[str, bytes]:
        """Takes what is not written yet: it is one object, whatever is appended until that is written."""
        self._in_chunk, self._pending, self._full = self._pending, [], trio.Event()
        name = results_name(self.day, self.number, self.objects)
        header = {"format": FORMAT, "name": name, "plan": self.plan, "lines": len(self._in_chunk)}
        self.objects += 1
        return name, b"\n".join([to_json(header), *(result.line() for result in self._in_chunk), b""])


async def read_journal(store: ObjectStore, day: str, counts: Mapping[int, int], ledger: Ledger) -> None:
    """Adds all results of a day to its ledger, in any order. Raises `RecordError` and `StorageError`."""
    plan = await trio.to_thread.run_sync(lambda: ledger.plan.digest)
    names = {results_name(day, number, place): number for number in sorted(counts) for place in range(counts[number])}
    turn = Lock()

    def read(name: str) -> None:
        data = store.content(name)
        if data is None:
            raise missing(name)
        with turn:  # else the event loop, which renews the lease, would wait for all threads
            _add(name, names[name], data, plan, ledger)

    await each_of([*names], lambda name: in_thread(partial(read, name)), THREADS)


def _add(name: str, number: int, data: bytes, plan: str, ledger: Ledger) -> None:
    head, _, body = data.partition(b"\n")
    lines = body[:-1].split(b"\n")
    try:
        header = from_json(head)
        check_format(name, header["format"])
        if (header["name"], header["lines"]) != (name, len(lines)):
            raise altered(name)
        is_of_plan = header["plan"] == plan
        results = [CallResult.parse(line, number) for line in lines]
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise altered(name) from error
    try:
        for result in results:
            ledger.add(result, is_of_plan=is_of_plan)
    except LookupError as error:
        raise RecordError(message("{object} has a result that its attempt did not plan", object=name)) from error


Documents = Mapping[str, Callable[[], bytes]]
"""Objects beside the record that the job never reads: their names below RUNS_URI, and what makes each of them."""


async def write_document(
    store: ObjectStore, name: str, make: Callable[[], bytes], is_held: Callable[[], bool] = lambda: True
) -> None:
    """Makes a document and writes it over what is there. Raises `StorageError`, and what `make` raises.

    Whether the lease `is_held` is asked between reading and writing: who takes it over later, and writes the same
    document, makes this write fail, however late it comes.
    """

    def write() -> None:
        data = make()
        if there is None:
            store.create(name, data)
        else:
            store.replace(name, data, there.generation)

    there = await in_thread(partial(store.read, name, 1))
    if not is_held():
        raise StorageError(message("the lease is lost"))
    await in_thread(write)


@dataclass(frozen=True, slots=True)
class Listing:
    """The names of a day's objects. The latest attempt is the one with the highest number in any name.

    An attempt that was paused beyond its lease keeps its number, so that whatever it still writes does not come last.
    """

    day: str
    attempts: frozenset[int]
    results: Mapping[int, int]
    ends: frozenset[int]
    """0 is that of a start that was refused."""
    documents: frozenset[str]
    """Which of the page and the table exist."""

    @classmethod
    async def of(cls, store: ObjectStore, day: str) -> "Listing":
        """Lists a day. Raises `RecordError` if a name is not one that the job gives, and `StorageError`."""
        return cls.from_names(day, await in_thread(partial(store.names, f"{day}/")))

    @classmethod
    def from_names(cls, day: str, names: list[str]) -> "Listing":
        """The listing with these names, which are sorted. Raises `RecordError`."""
        attempts, ends, results = set[int](), set[int](), dict[int, int]()
        for name in names:
            path = name.removeprefix(f"{day}/")
            if path.endswith("/") or not path.startswith((ATTEMPTS, RESULTS, ENDS)):
                continue  # some programs make a folder in a bucket with an empty object
            found = _NAME.fullmatch(path)
            if found is None:
                raise altered(name, message("remove it"))
            folder, digits = filter(None, found.groups())
            number = int(digits)
            if folder == RESULTS:
                expected = results_name(day, number, results.get(number, 0))
                if attempts and name != expected:  # else their age has taken them, and takes these one by one
                    raise missing(expected)
                results[number] = results.get(number, 0) + 1
            else:
                (attempts if folder == ATTEMPTS else ends).add(number)
        documents = frozenset(document for document in (PAGE, CARDS) if f"{day}/{document}" in names)
        return cls(day, frozenset(attempts), results, frozenset(ends), documents)

    @property
    def latest(self) -> int:
        """The number of the latest attempt; 0 without one."""
        return max((*self.attempts, *self.results, *self.ends), default=0)

    @property
    def is_refused(self) -> bool:
        """Whether nothing is there but a start that was refused."""
        return self.latest == 0 and 0 in self.ends

    async def latest_attempt(self, store: ObjectStore) -> Attempt | None:
        """How the latest attempt began; `None` without one. Raises `RecordError` and `StorageError`."""
        return await self.attempt(store, self.latest) if self.latest else None

    async def attempt(self, store: ObjectStore, number: int) -> Attempt:
        """How this attempt began. Raises `RecordError` and `StorageError`."""
        return read_attempt(self.day, number, await _content(store, attempt_name(self.day, number)))

    async def report(self, store: ObjectStore, number: int) -> Report:
        """The report of an attempt that has ended. Raises `RecordError`, also if an object of results is missing that
        it has counted, and `StorageError`.
        """
        report = read_report(self.day, number, await _content(store, end_name(self.day, number)))
        for begun, count in report.journal.items():
            if (listed := self.results.get(begun, 0)) < count:
                raise missing(results_name(self.day, begun, listed))
        return report

    async def reports(self, store: ObjectStore) -> Mapping[int, Report]:
        """The reports of the attempts that have ended, by their numbers. Raises `RecordError` and `StorageError`."""
        numbers = {end_name(self.day, number): number for number in self.ends if number}
        found = await each_of(sorted(numbers), lambda name: self.report(store, numbers[name]), THREADS)
        return {numbers[name]: report for name, report in found.items()}


async def _content(store: ObjectStore, name: str) -> bytes:
    data = await in_thread(partial(store.content, name))
    if data is None:
        raise missing(name)
    return data


@dataclass(frozen=True, slots=True)
class Record:
    listing: Listing
    latest: Attempt | None
    reports: Mapping[int, Report]
    ledger: Ledger

    @classmethod
    async def read(cls, store: ObjectStore, day: str, plan: Plan | None = None) -> "Record":
        """The record, with a ledger of the latest plan; or of this one, with which a start goes on.

        Raises `StorageError` and `RecordError`.
        """
        listing = await Listing.of(store, day)
        latest = await listing.latest_attempt(store)
        reports = await listing.reports(store)
        next_attempt = listing.latest + (plan is not None)
        if plan is None:
            plan = Plan.empty(day) if latest is None else plan_of(latest)
        breaks_off, reruns = not listing.attempts <= listing.ends, latest.again if latest else ()
        made = partial(Ledger, plan, reruns, attempt=next_attempt, breaks_off=breaks_off)
        ledger = await trio.to_thread.run_sync(made)
        await read_journal(store, day, listing.results, ledger)
        return cls(listing, latest, reports, ledger)

    def continued_by(self, start: Start) -> Start:
        if self.latest is None:
            return start
        return start.model_copy(update={"trace_id": self.latest.trace_id, "began": self.latest.began})

    @property
    def end(self) -> Report | None:
        """The report of the latest attempt; `None` if that has not ended, or without one."""
        return self.reports.get(self.listing.latest)

    @property
    def severity(self) -> Severity | None:
        """How severe the state of the day was, what was left out being odd; `None` if nothing was recorded of it."""
        if len(self.reports) < len(self.listing.attempts):
            return Outcome.KILLED.severity
        if self.listing.is_refused:
            return Outcome.BAD_CONFIG.severity
        if self.end is None:
            return None
        return "warn" if self.end.without else self.end.severity


async def read_day(store: ObjectStore, day: str) -> tuple[Report, Record] | None:
    """How a day stands, and its record; `None` without any start. Raises `RecordError` and `StorageError`."""
    record = await Record.read(store, day)
    ledger, end, listing = record.ledger, record.end, record.listing
    if record.latest is None:
        return (await listing.report(store, 0), record) if listing.is_refused else None
    if end is None:
        return report_of(record.latest, ledger, Ending(state_of(day, await peek(store)))), record
    if end.engines == ledger.totals() and (end.outcome is Outcome.SUCCEEDED) is ledger.is_complete:
        return end, record
    # An attempt that was paused has added results since.
    outcome = Outcome.SUCCEEDED if ledger.is_complete else end.outcome
    report = report_of(record.latest, ledger, Ending(outcome, end.exit_code, end.detail))
    names = ("ended", "seconds", "journal", "not_written", "compared_with", "changes", "changed_objects")
    return report.model_copy(update={name: getattr(end, name) for name in names}), record


def state_of(day: str, holder: Holder | None) -> Outcome:
    """The state of a day whose latest attempt has not ended; `holder` has the lease, or had it last."""
    is_at_work = holder is not None and holder.day == day and not holder.is_released
    return Outcome.AT_WORK if is_at_work else Outcome.KILLED


async def write_without_lease(store: ObjectStore, day: str, documents: Documents) -> None:
    """Writes those of a start that was refused, as long as the day has no attempt. Raises as `write_document`."""
    for name, make in documents.items():
        if (await Listing.of(store, day)).latest:
            return
        await write_document(store, name, make)
