"""The lease: one run at a time on the place where runs are recorded.

The scheduler delivers a tick at least once, and people press buttons. No stamp and no machine's time of day counts, as
clocks are set: a holder counts its seconds since it last renewed the lease, and another run those for which it has
watched the lease without seeing it renewed.
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

from job.execution.shutdown import GRACE_SECONDS, Expiry, Shutdown, ShutdownReason
from job.storage.store import ConflictError, ObjectStore, StorageError, StoredObject, in_thread, words_of
from job.text.messages import Message, message, template

LEASE = "_lease.json"


LASTS_SECONDS = 60.0
"""A lease that another run has watched for so long without seeing it renewed is stale: the run may take it over."""


RENEW_SECONDS = 15.0


RETRY_SECONDS = 2.0


WATCH_SECONDS = 3.0
"""Between two looks at a lease that is watched."""


MAX_CONFLICTS = 5


TRUSTED_SECONDS = LASTS_SECONDS - GRACE_SECONDS - 5.0
"""After its last renewal a holder stops so much earlier that what is in flight ends before another may take over."""


class Holder(BaseModel):
    """Who holds the lease: what another run needs to tell whether this one is gone, and whether it is its twin."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    owner: str
    """Of this process alone."""
    run_id: str
    plan: str
    """The digest of its plan, date included."""
    engines: str | None = None
    """The digest of the URLs of the engines that its plan uses. A lease without it has no twin."""
    day: str
    since: str
    machine: str
    pid: Annotated[int, Field(gt=0, lt=2**31)]
    execution: str | None
    task_attempt: int


class BusyError(Exception):
    """Another run is alive: it was seen to renew the lease or to give it back. Says which run it is."""

    def __init__(self, holder: Holder | None, me: Holder, *, has_ended: bool = False) -> None:
        self.has_ended = has_ended
        """Whether it gave its lease back while we watched."""
        self.holder, self.is_twin = message("its lease cannot be read"), False
        """Whether it does the same work: the same plan for the same day, with the same engines."""
        self.is_same_run = holder is not None and holder.run_id == me.run_id
        """Whether it is this run, in another process."""
        if holder is not None:
            values = {"run": holder.run_id, "day": holder.day, "since": holder.since}
            self.holder = message("run {run} of {day}, since {since}", **values)
            if (holder.plan, holder.day) == (me.plan, me.day) and holder.engines is not None:
                self.is_twin = holder.engines == me.engines
                if not self.is_twin:
                    text = template("run {run} of {day}, since {since}, with the same plan for other engines")
                    self.holder = message(text, **values)
        super().__init__(str(self.holder))


@dataclass(slots=True)
class Lease:
    """The lease, from when it is acquired until it is released or lost."""

    store: ObjectStore
    holder: Holder
    stored: StoredObject
    expiry: Expiry
    """When its holder no longer trusts it, unless it is renewed."""
    _changing: trio.Lock = field(default_factory=trio.Lock)
    """The lease that is released must be the one that was renewed last."""

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
                with trio.move_on_at(self.trusted_until):
                    async with self._changing:
                        self.stored = await in_thread(self._renewed, urgent=True)
                    self.expiry = shutdown.no_start_after = renewed
                    pause = RENEW_SECONDS
                    on_outage(None)
            except ConflictError:
                self.expiry = Expiry.after(0.0)
                break
            except StorageError as error:
                pause = RETRY_SECONDS
                on_outage(message("the lease is not renewed: {error}", error=words_of(error)))
        shutdown.request(ShutdownReason.LEASE_LOST, GRACE_SECONDS)

    @property
    def trusted_until(self) -> float:
        """By trio's clock, for waits; what matters is decided by `is_held`."""
        return self.expiry.monotonic

    def is_held(self) -> bool:
        """Whether no other run may be at work."""
        return not self.expiry.has_passed()

    def _renewed(self) -> StoredObject:
        return self.store.replace(LEASE, _written(self.holder), self.stored.generation)

    async def release(self) -> None:
        """Gives the lease back, unless another run has it. Raises `StorageError`; the lease grows stale then."""
        async with self._changing:
            with suppress(ConflictError):
                await in_thread(lambda: self.store.delete(LEASE, self.stored.generation), urgent=True)


