"""Attempts: the list of a run's attempts in its record. The latest attempt is the one with the highest number.

An attempt is added when it has the lease, before it writes anything else, and never changed: whatever a process writes
that was paused meanwhile, a later attempt stays later.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from job.config.fields import CardUrl
from job.ledger.remakes import Remake
from job.ledger.totals import Count
from job.report.format import ATTEMPTS, FORMAT, NOT_WRITTEN, RESULTS, RecordError, Stamp, check_format, name_of
from job.storage.store import ConflictError, ObjectStore, in_thread, read_many
from job.text.messages import message

_JSON = ".json"


class AttemptEntry(BaseModel):
    """An attempt at a run, as it began. Fields are only ever added."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int = FORMAT
    number: Count = 0
    """From 1."""
    owner: str
    """Unique to its process; the names of its results begin with it."""
    started: Stamp
    execution: str | None = None
    task_attempt: Count = 0
    arguments: tuple[str, ...] = ()
    """Of its command line."""
    zone: str | None = None
    """The name of its time zone."""
    run_date: str | None = None
    """RUN_DATE as it was given."""
    concurrency: dict[str, int] = Field(default_factory=dict)
    """The maximum number of calls in flight, by engine."""
    deadline: float | None = None
    """RUN_DEADLINE_SECONDS."""
    card_url: CardUrl | None = None
    """CARD_URL, for pages and tables that are made again."""
    remakes: tuple[Remake, ...] = ()
    """What this attempt was to make again."""
    without: tuple[str, ...] = ()
    """The targets that a person has left out, by this attempt or earlier ones."""
    config: str | None = None
    """A digest of the config objects that it used: `without` is true of inputs that hold these, and of no others."""

    def continued(self) -> tuple[Remake, ...]:
        """The same, for an attempt that continues this one's requests: each with its number."""
        return tuple(one._replace(number=one.number or self.number) for one in self.remakes)


async def add_attempt(store: ObjectStore, run_id: str, entry: AttemptEntry, after: int) -> AttemptEntry:
    """Adds an attempt to the record of a run, after the one of this number. Returns it with its own number.

    Raises `StorageError`.
    """
    number = after
    while True:
        number += 1
        numbered = entry.model_copy(update={"number": number})
        data = numbered.model_dump_json().encode() + b"\n"
        try:
            await in_thread(partial(store.create, _name(run_id, number), data))
        except ConflictError:  # an attempt that did not close the record
            continue
        return numbered


async def read_attempts(store: ObjectStore, run_id: str) -> Sequence[AttemptEntry]:
    """All attempts at a run in their order; none of an early version. Raises `RecordError` and `StorageError`."""
    names = await in_thread(lambda: store.names(name_of(run_id, ATTEMPTS)))
    found = await read_many(store, [name for name in names if _number(run_id, name)])
    return [_read(name, stored.data, run_id) for name, stored in found.items()]


async def read_latest(store: ObjectStore, run_id: str, names: Iterable[str]) -> AttemptEntry | None:
    """The latest attempt, given the names of a record's objects; `None` in a record of an early version.

    Raises `RecordError` and `StorageError`.
    """
    number = latest_number(run_id, names)
    name = _name(run_id, number)
    stored = await in_thread(partial(store.read, name)) if number else None
    return None if stored is None else _read(name, stored.data, run_id)


async def read_first(store: ObjectStore, run_ids: Iterable[str]) -> dict[str, AttemptEntry]:
    """How each of these runs began, by its id; without those of an early version, and without altered entries.

    Raises `StorageError`.
    """
    names = {_name(run_id, 1): run_id for run_id in run_ids}
    found: dict[str, AttemptEntry] = {}
    for name, stored in (await read_many(store, list(names))).items():
        with suppress(RecordError):
            found[names[name]] = _read(name, stored.data, names[name])
    return found


def latest_number(run_id: str, names: Iterable[str]) -> int:
    """The highest number of an attempt among the names of a record's objects; 0 without any."""
    return max((_number(run_id, name) for name in names), default=0)


def owners(run_id: str, names: Iterable[str]) -> set[str]:
    """The owners of all objects of a run's journal, from the names of a record's objects."""
    prefix = name_of(run_id, RESULTS)
    return {name.removeprefix(prefix).rpartition("-")[0] for name in names if name.startswith(prefix)}


def _name(run_id: str, number: int) -> str:
    return name_of(run_id, f"{ATTEMPTS}{number:06}{_JSON}")


def _number(run_id: str, name: str) -> int:
    """The number in the name of an attempt; 0 if it is no such name."""
    digits = name.removeprefix(name_of(run_id, ATTEMPTS)).removesuffix(_JSON)
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 10
    return int(digits) if is_number and name == _name(run_id, int(digits)) else 0


def _read(name: str, data: bytes, run_id: str) -> AttemptEntry:
    try:
        entry = AttemptEntry.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(message(NOT_WRITTEN, object=name)) from error
    check_format(name, {"format": entry.format})
    if name != _name(run_id, entry.number):
        raise RecordError(message("{object} has another number: {number}", object=name, number=str(entry.number)))
    return entry
