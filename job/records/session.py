"""Session: one attempt's use of the lease and the record, from opening to closing."""

import os
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import trio

from job.config.environment import Settings
from job.execution.shutdown import Budget, Shutdown
from job.ledger.ledger import Ledger
from job.records.attempts import AttemptEntry
from job.records.lease import Holder, Lease, machine
from job.records.record import Record
from job.report.commands import Place
from job.report.format import PAGE
from job.report.inputs import RunInputs, has_changed
from job.report.report import RunReport
from job.storage.store import StorageError, words_of
from job.text.messages import Message, listed, message, template

Notify = Callable[[Message, bool], None]
"""Gets a text about storage, and whether it is a fault."""


@dataclass(frozen=True, slots=True)
class Document:
    """An optional object of the record that is made when the run has ended."""

    name: str
    make: Callable[[Ledger], bytes]
    problem: str
    """The template of the report if it is not written, with a place for the `error`."""


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
class RecordSession:
    """The lease and the record of a run in progress."""

    lease: Lease
    record: Record
    inputs: RunInputs
    notify: Notify
    alarm: StorageAlarm
    """For the renewals of the lease; writes of the record have their own."""
    has_page: bool = False
    """Whether this attempt has written the run's page."""
    written: RunReport | None = None
    """The report of this attempt, as it was written."""
    _is_closed: bool = False

    @classmethod
    def of(cls, lease: Lease, ledger: Ledger, inputs: RunInputs, notify: Notify) -> "RecordSession":
        """A session with this lease, which has not read the record yet."""
        alarm = StorageAlarm(notify)
        record = Record(lease.store, ledger, inputs, lease.holder.owner, alarm, lease.replaced)
        return cls(lease, record, inputs, notify, StorageAlarm(notify))

    async def open(
        self, entry: AttemptEntry, *, new: bool, amend: Callable[[Record, AttemptEntry], AttemptEntry] | None = None
    ) -> bool:
        """Reads the record into the ledger, and adds this attempt to it. Returns whether there is anything to do.

        If nothing is, nothing is written and the lease is released. If the inputs are `new` (a new run or a new
        config), it writes them, also if nothing is left: the notices and the report are then those of this config. This
        may take longer than a lease lasts, so the lease must be renewed meanwhile. `amend` completes the entry once the
        record is read. Raises `StorageError`, `RecordError` if the record cannot be used, and what `amend` raises; it
        then releases the lease too.
        """
        is_left = False
        try:
            is_complete = await self.record.load()
            if amend is not None:
                entry = amend(self.record, entry)
            is_left = new or not is_complete or any(one.number == 0 for one in entry.remakes)
            if is_left:
                await self.record.begin(entry)
                if new:
                    await self.record.create(self.inputs)
                await self.record.announce(self.inputs)
        except BaseException:
            is_left = False
            raise
        finally:
            if not is_left:
                await _release(self.lease)  # noqa: ASYNC102  shielded there
        return is_left

    @property
    def unrecorded(self) -> int | None:
        """How many results are not known to be written; `None` once the record is closed."""
        return None if self._is_closed else self.record.journal.unwritten

    async def close(
        self, report: RunReport, documents: Callable[[RunReport], list[Document]], shutdown: Shutdown, *, at_once: bool
    ) -> float | None:
        """Writes the remaining results, the report and its documents, and releases the lease. Reports each failure.

        It may take as long as `Budget` says; only little if `at_once`, and once the shutdown hurries. Returns until
        when more may be written, by trio's clock; `None` if the record has no report of this attempt.
        """
        left: list[Document] = []
        is_settled = False
        if not at_once:
            with shutdown.closing(self.lease.trusted_until):
                left = await self._close(report, documents)
                await self._write(left)
        with trio.move_on_after(Budget.CLOSING) as closing:
            try:
                if not self._is_closed:
                    left = await self._close(report, documents)
                with trio.move_on_at(closing.deadline - Budget.RELEASE):
                    await self._write(left)
                await self.lease.release()
                is_settled = True
            except StorageError as error:
                is_settled = True
                text = template("storage: the lease is not released; other runs have to wait for a minute: {error}")
                self.notify(message(text, error=words_of(error)), True)
        if not is_settled:
            text = template("storage: the lease is not released in time; other runs have to wait for a minute")
            self.notify(message(text), True)
        for document in left:
            self.notify(message(document.problem, error=message("storage took too long")), True)
        if not self._is_closed:
            text = template("storage: the record is not complete: {count} results and the report are not written")
            self.notify(message(text, count=self.record.journal.unwritten), True)
        until = closing.deadline if at_once or shutdown.hurries else trio.current_time() + Budget.AFTERWARDS
        return until if self.written is not None else None

    async def _close(self, report: RunReport, documents: Callable[[RunReport], list[Document]]) -> list[Document]:
        """Writes the report. Returns the documents to write: none if a later attempt has the record now."""
        self.written = await self.record.write_report(report, self.lease.is_held)
        self._is_closed = True
        return documents(self.written) if self.written is not None else []

    async def _write(self, left: list[Document]) -> None:
        """Writes documents, and removes each from the list after its try. A failure does not affect the run."""
        while left:
            try:
                await self.record.write_document(left[0].name, left[0].make)
                self.has_page |= left[0].name == PAGE
            except Exception as error:  # noqa: BLE001  see above
                self.notify(message(left[0].problem, error=words_of(error)), True)
            left.pop(0)


