"""What a place of objects promises, whatever keeps them. The config comes from one, the record goes to one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


THREADS = 8
"""Of the calls that block; the storage library keeps 10 connections."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was read."""

    data: bytes
    generation: str
    """Changes with every write."""
    updated: float
    """Seconds since 1970 by the storage's own clock: to be compared with such times only."""


class StorageError(Exception):
    """Storage did not do what it was asked for. Says why; the same may succeed later."""


class ConflictError(StorageError):
    """The object is not what the precondition takes it for: somebody else has written or removed it."""


class ObjectStore(Protocol):
    """A place of objects. Everything blocks, for a bounded time, and raises `StorageError`.

    A write that was done although its answer was lost is taken for done: what is there is compared with what was sent.
    """

    def read(self, name: str, limit: int | None = None) -> StoredObject | None:
        """The object, `limit` bytes of it at the most; `None` where there is none."""
        ...

    def create(self, name: str, data: bytes) -> StoredObject:
        """Writes an object that does not exist. Raises `ConflictError` where it does, with other content."""
        ...

    def replace(self, name: str, data: bytes, generation: str) -> StoredObject:
        """Writes anew an object that is of this generation. Raises `ConflictError` where it is not."""
        ...

    def delete(self, name: str, generation: str) -> None:
        """Removes an object that is of this generation. Raises `ConflictError` where it is not."""
        ...

    def names(self, prefix: str) -> list[str]:
        """The names that begin so, sorted."""
        ...


async def in_thread(function: Callable[[], T]) -> T:
    """Does something that blocks in a thread of the storage's own number; a cancelled caller does not wait for it."""
    return await trio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=_threads())


async def read_many(store: ObjectStore, names: Sequence[str], limit: int | None = None) -> dict[str, StoredObject]:
    """Those of the objects that exist, in the order of the names, read at the same time. Raises `StorageError`."""
    found: dict[str, StoredObject | None] = dict.fromkeys(names)
    errors: list[StorageError] = []

    async def read(name: str) -> None:  # noqa: ASYNC910  the read was awaited
        try:
            found[name] = await in_thread(lambda: store.read(name, limit))
        except StorageError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for name in found:
            nursery.start_soon(read, name)
    if errors:
        raise errors[0]
    return {name: stored for name, stored in found.items() if stored is not None}


_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("storage threads")


def _threads() -> trio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(THREADS)
        _limiter.set(limiter)
        return limiter
