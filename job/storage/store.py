"""The object store: what every store promises, and how async code uses it. Configs and records live in stores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import trio

from job.text.messages import Message, Value, message

T = TypeVar("T")


THREADS = 8
"""For requests that are not urgent. The Cloud Storage library keeps 10 connections."""


BACKGROUND_THREADS = 4
"""For requests that nobody waits for: however long they take, they hold up no other."""


ANSWER_SECONDS = 120.0
"""The limit of any request. Most end much sooner, but not if an answer trickles or a disk hangs."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was read or written."""

    data: bytes
    generation: str
    """Changes with every write."""
    updated: float
    """Seconds since 1970 by the store's own clock: compare it with times of the same store only."""


class StorageError(Exception):
    """A store did not do what it was asked to do. The same request may succeed later."""

    def __init__(self, what: Value, remedy: Message | None = None) -> None:
        """`what` names the object or the place and says why; `remedy`, if any, says what its owner has to do."""
        self.words: Value = what if remedy is None else message("{what}; {remedy}", what=what, remedy=remedy)
        """For people, in their language."""
        super().__init__(str(self.words))
        self.what = str(what)
        self.remedy = None if remedy is None else str(remedy)


def words_of(error: Exception) -> Value:
    """What an error says to people: in their language if it is a store's."""
    return error.words if isinstance(error, StorageError) else str(error)


class UnusableError(StorageError):
    """What is there is of no use, and no later request will change that: a person has to put it right."""


class ConflictError(StorageError):
    """Somebody else has written or removed the object: it is not what the caller takes it for."""


def changed(name: str) -> Message:
    """What a store says of an object that another has changed or removed."""
    return message("{object} was changed by another", object=name)


SAVED_FIRST = message("try again once whoever changes it is done")
"""The remedy for an object that is changed while it is read."""


class ObjectStore(Protocol):
    """A place for objects. Every method blocks, so call it through `in_thread`, and raises `StorageError`.

    A write counts as done even if its answer was lost or cannot be used, as long as the store then holds what was sent.
    """

    def read(self, name: str, limit: int | None = None) -> StoredObject | None:
        """Returns the object, or its first `limit` bytes; `None` if there is none.

        `None` means that the object was not there from the start. Raises `ConflictError` if it is changed or removed
        again and again while it is read.
        """
        ...

    def create(self, name: str, data: bytes) -> StoredObject:
        """Writes an object that does not exist. Raises `ConflictError` if it exists with other content."""
        ...

    def replace(self, name: str, data: bytes, generation: str) -> StoredObject:
        """Overwrites an object of this generation. Raises `ConflictError` if it has another generation."""
        ...

    def delete(self, name: str, generation: str) -> None:
        """Removes an object of this generation. Raises `ConflictError` if it has another generation."""
        ...

    def names(self, prefix: str) -> list[str]:
        """Returns all names that start with `prefix`, sorted. Nothing is left out because it cannot be read."""
        ...


async def in_thread(function: Callable[[], T], *, urgent: bool = False, background: bool = False) -> T:
    """Runs a blocking request in a thread and returns what it returns. Raises `StorageError` if it takes too long.

    An urgent one does not queue behind others: there is a thread for it. Only one urgent request runs at a time.
    Those in the background have threads of their own, so that no other queues behind them.
    If a request takes too long or its caller is cancelled, nobody waits for its thread. Whether it takes effect later
    cannot be known, which is why every write has a condition.
    """
    async with _limiter("urgent" if urgent else "background" if background else "usual"):
        try:
            with trio.fail_after(ANSWER_SECONDS):
                return await trio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
        except trio.TooSlowError:
            raise StorageError(message("storage did not answer within {seconds} s", seconds=ANSWER_SECONDS)) from None


async def read_many(store: ObjectStore, names: Sequence[str], limit: int | None = None) -> dict[str, StoredObject]:
    """Reads objects concurrently; returns those that exist, in the order of `names`. Raises `StorageError`.

    No more reads queue than there are threads, so that any other request waits for one turn only.
    """
    found: dict[str, StoredObject | None] = dict.fromkeys(names)
    errors: list[StorageError] = []
    rest = iter(found)

    async def read() -> None:  # noqa: ASYNC910  there are no more readers than names
        for name in rest:
            try:
                found[name] = await in_thread(partial(store.read, name, limit))
            except StorageError as error:
                errors.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(min(THREADS, len(found))):
            nursery.start_soon(read)
    if errors:
        raise errors[0]
    return {name: stored for name, stored in found.items() if stored is not None}


_THREADS: Mapping[str, int] = {"urgent": 1, "usual": THREADS, "background": BACKGROUND_THREADS}
_limiters: trio.lowlevel.RunVar[dict[str, trio.CapacityLimiter]] = trio.lowlevel.RunVar("storage threads")


def _limiter(kind: str) -> trio.CapacityLimiter:
    try:
        limiters = _limiters.get()
    except LookupError:
        limiters = {kind: trio.CapacityLimiter(count) for kind, count in _THREADS.items()}
        _limiters.set(limiters)
    return limiters[kind]
