"""Lease: lets only one run at a time work under one RUNS_URI.

Two runs may start at the same time, since the scheduler delivers at least once, and people start runs by hand. No
timestamp or time of day is compared, as clocks may be wrong: the holder measures the seconds since its last renewal,
and another run measures for how long it has watched the lease without a renewal.
"""

import os
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from typing import Annotated

import trio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from job.errors import JobError
from job.execution.shutdown import Budget, Expiry, Shutdown, ShutdownReason
from job.storage.store import ConflictError, ObjectStore, StorageError, StoredObject, in_thread, words_of
from job.text.messages import Message, message, template

LEASE = "_lease.json"
LASTS_SECONDS = 60.0
"""A lease that was watched for this long without a renewal is stale: the run that watched it may take it over."""
RENEW_SECONDS = 15.0
RETRY_SECONDS = 2.0
WATCH_SECONDS = 3.0
"""Interval in which a watched lease is read."""
MAX_CONFLICTS = 5
TRUSTED_SECONDS = LASTS_SECONDS - Budget.GRACE - 5.0
"""How long a holder trusts its lease after a renewal. Its calls have ended before another run may take it over."""


class Holder(BaseModel):
    """The holder of the lease. Another run decides by this whether the holder has ended, and whether it follows it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    owner: str
    """Unique to this process."""
    run_id: str
    plan: str = ""
    """Only for earlier versions of the job, which stand back for a holder with the same plan."""
    work: str | None = None
    """As in `work_of`. `None` for a run that makes everything anew, which is not followed."""
    day: str
    since: str
    machine: str
    pid: Annotated[int, Field(gt=0, lt=2**31)]
    execution: str | None
    task_attempt: int


class BusyError(JobError):
    """A run with other work renewed the lease while it was watched, so it is alive. Says which run it is."""

    def __init__(self, holder: Holder | None) -> None:
        self.holder = message("its lease cannot be read")
        if holder is not None:
            text = template("run {run} of {day}, since {since}")
            self.holder = message(text, run=holder.run_id, day=holder.day, since=holder.since)
        super().__init__(str(self.holder))


@dataclass(slots=True)
class Lease:
    """The lease, from when it is acquired until it is released or lost."""

    store: ObjectStore
    holder: Holder
    stored: StoredObject
    expiry: Expiry
    """When the holder stops trusting the lease, unless it renews it."""
    replaced: str | None = None
    """The owner of an attempt at the same run that had not released the lease. It may still write results."""
    _changing: trio.Lock = field(default_factory=trio.Lock)
    """Serializes renewal and release, so that the release has the generation of the last renewal."""

    async def renew_forever(self, shutdown: Shutdown, on_outage: Callable[[Message | None], None]) -> None:
        """Renews the lease until it is lost, and requests the shutdown then."""
        pause = RENEW_SECONDS
        shutdown.no_start_after = self.expiry
        while True:
            await trio.sleep_until(min(trio.current_time() + pause, self.trusted_until))
            renewed = Expiry.after(TRUSTED_SECONDS)
            if self.expiry.has_passed():
                break
            try:
                with trio.move_on_at(self.trusted_until) as patience:
                    async with self._changing:
                        self.stored = await in_thread(self._renewed, urgent=True)
                    self.expiry = shutdown.no_start_after = renewed
                    pause = RENEW_SECONDS
                    shutdown.not_renewed = None
                    on_outage(None)
                if patience.cancelled_caught:
                    shutdown.not_renewed = message("storage did not answer in time")
            except ConflictError:
                shutdown.not_renewed = None
                self.expiry = Expiry.after(0.0)
                break
            except StorageError as error:
                pause = RETRY_SECONDS
                shutdown.not_renewed = words_of(error)
                on_outage(message("the lease is not renewed: {error}", error=words_of(error)))
        shutdown.request(ShutdownReason.LEASE_LOST, Budget.GRACE)

    @property
    def trusted_until(self) -> float:
        """By trio's clock, for timeouts. Use `is_held` to decide whether the lease is held."""
        return self.expiry.monotonic

    def is_held(self) -> bool:
        """Whether the lease is still held, so that no other run can be at work."""
        return not self.expiry.has_passed()

    def _renewed(self) -> StoredObject:
        return self.store.replace(LEASE, _written(self.holder), self.stored.generation)

    async def release(self) -> None:
        """Releases the lease, unless another run has it. If it raises `StorageError`, the lease becomes stale later."""
        async with self._changing:
            with suppress(ConflictError):
                await in_thread(lambda: self.store.delete(LEASE, self.stored.generation), urgent=True)


