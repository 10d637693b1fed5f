"""Record of a run: its inputs, its results, and its report. A later attempt resumes from it."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import trio
from pydantic import BaseModel, ValidationError

from job.config.fields import RunId
from job.engines.catalog import DATA_ENGINES
from job.ledger.ledger import Ledger
from job.records.attempts import AttemptEntry, add_attempt, read_attempts
from job.records.journal import Journal, check_journal, read_journal
from job.report.format import (
    BARRIER,
    FORMAT,
    INPUTS,
    LATER_INPUTS,
    NOT_THE_NEXT,
    NOT_WRITTEN,
    OF_OTHER_RUN,
    REPORT,
    RESULTS,
    RecordError,
    entry_of,
    name_of,
    sealed,
    unsealed,
)
from job.report.inputs import RunInputs, pack, unpack
from job.report.outcome import Outcome
from job.report.report import AttemptSummary, RunReport, check_report_format, earlier_report
from job.storage.store import ConflictError, ObjectStore, StorageError, StoredObject, in_thread, words_of
from job.text.messages import Message, message, template

RETRY_SECONDS = 1.0
BACKGROUND_LIMIT = 8 * 2**20
"""Maximum bytes of another run's inputs that are read in the background; larger inputs cannot be used."""
ENTRY = b"{}\n"
"""The content of an object of which only the name matters."""


class _Barrier(BaseModel):
    """The crossing of a barrier: the run, and the digest of its plan."""

    run_id: RunId
    plan: str = ""


class Record:
    """The record of one run, as one attempt at it reads and writes it."""

    def __init__(
        self,
        store: ObjectStore,
        ledger: Ledger,
        inputs: RunInputs,
        owner: str,
        on_outage: Callable[[Message | None], None],
        replaced: str | None = None,
    ) -> None:
        """`ledger` gets the results of earlier attempts. `owner` identifies this process.

        `on_outage` gets why writing fails, and `None` when it works again. `replaced` is as in `Lease`.
        """
        self._store = store
        self._run_id = inputs.run_id
        self._owner = owner
        self._replaced = replaced
        self._plan_digest = ledger.plan.digest()
        self._on_outage = on_outage
        self._crossed = False
        self._attempt = 0
        self._report: StoredObject | None = None
        self._earlier: RunReport | None = None
        """The report that an earlier attempt has written."""
        self.entries: Sequence[AttemptEntry] = ()
        """The earlier attempts, once they are read."""
        self._found: Mapping[str, int] = {}
        self.follows_failure: bool | None = None
        """Whether the attempt before this one failed or was killed; `None` if there was none."""
        self.ledger = ledger
        self.journal = Journal(store, inputs.run_id, owner, on_outage)

    async def begin(self, entry: AttemptEntry) -> None:
        """Adds this attempt to the record, before anything else of it is written. Raises `StorageError`."""
        earlier = self._earlier
        after = earlier.attempt or 0 if earlier is not None else 0
        self._attempt = (await add_attempt(self._store, self._run_id, entry, after)).number
        self.ledger.ask(entry.remakes, self._attempt)
        if self._report is not None or self._attempt > 1:
            was_killed = self._attempt > after + 1
            self.follows_failure = was_killed or earlier is None or earlier.outcome is not Outcome.SUCCEEDED

    async def create(self, inputs: RunInputs) -> None:
        """Writes the run's first or later inputs. Raises `StorageError`, also if other inputs were written there."""
        await in_thread(lambda: self._store.create(self._name(_inputs_name(inputs.number)), pack(inputs)))

    async def announce(self, inputs: RunInputs) -> None:
        """Adds the run to the list of runs. Raises `StorageError`."""
        await in_thread(lambda: self._store.create(entry_of(self._run_id, inputs.started), ENTRY))

    async def load(self) -> bool:
        """Reads the results of earlier attempts. Returns whether everything is done and the record is closed.

        Raises `StorageError`, and `RecordError` if the results do not fit.
        """
        # The results last: an attempt that has lost its lease may still write results, and then its barrier or report.
        self._report = await in_thread(lambda: self._store.read(self._name(REPORT)))
        if self._report is not None:
            check_report_format(self._name(REPORT), self._report.data)
        name = self._barrier_name()
        barrier = await in_thread(lambda: self._store.read(name))
        await read_journal(self._store, self._run_id, self.ledger)
        self._found = self.ledger.journal
        if self._report is not None and (earlier := earlier_report(self._report.data)) is not None:
            self._earlier = earlier
            check_journal(self._run_id, earlier.journal, self._found)
            self._found = {**earlier.journal, **self._found}
        if barrier is not None:
            crossing = _read_barrier(name, barrier.data)
            if crossing.run_id != self._run_id:
                raise RecordError(message(OF_OTHER_RUN, object=name, run=crossing.run_id))
            if crossing.plan != self._plan_digest:
                raise RecordError(message("{object} belongs to another plan", object=name))
            if not self.ledger.is_complete(DATA_ENGINES):
                text = template("{object} lacks data that was there when the barrier was crossed")
                raise RecordError(message(text, object=self._name(RESULTS)))
            self._crossed = True
        if self._report is not None or barrier is not None or self._found:  # else nothing was made that could be again
            self.entries = await read_attempts(self._store, self._run_id)
        for entry in self.entries:
            self.ledger.ask(entry.remakes, entry.number)
        self.ledger.begin()
        if self.ledger.is_left or not self.is_closed:
            return False
        return self._earlier is not None and self._earlier.outcome is Outcome.SUCCEEDED

    @property
    def is_closed(self) -> bool:
        """Whether the latest attempt has closed the record."""
        latest = self.entries[-1].number if self.entries else 0
        return self._earlier is not None and latest == (self._earlier.attempt or 0)

    async def mark_barrier(self) -> None:
        """Writes all results so far, and then the barrier. Returns when both are durable, however long that takes."""
        if not self.ledger.is_ready:
            raise AssertionError("the barrier is closed")
        await self.journal.flush()
        barrier = sealed({"format": FORMAT, "run_id": self._run_id, "plan": self._plan_digest})
        while not self._crossed:
            try:
                await in_thread(lambda: self._store.create(self._barrier_name(), barrier))
            except StorageError as error:
                self._on_outage(
                    message("the crossing of the barrier is not written yet: {error}", error=words_of(error))
                )
                await trio.sleep(RETRY_SECONDS)
            else:
                self._on_outage(None)
                self._crossed = True

    async def write_report(self, report: RunReport, has_lease: Callable[[], bool]) -> RunReport | None:
        """Writes the remaining results, then the report, however long that takes.

        Returns the report as it was written; `None` if it was not: an attempt that was paused and has lost its lease
        does not overwrite the report of a later attempt. An attempt that has the lease overwrites the report of one
        that has lost it.
        """
        await self.journal.flush()
        # The attempt that had the lease before is not later than this report, even if it writes results only now.
        replaced = {} if self._replaced is None else {self._replaced: 0}
        written = {**replaced, **self._found, self._owner: self.journal.objects}
        report = report.model_copy(update={"journal": written, "attempt": self._attempt or None})
        data = pack_report(report)
        while True:
            try:
                await in_thread(lambda: self._write(REPORT, data, self._report))
            except ConflictError:
                if not has_lease():
                    return None
                await self._look_again()
            except StorageError as error:
                self._on_outage(message("the report is not written yet: {error}", error=words_of(error)))
                await trio.sleep(RETRY_SECONDS)
            else:
                return report

    async def _look_again(self) -> None:
        """Reads the present report after a pause, to get its generation for the next write."""
        await trio.sleep(RETRY_SECONDS)
        try:
            self._report = await in_thread(lambda: self._store.read(self._name(REPORT)))
        except StorageError as error:
            self._on_outage(message("the report is not written yet: {error}", error=words_of(error)))

    async def write_document(self, name: str, make: Callable[[Ledger], bytes]) -> None:
        """Makes a document from the results and writes it in a thread. Raises `StorageError` and what `make` raises."""

        def write() -> None:
            data = make(self.ledger)
            self._write(name, data, self._store.read(self._name(name), 1))

        with suppress(ConflictError):  # a later attempt at the run has written its own document
            await in_thread(write)

    @property
    def attempts(self) -> Sequence[AttemptSummary]:
        """The earlier attempts at the run that have closed the record."""
        return self._earlier.attempts if self._earlier is not None else ()

    def _write(self, name: str, data: bytes, there: StoredObject | None) -> None:
        if there is None:
            self._store.create(self._name(name), data)
        else:
            self._store.replace(self._name(name), data, there.generation)

    def _barrier_name(self) -> str:
        """The name of the barrier of this plan: each plan has its own, so that no other plan's data can open it."""
        return self._name(f"{BARRIER}{self._plan_digest[:16]}.json")

    def _name(self, name: str) -> str:
        return name_of(self._run_id, name)


