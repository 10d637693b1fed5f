"""Journal of a run: writes results in the background, many in each object. Objects are never changed."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import trio
from pydantic_core import to_json

from job.ledger.ledger import Ledger
from job.ledger.result import CallResult
from job.report.format import CHANGED, FORMAT, NOT_THE_NEXT, NOT_WRITTEN, RESULTS, RecordError, check_format, name_of
from job.storage.store import ObjectStore, StorageError, in_thread, read_many, words_of
from job.text.messages import Message, message, template

WRITE_SECONDS = 3.0
"""How long a result waits at most before it is written; with the write itself under 5 s."""
WRITE_RESULTS = 100
"""A write starts when this many results wait. At fewer than 40 calls per second, fewer arrive during one write."""
RETRY_SECONDS = 1.0
_READ_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class _Chunk:
    """An object that is being written. It is kept unchanged until it is written, so that the write can be repeated."""

    name: str
    data: bytes
    count: int


class Journal:
    """Appends results to a run's record. Keeps every result until it is written."""

    def __init__(
        self, store: ObjectStore, run_id: str, owner: str, on_outage: Callable[[Message | None], None]
    ) -> None:
        """`owner` identifies this process. `on_outage` gets why writing fails, and `None` when it works again."""
        self._store = store
        self._run_id = run_id
        self._owner = owner
        self._on_outage = on_outage
        self._pending: list[bytes] = []
        self._chunk: _Chunk | None = None
        self._sequence = 0
        self._appended = 0
        self._written = 0
        self._full = trio.Event()
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
        """Writes appended results until cancelled: every `WRITE_SECONDS`, or when `WRITE_RESULTS` wait."""
        while True:
            # Counted from the start of the last write: results that were appended during it have waited already.
            with trio.move_on_at(trio.current_time() + WRITE_SECONDS - self._writing_took):
                await self._full.wait()
            await self.flush()

    async def flush(self) -> None:
        """Returns when all results appended so far are written, however long that takes."""
        appended = self._appended
        async with self._writing:
            began = trio.current_time()
            while self._written < appended:
                if self._chunk is None:
                    self._chunk = self._next_chunk()
                if not await self._write(self._chunk):
                    await trio.sleep(RETRY_SECONDS)
            self._writing_took = trio.current_time() - began

    async def _write(self, chunk: _Chunk) -> bool:
        try:
            await in_thread(lambda: self._store.create(chunk.name, chunk.data))
        except StorageError as error:
            self._on_outage(
                message("{count} results are not written yet: {error}", count=self.unwritten, error=words_of(error))
            )
            return False
        self._chunk = None
        self._written += chunk.count
        self._on_outage(None)
        return True

    def _next_chunk(self) -> _Chunk:
        lines, self._pending, self._full = self._pending, [], trio.Event()
        name = _object_name(self._run_id, self._owner, self._sequence)
        body = b"\n".join(lines)
        header = {
            "format": FORMAT,
            "run_id": self._run_id,
            "owner": self._owner,
            "sequence": self._sequence,
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        self._sequence += 1
        return _Chunk(name, to_json(header) + b"\n" + body + b"\n", len(lines))


async def attempts_in_journal(store: ObjectStore, run_id: str) -> set[str]:
    """The owners of all objects of a run's journal, by their names. Raises `StorageError`."""
    prefix = name_of(run_id, RESULTS)
    names = await in_thread(lambda: store.names(prefix))
    return {name.removeprefix(prefix).rpartition("-")[0] for name in names}


async def read_journal(store: ObjectStore, run_id: str, ledger: Ledger) -> None:
    """Adds every written result of all attempts at the run to its ledger. They are not held as one large list.

    Raises `RecordError`, also if a result does not belong to the run's plan, and `StorageError`.
    """
    names = await in_thread(lambda: store.names(name_of(run_id, RESULTS)))
    sequences: Counter[str] = Counter()
    for start in range(0, len(names), _READ_AT_ONCE):
        for name, stored in (await read_many(store, names[start : start + _READ_AT_ONCE])).items():
            header, results = _opened(name, stored.data)
            owner = str(header["owner"])
            expected = (run_id, sequences[owner], _object_name(run_id, owner, sequences[owner]))
            if (header.get("run_id"), header.get("sequence"), name) != expected:
                raise RecordError(message(NOT_THE_NEXT, object=name))
            try:
                ledger.absorb(owner, sequences[owner], results)
            except LookupError as error:
                text = template("{object} has results that are not of this run's plan")
                raise RecordError(message(text, object=name_of(run_id, RESULTS))) from error
            sequences[owner] += 1


async def read_results(store: ObjectStore, run_id: str, owner: str | None, limit: int) -> tuple[list[CallResult], bool]:
    """The results of one attempt at a run, by its owner; `None` stands for all attempts. And whether these are all.

    If the journal has more than `limit` objects, only so many are read, spread evenly over it, with the first and the
    last one. Raises `RecordError` and `StorageError`.
    """
    prefix = name_of(run_id, RESULTS)
    names = await in_thread(lambda: store.names(prefix))
    if owner is not None:
        names = [name for name in names if name.removeprefix(prefix).rpartition("-")[0] == owner]
    is_whole = len(names) <= limit
    if not is_whole:
        names = [names[number * (len(names) - 1) // (limit - 1)] for number in range(limit)]
    found = await read_many(store, names)
    return [result for name, stored in found.items() for result in _opened(name, stored.data)[1]], is_whole


def check_journal(run_id: str, counted: Mapping[str, int], found: Mapping[str, int]) -> None:
    """Raises `RecordError` if fewer objects were found than a report of the run counts, by their owners."""
    for owner, count in counted.items():
        if (there := found.get(owner, 0)) < count:
            text = template("{object} is missing, but the report counts its results")
            raise RecordError(message(text, object=_object_name(run_id, owner, there)))


def _object_name(run_id: str, owner: str, sequence: int) -> str:
    return name_of(run_id, f"{RESULTS}{owner}-{sequence:06}.jsonl")


def _opened(name: str, data: bytes) -> tuple[dict[str, object], Iterator[CallResult]]:
    head, _, body = data.partition(b"\n")
    try:
        header = json.loads(head)
    except (ValueError, RecursionError) as error:
        raise RecordError(message(NOT_WRITTEN, object=name)) from error
    if not isinstance(header, dict) or not isinstance(header.get("owner"), str):
        raise RecordError(message(NOT_WRITTEN, object=name))
    check_format(name, header)
    body = body.removesuffix(b"\n")
    if header.get("sha256") != hashlib.sha256(body).hexdigest():
        raise RecordError(message(CHANGED, object=name))
    return header, (_parsed(name, line) for line in body.split(b"\n"))


def _parsed(name: str, line: bytes) -> CallResult:
    try:
        return CallResult.parse(line)
    except ValueError as error:
        raise RecordError(message("{object} has a result that is not what a run writes", object=name)) from error
