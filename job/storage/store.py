"""Object store: the interface of every store, and how async code uses it. Stores hold configs and records."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from job.errors import JobError
from job.text.messages import Message, Value, colon, message, said, semicolon

T = TypeVar("T")

THREADS = 32
"""Threads for requests that are not urgent: each waits for storage most of the time."""
_TURNS = trio.CapacityLimiter(THREADS)

ANSWER_SECONDS = 120.0
"""Time limit for any request. Most end much sooner, but not if an answer trickles or a disk hangs."""

ANSWER_GRACE_SECONDS = 2.5
"""How long the answer to a write is awaited after a signal, if it has to be known."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    data: bytes
    generation: str
    """Changes with every write."""
    updated: float
    """Seconds since 1970 by the store's own clock: compare it with times of the same store only."""


class StorageError(JobError):
    """A store could not do what was requested. The same request may succeed later."""

    place = "RUNS_URI"
    """The variable that names the store."""

    def __init__(self, reason: Value, remedy: Message | None = None, about: str | None = None) -> None:
        """`about` is the object or the place, unless the reason names it; `remedy` is what its owner has to do."""
        self.what = colon(about, reason) if about else said(reason)
        self.text = self.what if remedy is None else semicolon(self.what, remedy)
        """The whole error, for people."""
        self.reason = reason if remedy is None else semicolon(reason, remedy)
        """The same without what it is about."""
        super().__init__(str(self.text))
        self.remedy = remedy


def error_text(error: Exception) -> Value:
    """The text of an error; a message that can be translated if the error is a `StorageError`."""
    return error.text if isinstance(error, StorageError) else str(error)


class UnusableError(StorageError):
    """The object or place cannot be used, and a later request will fail as well: a person has to correct it."""


class UnreachableError(StorageError):
    """The store did not answer, or not as it should. Nothing is known about the object; a later request may succeed."""


class ConflictError(StorageError):
    """Another process has written or removed the object, so the condition of the request is not met."""


def changed(name: str) -> Message:
    return message("{object} was changed by another process or person", object=name)


NAME_A_PLACE = message("set it to gs://BUCKET/PREFIX or to a directory")


class ObjectStore(Protocol):
    """A place for objects. Every method blocks, so call it through `in_thread`, and raises `StorageError`.

    A write counts as done even if its answer was lost or cannot be used, as long as the store then holds what was sent.
    """

    def read(self, name: str, limit: int | None = None) -> StoredObject | None:
        """Returns the object, or its first `limit` bytes; `None` if there is none."""

    def content(self, name: str) -> bytes | None:
        """Returns an object that never changes, in half the requests of `read`; `None` if there is none."""

    def create(self, name: str, data: bytes) -> StoredObject:
        """Writes an object that does not exist. Raises `ConflictError` if it exists with other content."""

    def replace(self, name: str, data: bytes, generation: str) -> StoredObject:
        """Overwrites an object of this generation. Raises `ConflictError` if it has another generation."""

    def names(self, prefix: str) -> list[str]:
        """Returns all names that start with `prefix`, sorted, also of objects that cannot be read."""

    def folders(self, prefix: str) -> Sequence[str]:
        """Returns the names of all folders that start with `prefix`, up to the next slash and without it, sorted.

        A folder is what names of objects have before a slash; in a directory also a subdirectory without files.
        """


async def in_thread(function: Callable[[], T], *, urgent: bool = False) -> T:
    """Runs a blocking request in a thread and returns what it returns. Raises `StorageError` if it takes too long.

    At most `THREADS` requests run at a time, and others queue for their turn; an urgent one does not.
    If a request takes too long or its caller is cancelled, its thread is abandoned. The request may still take effect
    later, which is why every write has a condition.
    """
    async with nullcontext() if urgent else _TURNS:
        try:
            with trio.fail_after(ANSWER_SECONDS):
                return await trio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
        except trio.TooSlowError:
            raise UnreachableError(message("storage did not answer in time")) from None


async def in_thread_to_its_end(function: Callable[[], T], *, urgent: bool = False) -> T:
    """As `in_thread`; but once its caller is cancelled, the answer is awaited for `ANSWER_GRACE_SECONDS` more.

    So a write is known to have been done, or not, although a signal came meanwhile: the caller goes on with the answer,
    and is cancelled at its next checkpoint. Without an answer it is cancelled here, and what came of it is not known.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    answers: list[T] = []
    errors: list[Exception] = []
    patience = trio.CancelScope(shield=True)

    async def ask() -> None:
        with patience:
            try:
                answers.append(await in_thread(function, urgent=urgent))
            except Exception as error:  # noqa: BLE001  it is raised below, outside the nursery
                errors.append(error)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        try:
            await trio.sleep_forever()
        except trio.Cancelled:  # noqa: ASYNC103  the answer is returned all the same
            patience.deadline = trio.current_time() + ANSWER_GRACE_SECONDS
    if errors:
        raise errors[0]
    if not answers:
        await trio.sleep_forever()
    return answers[0]


async def each_of(names: Sequence[str], read: Callable[[str], Awaitable[T | None]], at_a_time: int) -> dict[str, T]:
    """What `read` returns for each name, without `None`; at most `at_a_time` at once. Raises the first `JobError`."""
    values: dict[str, T | None] = dict.fromkeys(names)
    errors: list[JobError] = []
    rest = iter(values)

    async def read_rest() -> None:
        for name in rest:
            try:
                values[name] = await read(name)
            except JobError as error:
                errors.append(error)
                nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for _ in range(min(at_a_time, len(values))):
            nursery.start_soon(read_rest)
    if errors:
        raise errors[0]
    return {name: value for name, value in values.items() if value is not None}
