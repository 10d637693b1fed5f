"""Session: one attempt's use of the lease and the record, from opening to closing."""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import trio

from job.config.environment import Settings
from job.config.fields import origin_of
from job.engines.catalog import EngineName
from job.execution.outcome import Outcome, busy, busy_before, twin_failed, twin_succeeded
from job.execution.shutdown import Shutdown, ShutdownError
from job.planning.items import EngineItems
from job.planning.plan import Plan
from job.records.commands import resume_command
from job.records.format import PAGE
from job.records.history import read_closing
from job.records.inputs import RunInputs, has_changed
from job.records.lease import BusyError, Holder, Lease, acquire, machine
from job.records.record import Record, find_latest_inputs
from job.records.report import UNFINISHED, RunReport
from job.records.timeline import Timeline
from job.storage.store import ObjectStore, StorageError, words_of
from job.text.messages import Message, message, template

CLOSING_SECONDS = 3.0
"""Time limit for closing the record of a run that was cut short: Cloud Run kills 10 s after SIGTERM."""


RELEASE_SECONDS = 0.5
"""The part of this that is reserved for releasing the lease."""


AFTERWARDS_SECONDS = 5.0
"""Time limit for the page of the nights, which is written after the lease was released."""


Notify = Callable[[Message, bool], None]
"""Gets a text about storage, and whether it is a fault."""


@dataclass(frozen=True, slots=True)
class Document:
    """An optional object of the record that is made when the run has ended."""

    name: str
    make: Callable[[Timeline], bytes]
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
    has_page: bool = False
    """Whether this attempt has written the run's page."""
    _is_ours: bool = False
    """Whether the report in the record is of this attempt."""
    _is_closed: bool = False

    @property
    def unrecorded(self) -> int | None:
        """How many results are not known to be written; `None` once the record is closed."""
        return None if self._is_closed else self.record.journal.unwritten

    @property
    def done(self) -> Mapping[EngineName, EngineItems]:
        """The items; as containers they hold those that any attempt at the run has done."""
        return self.record.timeline.items

    async def close(  # noqa: ASYNC910  both branches await storage
        self, report: RunReport, documents: Sequence[Document], shutdown: Shutdown, *, at_once: bool
    ) -> float | None:
        """Writes the remaining results, the report and the documents, and releases the lease. Reports each failure.

        It may take as long as the lease is valid. It has only 3 s if `at_once`, and after a shutdown is requested.
        Returns until when more may be written, by trio's clock; `None` if the record has no report of this attempt.
        """
        left, is_settled = list(documents), False
        if not at_once:
            try:
                with shutdown.interruptible(), trio.move_on_at(self.lease.trusted_until):
                    left = await self._close(report, left)
                    await self._write(left)
            except ShutdownError:
                pass
        with trio.move_on_after(CLOSING_SECONDS) as closing:  # noqa: ASYNC912  storage is awaited in every branch
            try:
                if not self._is_closed:
                    left = await self._close(report, left)
                with trio.move_on_at(closing.deadline - RELEASE_SECONDS):
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
        for document in left if self._is_ours else ():
            self.notify(message(document.problem, error=message("storage took too long")), True)
        if not self._is_closed:
            text = template("storage: the record is not complete: {count} results and the report are not written")
            self.notify(message(text, count=self.record.journal.unwritten), True)
        is_cut_short = at_once or shutdown.reason is not None
        until = closing.deadline if is_cut_short else trio.current_time() + AFTERWARDS_SECONDS
        return until if self._is_ours else None  # noqa: ASYNC910  storage was awaited

    async def _close(self, report: RunReport, documents: list[Document]) -> list[Document]:
        """Writes the report. Returns the documents to write: none if a later attempt has the record now."""
        self._is_ours = await self.record.write_report(report, self.lease.is_held)
        self._is_closed = True
        return documents if self._is_ours else []

    async def _write(self, left: list[Document]) -> None:  # noqa: ASYNC910  there may be none left
        """Writes documents, and removes each from the list after its try. A failure does not affect the run."""
        while left:
            try:
                await self.record.write_document(left[0].name, left[0].make)
                self.has_page |= left[0].name == PAGE
            except Exception as error:  # noqa: BLE001  see above
                self.notify(message(left[0].problem, error=words_of(error)), True)
            left.pop(0)


def lease_holder(settings: Settings, plan: Plan, inputs: RunInputs) -> Holder:
    """This run as a holder of the lease."""
    return Holder(
        owner=secrets.token_hex(8),
        run_id=inputs.run_id,
        plan=plan.digest(),
        engines=_engines_digest(settings, plan),
        day=inputs.day,
        since=datetime.now(settings.time_zone).isoformat(timespec="seconds"),
        machine=machine(),
        pid=os.getpid(),
        execution=settings.execution,
        task_attempt=settings.task_attempt,
    )


