"""What a recorded run holds while it lasts: the lease that makes it the only one, and its record."""

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import trio

from job.config.environment import Settings
from job.config.fields import origin_of
from job.execution.shutdown import Shutdown, ShutdownError
from job.planning.plan import Plan
from job.records.inputs import RunInputs
from job.records.lease import Holder, Lease, machine
from job.records.record import Record
from job.records.report import RunReport
from job.records.results import DoneItems
from job.records.timeline import Timeline
from job.storage.store import StorageError

CLOSING_SECONDS = 3.0
"""For closing the record of a run that was cut short, whatever storage does: Cloud Run kills 10 s after SIGTERM."""


RELEASE_SECONDS = 0.5
"""Of these, left by the page for giving the lease back."""


Notify = Callable[[str, bool], None]
Page = Callable[[Timeline], bytes]


@dataclass(slots=True)
class StorageAlarm:
    """Says what is wrong with storage when it begins, and when it is over."""

    say: Notify
    current: bool = False

    def __call__(self, text: str | None) -> None:
        if text is not None and not self.current:
            self.say(f"storage: {text}; it is tried again for as long as the lease holds", True)
        elif text is None and self.current:
            self.say("storage works again", False)
        self.current = text is not None


@dataclass(frozen=True, slots=True)
class RecordSession:
    """The lease and the record of a run under way."""

    lease: Lease
    record: Record
    inputs: RunInputs
    done: DoneItems
    """What earlier attempts at the run have done."""
    say: Notify

    async def close(self, report: RunReport, page: Page, shutdown: Shutdown, *, at_once: bool) -> None:  # noqa: ASYNC910  both branches await storage
        """Writes what is unwritten, the report and its page, and gives the lease back; what cannot be done is said.

        It may take as long as the lease holds, or 3 s: at once, or from when the run is halted.
        """
        # Where the record is a later attempt's by now, so is its page: there is nothing left to show.
        told, closed, shown = report.model_dump(mode="json"), False, False
        if not at_once:
            try:
                with shutdown.interruptible(), trio.move_on_at(self.lease.trusted_until):
                    shown = not await self.record.write_report(told, self.lease.is_held)
                    closed = True
                    if not shown:
                        await self._show(page)
                        shown = True
            except ShutdownError:
                pass
        with trio.move_on_after(CLOSING_SECONDS) as closing:  # noqa: ASYNC912  storage is awaited in every branch
            try:
                if not closed:
                    shown = not await self.record.write_report(told, self.lease.is_held)
                    closed = True
                if not shown:
                    with trio.move_on_at(closing.deadline - RELEASE_SECONDS):
                        await self._show(page)
                await self.lease.release()
            except StorageError as error:
                self.say(f"storage: the lease is not given back, it grows stale in a minute: {error}", True)
        if not closed:
            unwritten = self.record.journal.unwritten
            self.say(f"storage: the record is not complete: {unwritten} results and the report are not written", True)

    async def _show(self, page: Page) -> None:  # noqa: ASYNC910  storage was awaited
        """The page is for people, after the fact: whatever is wrong with it changes nothing of the run."""
        try:
            await self.record.write_page(page)
        except Exception as error:  # noqa: BLE001  see above
            self.say(f"the page of the run is not written: {error}", True)


def lease_holder(settings: Settings, plan: Plan, inputs: RunInputs) -> Holder:
    """What another run that wants the lease learns of this one."""
    return Holder(
        owner=secrets.token_hex(8),
        run_id=inputs.run_id,
        plan=plan.digest(),
        origins=_origins_digest(settings, plan),
        day=inputs.day,
        since=datetime.now(settings.time_zone).isoformat(timespec="seconds"),
        machine=machine(),
        pid=os.getpid(),
        execution=settings.execution,
        task_attempt=settings.task_attempt,
    )


def _origins_digest(settings: Settings, plan: Plan) -> str:
    """The same for runs that would call the same engines: scheme, host and port of each one that the plan uses."""
    urls = {engine: settings.engines[engine].url for engine in plan.engines()}
    origins = {engine: url and origin_of(urlsplit(url)) for engine, url in urls.items()}
    return hashlib.sha256(json.dumps(origins, sort_keys=True).encode()).hexdigest()


async def open_session(lease: Lease, plan: Plan, inputs: RunInputs, say: Notify, *, fresh: bool) -> RecordSession:
    """Begins the record of a fresh run, or reads what the record of an earlier attempt holds.

    That may take longer than a lease lasts: it must be kept meanwhile. It is given back where this raises:
    `StorageError`, and `RecordError` where the record cannot be used.
    """
    record = Record(lease.store, inputs.run_id, lease.holder.owner, StorageAlarm(say))
    try:
        if fresh:
            await record.create(inputs)
        await record.announce(inputs)
        done = await record.load(plan)
    except BaseException:
        with trio.move_on_after(CLOSING_SECONDS, shield=True), suppress(StorageError):  # it grows stale
            await lease.release()
        raise
    return RecordSession(lease, record, inputs, done, say)
