"""What a recorded run holds while it lasts: the lease that makes it the only one, and its record."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import trio

from job.closing import Report
from job.halt import Halt, HaltedError
from job.inputs import ConfigObject, Inputs
from job.lease import Holder, Lease, machine
from job.page import render
from job.plan import Plan
from job.prepare import Prepared
from job.record import Done, Record
from job.settings import Settings
from job.store import StorageError
from job.version import VERSION

CLOSING_SECONDS = 3.0
"""For closing the record of a run that was cut short, whatever storage does: Cloud Run kills 10 s after SIGTERM."""
RELEASE_SECONDS = 0.5
"""Of these, left by the page for giving the lease back."""

Say = Callable[[str, bool], None]


@dataclass(slots=True)
class Trouble:
    """Says what is wrong with storage when it begins, and when it is over."""

    say: Say
    current: bool = False

    def __call__(self, text: str | None) -> None:
        if text is not None and not self.current:
            self.say(f"storage: {text}; it is tried again for as long as the lease holds", True)
        elif text is None and self.current:
            self.say("storage works again", False)
        self.current = text is not None


@dataclass(frozen=True, slots=True)
class Custody:
    """The lease and the record of a run under way."""

    lease: Lease
    record: Record
    inputs: Inputs
    done: Done
    """What earlier attempts at the run have done."""
    say: Say

    async def close(self, report: Report, halt: Halt, *, at_once: bool) -> None:  # noqa: ASYNC910  both branches await storage
        """Writes what is unwritten, the report and its page, and gives the lease back; what cannot be done is said.

        It may take as long as the lease holds, or 3 s: at once, or from when the run is halted.
        """
        # Where the record is a later attempt's by now, so is its page: there is nothing left to show.
        told, closed, shown = report.model_dump(mode="json"), False, False
        if not at_once:
            try:
                with halt.waiting(), trio.move_on_at(self.lease.trusted_until):
                    shown = not await self.record.close(told, self.lease.is_held)
                    closed = True
                    if not shown:
                        await self._show(report)
                        shown = True
            except HaltedError:
                pass
        with trio.move_on_after(CLOSING_SECONDS) as closing:  # noqa: ASYNC912  storage is awaited in every branch
            try:
                if not closed:
                    shown = not await self.record.close(told, self.lease.is_held)
                    closed = True
                if not shown:
                    with trio.move_on_at(closing.deadline - RELEASE_SECONDS):
                        await self._show(report)
                await self.lease.release()
            except StorageError as error:
                self.say(f"storage: the lease is not given back, it grows stale in a minute: {error}", True)
        if not closed:
            unwritten = self.record.journal.unwritten
            self.say(f"storage: the record is not complete: {unwritten} results and the report are not written", True)

    async def _show(self, report: Report) -> None:  # noqa: ASYNC910  storage was awaited
        """The page is for people, after the fact: whatever is wrong with it changes nothing of the run."""
        try:
            await self.record.show(lambda timeline: render(report, timeline))
        except Exception as error:  # noqa: BLE001  see above
            self.say(f"the page of the run is not written: {error}", True)


def holder(settings: Settings, plan: Plan, inputs: Inputs) -> Holder:
    """This process, as whoever else wants the lease learns of it."""
    return Holder(
        owner=secrets.token_hex(8),
        run_id=inputs.run_id,
        plan=plan.digest(),
        day=inputs.day,
        since=datetime.now(settings.time_zone).isoformat(timespec="seconds"),
        machine=machine(),
        pid=os.getpid(),
        execution=settings.execution,
        task_attempt=settings.task_attempt,
    )


async def take(lease: Lease, plan: Plan, inputs: Inputs, say: Say, *, fresh: bool) -> Custody:
    """Begins the record of a fresh run, or reads what the record of an earlier attempt holds.

    That may take longer than a lease lasts: it must be kept meanwhile. It is given back where this raises:
    `StorageError`, and `RecordError` where the record cannot be used.
    """
    record = Record(lease.store, inputs.run_id, lease.holder.owner, Trouble(say))
    try:
        if fresh:
            await record.begin(inputs)
        await record.announce(inputs)
        done = await record.resume(plan)
    except BaseException:
        with trio.move_on_after(CLOSING_SECONDS, shield=True), suppress(StorageError):  # it grows stale
            await lease.release()
        raise
    return Custody(lease, record, inputs, done, say)


def new_inputs(settings: Settings, run_id: str, prepared: Prepared, now: datetime) -> Inputs:
    """The inputs of a run that begins now."""
    plan, local = prepared.plan, now.astimezone(settings.time_zone)
    return Inputs(
        run_id=run_id,
        started=local.isoformat(timespec="seconds"),
        day=plan.date or local.date().isoformat(),
        date=plan.date,
        batch_sizes=dict(plan.batch_sizes),
        config_uri=settings.config_uri,
        objects={
            name: ConfigObject(generation=stored.generation, content=stored.data.decode())
            for name, stored in prepared.objects.items()
        },
        version=VERSION,
    )