async def acquire(store: ObjectStore, me: Holder, notify: Callable[[Message], None], *, follows: bool = True) -> Lease:
    """Acquires the lease. Raises `BusyError` if a run with other work has it, `StorageError` if that is not known.

    If the holder has certainly ended, its lease is taken over at once. Otherwise the lease is watched, and `notify`
    gets one sentence about that. It is taken over when it is released, and after a minute, by this run's monotonic
    clock, without a renewal. A holder that renews it is alive: if it is this very run or has the same work, it is
    followed to its end, unless this start never `follows` another.
    """
    watched: StoredObject | None = None
    stale_at = inf
    conflicts = 0
    is_followed = False
    while conflicts < MAX_CONFLICTS:
        is_stale = trio.current_time() >= stale_at
        expiry = Expiry.after(TRUSTED_SECONDS)
        try:
            stored, replaced = await in_thread(partial(_claim, store, me, watched, is_stale=is_stale), urgent=True)
        except _AliveError as alive:
            if watched is None:
                notify(_notice(_read(alive.there)))
            elif alive.there.generation != watched.generation and not is_followed:
                holder = _read(alive.there)
                if holder is None or not follows or not _does_the_same(holder, me):
                    raise BusyError(holder) from None
                is_followed = True
                text = template("run {run} of {day} is at work: following it, and doing then what is left")
                notify(message(text, run=holder.run_id, day=holder.day))
            if watched is None or alive.there.generation != watched.generation:
                watched, stale_at = alive.there, trio.current_time() + LASTS_SECONDS
            await trio.sleep_until(min(trio.current_time() + WATCH_SECONDS, stale_at))
        except ConflictError:
            conflicts += 1
            # another run changed it in between: try again after a random delay
            await trio.sleep(RETRY_SECONDS * random.random())  # noqa: S311  not for secrets
        else:
            acquired = Lease(store, me, stored, expiry, replaced)
            if watched is not None and not follows and not is_stale:  # the holder was alive, and has ended meanwhile
                await acquired.release()
                raise BusyError(_read(watched))
            return acquired
    text = template("{object} was changed by others {count} times in a row")
    raise StorageError(message(text, object=LEASE, count=MAX_CONFLICTS))


class _AliveError(Exception):
    """The holder may be alive."""

    def __init__(self, there: StoredObject) -> None:
        super().__init__(there.generation)
        self.there = there


def _claim(
    store: ObjectStore, me: Holder, watched: StoredObject | None, *, is_stale: bool
) -> tuple[StoredObject, str | None]:
    """Takes the lease. `watched` is the lease as it was last seen; `is_stale` is whether that was long enough ago.

    Returns it, and `Lease.replaced`.
    """
    data = _written(me)
    if watched is None:
        with suppress(ConflictError):
            return store.create(LEASE, data), None
    there = store.read(LEASE)
    if there is None:
        return store.create(LEASE, data), None
    holder = _read(there)
    is_watched = watched is not None and watched.generation == there.generation
    if (holder is None or not _is_gone(holder, me)) and not (is_watched and is_stale):
        raise _AliveError(there)
    replaced = holder.owner if holder is not None and holder.run_id == me.run_id else None
    return store.replace(LEASE, data, there.generation), replaced


def _does_the_same(holder: Holder, me: Holder) -> bool:
    return holder.run_id == me.run_id or (holder.work is not None and holder.work == me.work)


@dataclass(frozen=True, slots=True)
class SeenLease:
    """The lease as it was read once."""

    holder: Holder
    seems_alive: bool
    """Whether it was renewed lately. This compares the clocks of storage and of this machine, which may differ."""


async def look(store: ObjectStore) -> SeenLease | None:
    """Reads the lease, to show it to people; `None` if there is none or it is not valid. Raises `StorageError`.

    One read is not enough to take a lease over: see `acquire`.
    """
    stored = await in_thread(lambda: store.read(LEASE))
    holder = None if stored is None else _read(stored)
    if stored is None or holder is None:
        return None
    is_gone = holder.execution is None and holder.machine == machine() and _has_ended(holder.pid)
    return SeenLease(holder, seems_alive=not is_gone and time.time() - stored.updated < LASTS_SECONDS)


def _notice(holder: Holder | None) -> Message:
    if holder is None:
        return message(
            "Waiting up to {seconds} s to see whether another run is at work: {object} cannot be read.",
            seconds=LASTS_SECONDS,
            object=LEASE,
        )
    return message(
        "Waiting up to {seconds} s to see whether run {run} of {day} is still at work: it has held the lease since "
        "{since}.",
        seconds=LASTS_SECONDS,
        run=holder.run_id,
        day=holder.day,
        since=holder.since,
    )


def _is_gone(holder: Holder, me: Holder) -> bool:
    """Whether the holder has certainly ended. If this is false, it may still have ended."""
    if holder.execution is not None or me.execution is not None:
        # Instances of Cloud Run may have equal names and pids. A retry starts only after the earlier attempt has ended.
        retried = (holder.execution, holder.run_id) == (me.execution, me.run_id)
        return retried and holder.task_attempt < me.task_attempt
    if holder.machine != me.machine:
        return False
    # After a restart, this process may have the same pid as the one before.
    return holder.pid == me.pid or _has_ended(holder.pid)


def _has_ended(pid: int) -> bool:
    """Whether there is no such process, or only a zombie: a process that has ended but was not waited for."""
    try:
        with suppress(PermissionError):  # another user's
            os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_bytes()  # 12 (any name) Z 1 ...
    except ProcessLookupError:
        return True
    except OSError:  # there is no /proc, or it does not show this process
        return False
    return status.rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"])


def machine() -> str:
    """Identifies this machine and its PID namespace."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(str(Path(path).readlink()) if path.endswith("pid") else Path(path).read_text("ascii").strip())
        except OSError:
            continue
    return " ".join(parts)


def _written(holder: Holder) -> bytes:
    return holder.model_dump_json().encode() + b"\n"


def _read(stored: StoredObject) -> Holder | None:
    try:
        return Holder.model_validate_json(stored.data)
    except ValidationError:
        return None
