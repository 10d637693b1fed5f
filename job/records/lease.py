"""Lease: lets only one start at a time work under one RUNS_URI.

Two starts may come at the same time, since the scheduler delivers at least once, and people start the job by hand. No
timestamp or time of day is compared, as clocks may be wrong: the holder measures the seconds since its last renewal,
and another start measures for how long it has watched the lease without a renewal.

When it is released, it stays: it says which days were begun, also after their records are gone.
"""

import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from math import inf

import trio
from pydantic import BaseModel, ConfigDict, ValidationError

from job.config.days import Days
from job.config.values import Date
from job.day.attempt import Stamp, Start
from job.day.result import ShutdownReason
from job.errors import JobError
from job.execution.shutdown import BUDGETS, Expiry, Shutdown
from job.storage.store import (
    ConflictError,
    ObjectStore,
    StorageError,
    StoredObject,
    in_thread,
    in_thread_to_its_end,
)
from job.text.messages import Message, joined, message, not_written, said, template
from job.text.shown import clock

LEASE = "_lease.json"
LASTS_SECONDS = 60.0
"""A lease that was watched for this long without a renewal is stale: the start that watched it may take it over."""
RENEW_SECONDS = 15.0
LEASE_RETRY_SECONDS = 2.0
WATCH_SECONDS = 3.0
RELEASE_SECONDS = 3.0
"""Time limit for releasing it if no attempt was made."""
TRUSTED_SECONDS = LASTS_SECONDS - BUDGETS[ShutdownReason.LEASE_LOST].cards - 5.0
"""How long a holder trusts its lease after a renewal. Its calls have ended before another start may take it over."""

BEGUN_DAYS = 60
"""Fewer than the days for which a record is kept."""

OnWait = Callable[[Message], None]
"""Gets a notice that a start waits, and for which one."""