def lease_holder(settings: Settings, inputs: RunInputs, work: str | None) -> Holder:
    """This run as a holder of the lease; `work` is as in `Holder`."""
    return Holder(
        owner=secrets.token_hex(8),
        run_id=inputs.run_id,
        work=work,
        day=inputs.day,
        since=datetime.now(settings.time_zone).isoformat(timespec="seconds"),
        machine=machine(),
        pid=os.getpid(),
        execution=settings.execution,
        task_attempt=settings.task_attempt,
    )


async def acquire_if(is_current: Callable[[], Awaitable[bool]], lease: Lease) -> bool:
    """Whether what this run knows of the record is still true now that it has the lease; if not, it gives it back."""
    is_still = False
    try:
        is_still = await is_current()
    finally:
        if not is_still:
            await _release(lease)  # noqa: ASYNC102  shielded there
    return is_still


async def _release(lease: Lease) -> None:
    """Releases the lease before anything was done; if that fails, it becomes stale."""
    with trio.move_on_after(Budget.CLOSING, shield=True), suppress(StorageError):
        await lease.release()


async def resuming(
    recorded: RunInputs, inputs: RunInputs, *, new_config: bool, left_out: Collection[str] = ()
) -> Message:
    """A notice about the config with which a run is resumed; `new_config` is whether the user wants the present one.

    `left_out` are the targets that a person has left out of it.
    """
    values = {"run": inputs.run_id, "day": inputs.day, "uri": inputs.config_uri}
    if new_config and inputs is not recorded:
        text = template("resuming run {run} of {day} with the config that is at {uri} now")
        return message(text, **values)
    if new_config:
        text = template("resuming run {run} of {day}: the config at {uri} is the same as the recorded one")
        return message(text, **values)
    if await has_changed(recorded, left_out):
        return message(
            "resuming run {run} of {day} with its recorded config; the config at {uri} has changed since. To resume "
            "with the config as it is now: {command}",
            command=Place.of(inputs).resume(inputs.run_id, "new_config"),
            **values,
        )
    return message("resuming run {run} of {day} with its recorded config; later changes do not apply", **values)


def going_without(inputs: RunInputs, left_out: Sequence[str]) -> Iterator[Message]:
    """A notice about the targets that a person has left out of a run, if there are any."""
    if left_out:
        text = template("left out by hand: {names}. To bring back what was left out: {command}")
        command = Place.of(inputs).resume(inputs.run_id, "new_config")
        yield message(text, names=listed(left_out), command=command)


def over_midnight(inputs: RunInputs, now: datetime, zone: str) -> Iterator[Message]:
    """A notice for an automatic retry of a run without a date, if the engines' current date is now another one."""
    if (today := inputs.other_day(now, zone)) is not None:
        text = template("run {run} of {day} has no date of its own: from here on the engines use today's, {today}")
        yield message(text, run=inputs.run_id, day=inputs.day, today=today)
