"""One run at a time: a lease on the place where runs are recorded.

The scheduler delivers a tick at least once, and people press buttons. No clock of a machine is trusted: a lease's age
is the difference of two stamps of the storage's own clock, and a holder counts on a monotonic one.
"""

import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio
from pydantic import BaseModel, ConfigDict, ValidationError

from job.execution.shutdown import GRACE_SECONDS, Shutdown, ShutdownReason
from job.storage.store import ConflictError, ObjectStore, StorageError, StoredObject, in_thread

LEASE = "_lease.json"


LASTS_SECONDS = 60.0


RENEW_SECONDS = 15.0


RETRY_SECONDS = 2.0


WATCH_SECONDS = 3.0


MAX_CONFLICTS = 5


TRUSTED_SECONDS = LASTS_SECONDS - GRACE_SECONDS - 5.0
"""After its last renewal a holder stops so much earlier that what is in flight ends before another may take over."""


class Holder(BaseModel):
    """Who holds the lease, and how a later attempt at the same run can tell that this one is gone."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    owner: str
    """Of this process alone."""
    run_id: str
    plan: str
    """The digest of its plan, date included."""
    day: str
    since: str
    machine: str
    pid: int
    execution: str | None
    task_attempt: int


class BusyError(Exception):
    """Another run is alive. Says which, and tells whether its plan is that of the run that looked."""

    def __init__(self, holder: Holder | None, me: Holder) -> None:
        super().__init__(f"run {holder.run_id} of {holder.day}, since {holder.since}" if holder else "its lease is odd")
        self.same_plan = holder is not None and (holder.plan, holder.day) == (me.plan, me.day)


@dataclass(slots=True)
class Lease:
    """The lease, from when it is obtained until it is released or lost."""

    store: ObjectStore
    holder: Holder
    stored: StoredObject
    trusted_until: float
    """By trio's clock."""
    _changing: trio.Lock = field(default_factory=trio.Lock)
    """The lease given back must be the one that was renewed last."""

    async def renew_forever(self, shutdown: Shutdown, on_outage: Callable[[str | None], None]) -> None:
        """Renews the lease until it is lost, and halts the run then."""
        pause = RENEW_SECONDS
        shutdown.no_start_after = self.trusted_until
        while True:
            await trio.sleep_until(min(trio.current_time() + pause, self.trusted_until))
            asked = trio.current_time()
            if asked >= self.trusted_until:
                break
            try:
                with trio.move_on_at(self.trusted_until):
                    async with self._changing:
                        self.stored = await in_thread(self._renewed, urgent=True)
                    self.trusted_until = shutdown.no_start_after = asked + TRUSTED_SECONDS
                    pause = RENEW_SECONDS
                    on_outage(None)
            except ConflictError:
                self.trusted_until = asked
                break
            except StorageError as error:
                pause = RETRY_SECONDS
                on_outage(f"the lease is not renewed: {error}")
        shutdown.request(ShutdownReason.LEASE_LOST, GRACE_SECONDS)

    def is_held(self) -> bool:
        """Whether no other run may be at work."""
        return trio.current_time() < self.trusted_until

    def _renewed(self) -> StoredObject:
        return self.store.replace(LEASE, _written(self.holder), self.stored.generation)

    async def release(self) -> None:
        """Gives the lease back, unless another has it. Raises `StorageError`; it grows stale then."""
        async with self._changing:
            with suppress(ConflictError):
                await in_thread(lambda: self.store.delete(LEASE, self.stored.generation), urgent=True)


async def acquire(store: ObjectStore, me: Holder) -> Lease:
    """The lease. Raises `BusyError` where another run is alive, `StorageError` where nobody can tell.

    A holder of which nobody knows whether it is alive is watched: until it renews the lease or gives it back, since a
    dead one does neither, or for as long as the lease lasts.
    """
    watched: StoredObject | None = None
    tries = 0
    while tries < MAX_CONFLICTS:
        asked = trio.current_time()
        try:
            stored = await in_thread(partial(_claim, store, me, watched), urgent=True)
        except _UnprovenError as unproven:
            watched = watched or unproven.there
            await trio.sleep(WATCH_SECONDS)
        except ConflictError:
            tries += 1
            # it changed hands in between: look again, not all at the same moment
            await trio.sleep(RETRY_SECONDS * random.random())  # noqa: S311  not for secrets
        else:
            return Lease(store, me, stored, asked + TRUSTED_SECONDS)
    raise StorageError(f"{LEASE} was changed by others {MAX_CONFLICTS} times in a row")


class _UnprovenError(Exception):
    """The lease is not stale, but its holder may be dead."""

    def __init__(self, there: StoredObject) -> None:
        super().__init__(there.generation)
        self.there = there


def _claim(store: ObjectStore, me: Holder, watched: StoredObject | None) -> StoredObject:
    """Takes the lease; `watched` is what it was when it was first looked at."""
    data = _written(me)
    if watched is None:
        with suppress(ConflictError):
            return store.create(LEASE, data)
    there = store.read(LEASE)
    if there is None:
        if watched is not None:  # given back while we watched: its holder was alive
            raise BusyError(_read(watched), me)
        raise ConflictError("the lease was released")
    holder = _read(there)
    alive = None if holder is None else _is_alive(holder, me)
    if alive is None and watched is not None and watched.generation != there.generation:
        alive = True  # it was renewed while we watched
    if alive is not False and _age(store, there, me) < LASTS_SECONDS:
        raise BusyError(holder, me) if alive else _UnprovenError(there)
    return store.replace(LEASE, data, there.generation)


def _is_alive(holder: Holder, me: Holder) -> bool | None:
    """Whether the holder is alive, as far as that can be known from here without a look at its lease."""
    if holder.execution is not None or me.execution is not None:
        # Instances of Cloud Run may look alike from within. It starts a retry when the attempt before it is over.
        retried = (holder.execution, holder.run_id) == (me.execution, me.run_id)
        return False if retried and holder.task_attempt < me.task_attempt else None
    if holder.machine != me.machine:
        return None
    # A container that was started again may give the same number to the same process.
    return holder.pid != me.pid and _is_running(holder.pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _age(store: ObjectStore, there: StoredObject, me: Holder) -> float:
    """Seconds since the lease was written, by the storage's clock, which stamps another object now."""
    probe = f"_knock-{me.owner}.json"
    now = store.create(probe, b"{}\n")
    store.delete(probe, now.generation)
    return now.updated - there.updated


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