class Holder(BaseModel):
    """Who has the lease, or had it last, and what all holders have begun."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    owner: str
    day: str
    since: Stamp
    execution: str | None
    task_attempt: int
    is_released: bool = False
    begun: tuple[Date, ...] = ()
    """The days of which an attempt was recorded: the latest one, and those of the `BEGUN_DAYS` before it."""
    zone: str | None = None
    schedule: str | None = None
    """These two are those of the latest attempt that was recorded, and whose day they decided, if there is one."""

    @classmethod
    def of(cls, start: Start) -> "Holder":
        return cls(
            owner=secrets.token_hex(8),
            day=start.day,
            since=datetime.now(start.days.zone).isoformat(timespec="seconds"),
            execution=start.execution,
            task_attempt=start.task_attempt,
        )

    def after(self, last: "Holder | None") -> "Holder":
        """The same, who takes over what the last holder knew."""
        known = {} if last is None else {"begun": last.begun, "zone": last.zone, "schedule": last.schedule}
        return self.model_copy(update=known)

    def with_begun(self, start: Start) -> "Holder":
        begun = {*self.begun, start.day}
        first = date.fromisoformat(max(begun)) - timedelta(days=BEGUN_DAYS)
        days = tuple(sorted(day for day in begun if date.fromisoformat(day) >= first))
        known = self.model_copy(update={"begun": days})
        if start.names_day and self.zone is not None:
            return known
        return known.model_copy(update={"zone": start.zone, "schedule": start.schedule})

    def schedule_differs(self, days: Days) -> bool:
        """Whether the latest attempt had another schedule, or zone, than these days."""
        return (self.zone, self.schedule) != (days.zone.key, days.schedule)

    @property
    def label(self) -> Message:
        since = clock(datetime.fromisoformat(self.since), self.day)
        start = message("the start for {day}, at work since {since}", day=self.day, since=since)
        return start if self.execution is None else joined([start, said(self.execution)])


class BusyError(JobError):
    """Another start is alive, and this one does not wait for it; or another one may have taken over."""

    def __init__(self, holder: Message | None, why: Message | None = None) -> None:
        """`holder` is what is known of the other start, `why` is more exact than that one may have taken over."""
        self.holder, self.why = holder, why
        super().__init__(str(holder or why))


@dataclass(slots=True)
class Lease:
    store: ObjectStore
    holder: Holder
    stored: StoredObject
    expiry: Expiry
    """When the holder stops trusting the lease, unless it renews it."""
    has_waited: bool = False
    """Whether another start had the lease: what was read before may have changed."""
    is_closed: bool = False
    _changing: trio.Lock = field(default_factory=trio.Lock)
    """Serializes renewal and release, so that the release has the generation of the last renewal."""

    async def renew_forever(self, shutdown: Shutdown, on_outage: Callable[[Message | None], None]) -> None:
        """Renews the lease until it is lost, and requests the shutdown then."""
        pause = RENEW_SECONDS
        shutdown.no_start_after = self.expiry
        while True:
            await trio.sleep_until(min(trio.current_time() + pause, self.expiry.monotonic))
            renewed = Expiry.after(TRUSTED_SECONDS)
            if self.expiry.has_passed():
                break
            try:
                with trio.move_on_at(self.expiry.monotonic) as patience:
                    async with self._changing:
                        self.stored = await in_thread(self._renewed, urgent=True)
                    self.expiry = shutdown.no_start_after = renewed
                    pause = RENEW_SECONDS
                    shutdown.not_renewed = None
                    on_outage(None)
                if patience.cancelled_caught:
                    shutdown.not_renewed = not_written(LEASE, message("storage did not answer in time"))
            except ConflictError:
                shutdown.not_renewed = None
                self.expiry = Expiry.after(0.0)
                break
            except StorageError as error:
                pause = LEASE_RETRY_SECONDS
                shutdown.not_renewed = not_written(LEASE, error.reason)
                on_outage(shutdown.not_renewed)
        shutdown.request(ShutdownReason.LEASE_LOST)

    def is_held(self) -> bool:
        return not self.expiry.has_passed()

    def _renewed(self) -> StoredObject:
        return self.store.replace(LEASE, _written(self.holder), self.stored.generation)

    async def release(self) -> None:
        """Releases the lease, unless another start has it. If it raises `StorageError`, it becomes stale later."""
        async with self._changing:
            released = _written(self.holder.model_copy(update={"is_released": True}))
            with suppress(ConflictError):
                await in_thread(partial(self.store.replace, LEASE, released, self.stored.generation), urgent=True)
            self.is_closed = True


@asynccontextmanager
async def acquire(store: ObjectStore, new_holder: Holder, notify: OnWait, *, waits: bool) -> AsyncIterator[Lease]:
    """Acquires the lease, and releases it at the end of the context, whatever happens there.

    Raises `BusyError` if another start has it and this one does not wait for it, `StorageError` if that is not known.

    An earlier try of the same execution has certainly ended, so its lease is taken over at once. Any other lease is
    watched: it is taken over after a minute, by this process's monotonic clock, without a renewal. A start that `waits`
    does so for as long as the holder is alive, takes the lease when it is released, and tells `notify` once for whom it
    waits.
    """
    lease = await _acquire(store, new_holder, notify, waits=waits)
    try:
        yield lease
    finally:
        if not lease.is_closed:
            with trio.move_on_after(RELEASE_SECONDS, shield=True), suppress(StorageError):
                await lease.release()


async def _acquire(store: ObjectStore, new_holder: Holder, notify: OnWait, *, waits: bool) -> Lease:
    watched: StoredObject | None = None
    stale_at, has_renewed = inf, False
    while True:
        is_stale = trio.current_time() >= stale_at
        expiry = Expiry.after(TRUSTED_SECONDS)
        claim = partial(_claim, store, new_holder, watched, is_stale=is_stale)
        try:
            # To its end: a lease of which this start does not know would keep others waiting for a minute.
            stored, taken_by = await in_thread_to_its_end(claim, urgent=True)
        except ConflictError:
            # another start changed it in between: try again after a random delay
            await trio.sleep(LEASE_RETRY_SECONDS * random.random())  # noqa: S311  not for secrets
            continue
        if taken_by is not None:
            return Lease(store, taken_by, stored, expiry, has_waited=watched is not None)
        holder, now = _read(stored), trio.current_time()
        if watched is None:
            text = template("Waiting until another start has ended, or shows no sign of life for {seconds} s: {holder}")
            notify(message(text, seconds=int(LASTS_SECONDS), holder=_words(holder)))
        if watched is None or stored.generation != watched.generation:
            has_renewed = watched is not None
            watched, stale_at = stored, now + LASTS_SECONDS
        if has_renewed and not waits:
            raise BusyError(_words(holder), message("Another start is at work"))
        await trio.sleep_until(min(now + WATCH_SECONDS, stale_at))


def _claim(
    store: ObjectStore, new_holder: Holder, watched: StoredObject | None, *, is_stale: bool
) -> tuple[StoredObject, Holder | None]:
    """The lease, and its holder if this start has taken it: not while another one may be alive."""
    stored = store.read(LEASE)
    if stored is None:
        return store.create(LEASE, _written(new_holder)), new_holder
    last = _read(stored)
    is_stale = is_stale and watched is not None and watched.generation == stored.generation
    if not is_stale and (last is None or not (last.is_released or _is_earlier_try(last, new_holder))):
        return stored, None
    holder = new_holder.after(last)
    return store.replace(LEASE, _written(holder), stored.generation), holder


def _is_earlier_try(last: Holder, new_holder: Holder) -> bool:
    """Whether it is one of the same execution, which has ended: Cloud Run starts the next one after it."""
    is_same = last.execution is not None and last.execution == new_holder.execution
    return is_same and last.task_attempt < new_holder.task_attempt


async def peek(store: ObjectStore) -> Holder | None:
    """Who had the lease last, as released unless a start seems to hold it; `None` if nobody is known.

    It is there to be shown: clocks differ, and one read proves nothing. Raises `StorageError`.
    """
    stored = await in_thread(partial(store.read, LEASE))
    last = None if stored is None else _read(stored)
    if stored is None or last is None or time.time() - stored.updated < LASTS_SECONDS:
        return last
    return last.model_copy(update={"is_released": True})


def _words(holder: Holder | None) -> Message:
    return message("its lease cannot be read") if holder is None else holder.label


def _written(holder: Holder) -> bytes:
    return holder.model_dump_json().encode() + b"\n"


def _read(stored: StoredObject) -> Holder | None:
    try:
        return Holder.model_validate_json(stored.data)
    except ValidationError:
        return None