async def acquire(store: ObjectStore, me: Holder, notify: Callable[[Message], None]) -> Lease:
    """Acquires the lease. Raises `BusyError` if another run is alive, `StorageError` if nobody can tell.

    If the holder is known to be gone, its lease is taken over at once. Otherwise it is watched, and `notify` gets one
    sentence about that: a living holder renews it or gives it back, and one that nobody has renewed in a minute of our
    own monotonic clock is taken over.
    """
    watched: StoredObject | None = None
    stale_at = inf
    conflicts = 0
    while conflicts < MAX_CONFLICTS:
        is_stale = trio.current_time() >= stale_at
        expiry = Expiry.after(TRUSTED_SECONDS)
        try:
            stored = await in_thread(partial(_claim, store, me, watched, is_stale=is_stale), urgent=True)
        except _UnprovenError as unproven:
            if watched is None:
                watched, stale_at = unproven.there, trio.current_time() + LASTS_SECONDS
                notify(_notice(_read(watched)))
            await trio.sleep_until(min(trio.current_time() + WATCH_SECONDS, stale_at))
        except ConflictError:
            conflicts += 1
            # it changed hands in between: look again, not all at the same moment
            await trio.sleep(RETRY_SECONDS * random.random())  # noqa: S311  not for secrets
        else:
            return Lease(store, me, stored, expiry)
    text = template("{object} was changed by others {count} times in a row")
    raise StorageError(message(text, object=LEASE, count=MAX_CONFLICTS))


class _UnprovenError(Exception):
    """Nobody knows whether the holder is alive."""

    def __init__(self, there: StoredObject) -> None:
        super().__init__(there.generation)
        self.there = there


def _claim(store: ObjectStore, me: Holder, watched: StoredObject | None, *, is_stale: bool) -> StoredObject:
    """Takes the lease; `watched` is what it was at the first look, `is_stale` whether that is long enough ago."""
    data = _written(me)
    if watched is None:
        with suppress(ConflictError):
            return store.create(LEASE, data)
    there = store.read(LEASE)
    if there is None:
        if watched is not None:  # released while we watched: its holder was alive
            raise BusyError(_read(watched), me, has_ended=True)
        raise ConflictError(message("the lease was released"))
    holder = _read(there)
    if holder is None or not _is_gone(holder, me):
        if watched is not None and watched.generation != there.generation:  # written while we watched
            raise BusyError(holder, me)
        if not is_stale:
            raise _UnprovenError(there)
    return store.replace(LEASE, data, there.generation)


@dataclass(frozen=True, slots=True)
class SeenLease:
    """The lease at one look."""

    holder: Holder
    seems_alive: bool
    """Whether the holder has renewed it lately, by the clocks of storage and of this machine: these may disagree."""


async def look(store: ObjectStore) -> SeenLease | None:
    """Who holds the lease, for people to read; `None` if nobody does or it cannot be read. Raises `StorageError`.

    To take a lease over, one look is not enough: see `acquire`.
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
    """Whether it is certain that the holder has ended. If not, it may have ended all the same."""
    if holder.execution is not None or me.execution is not None:
        # Instances of Cloud Run may look alike from within. It starts a retry when the attempt before it is over.
        retried = (holder.execution, holder.run_id) == (me.execution, me.run_id)
        return retried and holder.task_attempt < me.task_attempt
    if holder.machine != me.machine:
        return False
    # A container that was started again may give the same number to the same process.
    return holder.pid == me.pid or _has_ended(holder.pid)


def _has_ended(pid: int) -> bool:
    """Whether there is no such process, or only a zombie: one that has ended and whose parent has not noticed."""
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
    """What tells this machine, and its space of process numbers, from others."""
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