def _engines_digest(settings: Settings, plan: Plan) -> str:
    """A digest that is equal for runs which call the same engines, from the normalized URLs of the plan's engines."""
    urls = {engine: settings.engines[engine].url for engine in plan.engines()}
    places = {engine: url and (origin_of(url), urlsplit(url).path) for engine, url in urls.items()}
    return hashlib.sha256(json.dumps(places, sort_keys=True).encode()).hexdigest()


class StoodBackError(Exception):
    """This run calls nothing, since another run has the lease, or had it until just now. Has its outcome."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(str(outcome.sentence))


async def acquire_for(
    recorded: RunInputs | None, store: ObjectStore, holder: Holder, notify: Callable[[Message], None]
) -> Lease | None:
    """Acquires the lease for a plan made from the inputs `recorded`; `None` if the run has other inputs now.

    Another attempt may have recorded another config before it released the lease. Raises `StoodBackError` if another
    run has the lease, or had it until just now, and `StorageError`; `RecordError` if that run's record cannot be used.
    """
    try:
        lease = await acquire(store, holder, notify)
    except BusyError as error:
        raise StoodBackError(await _stand_back(store, error)) from error
    is_latest = False
    try:
        is_latest = await find_latest_inputs(store, holder.run_id) == recorded
    finally:
        if not is_latest:
            await _give_back(lease)  # noqa: ASYNC102  shielded there
    return lease if is_latest else None


async def _stand_back(store: ObjectStore, error: BusyError) -> Outcome:  # noqa: ASYNC910  the lease was awaited
    if not error.has_ended:
        return busy(error.holder, same_plan=error.is_twin, same_run=error.is_same_run)  # noqa: ASYNC910  as above
    twin = error.ended if error.is_twin else None
    inputs = await find_latest_inputs(store, twin.run_id) if twin else None
    if twin is None or inputs is None:
        return busy_before(error.holder)  # noqa: ASYNC910  as above
    report = await read_closing(store, inputs, twin)
    if report is None:
        return twin_failed(error.holder, UNFINISHED, resume_command(inputs))
    if report.outcome == "succeeded":
        return twin_succeeded(error.holder)
    return twin_failed(error.holder, report.outcome, report.resume_command or resume_command(inputs))


async def _give_back(lease: Lease) -> None:  # noqa: ASYNC910  storage is awaited
    """Releases the lease before anything was done; if that fails, it becomes stale."""
    with trio.move_on_after(CLOSING_SECONDS, shield=True), suppress(StorageError):
        await lease.release()


async def open_session(lease: Lease, plan: Plan, inputs: RunInputs, notify: Notify, *, new: bool) -> RecordSession:
    """Reads the record of a run. If the inputs are `new` (a new run or a new config), it writes them first.

    This may take longer than a lease lasts, so the lease must be renewed meanwhile. Raises `StorageError`, and
    `RecordError` if the record cannot be used; it then releases the lease.
    """
    record = Record(lease.store, plan, inputs, lease.holder.owner, StorageAlarm(notify), lease.replaced)
    try:
        if new:
            await record.create(inputs)
        await record.announce(inputs)
        await record.load()
    except BaseException:
        await _give_back(lease)  # noqa: ASYNC102  shielded there
        raise
    return RecordSession(lease, record, inputs, notify)


async def resuming(recorded: RunInputs, inputs: RunInputs, *, new_config: bool) -> Message:
    """A notice about the config with which a run is resumed; `new_config` is whether the user wants the present one."""
    values = {"run": inputs.run_id, "day": inputs.day, "uri": inputs.config_uri}
    if inputs is not recorded:
        text = template("resuming run {run} of {day} with the config that is at {uri} now")
        return message(text, **values)  # noqa: ASYNC910  the record was awaited
    if new_config:
        text = template("resuming run {run} of {day}: the config at {uri} is the same as the recorded one")
        return message(text, **values)  # noqa: ASYNC910  as above
    if await has_changed(recorded):
        return message(
            "resuming run {run} of {day} with its recorded config; the config at {uri} has changed since. To resume "
            "with the config as it is now: {command}",
            command=resume_command(inputs, "new_config"),
            **values,
        )
    return message("resuming run {run} of {day} with its recorded config; later changes do not apply", **values)


def over_midnight(inputs: RunInputs, now: datetime) -> Iterator[Message]:
    """A notice for an automatic retry of a run without a date, if the engines' current date is now another one."""
    if (today := inputs.other_day(now)) is not None:
        text = template("run {run} of {day} has no date of its own: from here on the engines use today's, {today}")
        yield message(text, run=inputs.run_id, day=inputs.day, today=today)
