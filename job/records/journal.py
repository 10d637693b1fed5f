"""Journal of an attempt: writes results in the background, many in each object. Objects are never changed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import trio
from pydantic_core import to_json

from job.day.format import FORMAT, RecordError, altered, check_format, missing, results_name
from job.day.ledger import Ledger
from job.day.result import CallResult
from job.storage.store import ObjectStore, StorageError, in_thread, read_many
from job.text.messages import Message, message, not_written

WRITE_SECONDS = 3.0
"""How long a result waits at most before it is written; with the write itself under 5 s."""
WRITE_RESULTS = 100
"""A write starts when this many results wait. At fewer than 40 calls per second, fewer arrive during one write."""
WRITE_RETRY_SECONDS = 1.0
_READ_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class _Chunk:
    """An object that is being written. It is kept unchanged until it is written, so that the write can be repeated."""

    name: str
    data: bytes
    count: int


class Journal:
    """Appends results to the record of an attempt. Keeps every result until it is written."""

    def __init__(
        self, store: ObjectStore, day: str, number: int, plan: str, on_outage: Callable[[Message | None], None]
    ) -> None:
        """`number` is the attempt's, and `plan` the digest of its plan.

        `on_outage` gets why writing fails, and `None` when it works again.
        """
        self._store = store
        self._day, self._number, self._plan = day, number, plan
        self._on_outage = on_outage
        self._pending: list[bytes] = []
        self._chunk: _Chunk | None = None
        self._sequence = 0
        self._appended = 0
        self._written = 0
        self._full = trio.Event()
        self._running = trio.CancelScope()
        self._writing = trio.Lock()
        self._writing_took = 0.0

    @property
    def objects(self) -> int:
        """How many objects were begun; once everything is flushed, all of them are written."""
        return self._sequence

    @property
    def unwritten(self) -> int:
        """How many results are not known to be written."""
        return self._appended - self._written

    def append(self, result: CallResult) -> None:
        """Adds a result. It is written within seconds."""
        self._pending.append(result.line())
        self._appended += 1
        if len(self._pending) >= WRITE_RESULTS:
            self._full.set()

    async def run(self) -> None:
        """Writes appended results until it is stopped: every `WRITE_SECONDS`, or when `WRITE_RESULTS` wait."""
        with self._running:
            while True:
                # Counted from the start of the last write: results that were appended during it have waited already.
                with trio.move_on_at(trio.current_time() + WRITE_SECONDS - self._writing_took):
                    await self._full.wait()
                await self.flush()

    def stop(self) -> None:
        """Ends `run`, even in the middle of a write that hangs. A `flush` makes that write again."""
        self._running.cancel()

    async def flush(self) -> None:
        """Returns when all results appended so far are written, however long that takes."""
        appended = self._appended
        async with self._writing:
            began = trio.current_time()
            while self._written < appended:
                if self._chunk is None:
                    self._chunk = self._next_chunk()
                if not await self._write(self._chunk):
                    await trio.sleep(WRITE_RETRY_SECONDS)
            self._writing_took = trio.current_time() - began

    async def _write(self, chunk: _Chunk) -> bool:
        try:
            await in_thread(partial(self._store.create, chunk.name, chunk.data))
        except StorageError as error:
            self._on_outage(not_written(chunk.name, error.reason))
            return False
        self._chunk = None
        self._written += chunk.count
        self._on_outage(None)
        return True

    def _next_chunk(self) -> _Chunk:
        lines, self._pending, self._full = self._pending, [], trio.Event()
        name = results_name(self._day, self._number, self._sequence)
        header = {"format": FORMAT, "name": name, "plan": self._plan}
        self._sequence += 1
        return _Chunk(name, b"\n".join([to_json(header), *lines, b""]), len(lines))


async def read_journal(store: ObjectStore, day: str, counts: Mapping[int, int], ledger: Ledger) -> None:
    """Adds the results of all attempts at a day to its ledger. They are not held as one large list.

    `counts` has how many objects there are of each attempt, by its number. Raises `RecordError` and `StorageError`.
    """
    plan = ledger.plan.digest()
    names = [results_name(day, number, place) for number in sorted(counts) for place in range(counts[number])]
    for start in range(0, len(names), _READ_AT_ONCE):
        some = names[start : start + _READ_AT_ONCE]
        found = await read_many(store, some)
        for name in some:
            if name not in found:
                raise missing(name)
        # Off the event loop, which renews the lease: results of another plan take long.
        await trio.to_thread.run_sync(_add, {name: stored.data for name, stored in found.items()}, plan, ledger)


def _add(found: Mapping[str, bytes], plan: str, ledger: Ledger) -> None:
    for name, data in found.items():
        head, _, body = data.partition(b"\n")
        add = ledger.add if _plan_of(name, head) == plan else ledger.absorb
        try:
            for line in body[:-1].split(b"\n"):
                add(CallResult.parse(line))
        except ValueError as error:
            raise altered(name) from error
        except LookupError as error:
            raise RecordError(message("{object} has a result that is not of its plan", object=name)) from error


def _plan_of(name: str, head: bytes) -> object:
    """The digest of the plan in the header of an object. Raises `RecordError`."""
    try:
        header = json.loads(head)
        found, own, plan = header["format"], header["name"], header["plan"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise altered(name) from error
    check_format(name, found)
    if own != name:
        raise altered(name)
    return plan