def _read_barrier(name: str, data: bytes) -> _Barrier:
    value = unsealed(name, data)
    try:
        return _Barrier.model_validate(value)
    except ValidationError as error:
        raise RecordError(message(NOT_WRITTEN, object=name)) from error


def pack_report(report: RunReport) -> bytes:
    """The bytes of `report.json`."""
    return json.dumps(report.model_dump(mode="json"), ensure_ascii=False, indent=1).encode()


def _inputs_name(number: int) -> str:
    return f"{LATER_INPUTS}{number:06}.json" if number else INPUTS


def _read_inputs(store: ObjectStore, name: str, *, background: bool) -> StoredObject | None:
    """Reads an object of inputs; in the background at most `BACKGROUND_LIMIT` bytes of it."""
    return store.read(name, BACKGROUND_LIMIT if background else None)


async def find_inputs(store: ObjectStore, run_id: str, *, background: bool = False) -> RunInputs | None:
    """The inputs that a run began with; `None` if it has no record. Raises `RecordError` and `StorageError`."""
    name = name_of(run_id, INPUTS)
    stored = await in_thread(partial(_read_inputs, store, name, background=background), background=background)
    return None if stored is None else unpack(name, stored.data, run_id)


async def read_inputs(store: ObjectStore, run_id: str, number: int) -> RunInputs:
    """The inputs of this number, which are there. Raises `RecordError` and `StorageError`."""
    name = name_of(run_id, _inputs_name(number))
    stored = await in_thread(partial(store.read, name))
    if stored is None:
        raise RecordError(message("{object} is missing", object=name))
    return unpack(name, stored.data, run_id)


async def find_latest_inputs(store: ObjectStore, run_id: str, *, background: bool = False) -> RunInputs | None:
    """The inputs with the run's latest config, with which it is resumed. Raises `RecordError` and `StorageError`."""
    later = await in_thread(lambda: store.names(name_of(run_id, LATER_INPUTS)), background=background)
    if not later:
        return await find_inputs(store, run_id, background=background)
    name = later[-1]
    stored = await in_thread(partial(_read_inputs, store, name, background=background), background=background)
    if stored is None:
        raise RecordError(message("{object} was removed while it was read", object=name))
    inputs = unpack(name, stored.data, run_id)
    if name != name_of(run_id, _inputs_name(inputs.number)) or inputs.number != len(later):
        raise RecordError(message(NOT_THE_NEXT, object=name))
    return inputs
