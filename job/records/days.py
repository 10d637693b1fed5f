"""Days: which run is that of a day. A start continues the latest run of its day, so that nothing is made twice.

An entry is created when a run opens, and never changed. Of two starts at the same moment one creates it, and the other
finds it.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from job.config.entries import Date
from job.config.environment import Settings
from job.config.fields import RunId, origin_of
from job.records.record import find_latest_inputs
from job.report.format import DAYS, NOT_WRITTEN, REPORT, STARTED, RecordError, name_of, started_runs
from job.report.inputs import is_same_config
from job.report.report import read_report
from job.storage.store import ConflictError, ObjectStore, in_thread
from job.storage.uri import absolute
from job.text.messages import message

_DIGITS = 6


class _Entry(BaseModel):
    """The run of a day. Fields are only ever added."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    run_id: RunId
    date: Date | None = None
    """The date that it began with; `None` if each engine uses its own current date."""
    engines: dict[str, str] = Field(default_factory=dict)
    """A digest of the URL of each engine that it began with."""


class _ExecutionDay(BaseModel):
    """The day that an execution is for: its retries may come after midnight."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    day: Date


@dataclass(frozen=True, slots=True)
class Chosen:
    """The run that a start is about."""

    run_id: str
    day: str | None = None
    """The day of the start; `None` for a resume, whose run has a day already."""
    prefix: str = ""
    """The beginning of the names of the day's entries."""
    engines: tuple[tuple[str, str], ...] = ()
    """As in an entry."""
    number: int = 0
    """How many runs of the day there are."""
    is_listed: bool = False
    """Whether it is the latest run of its day."""

    @property
    def work(self) -> str | None:
        """Identifies the work: starts with the same day, config and engines do the same; `None` for a resume."""
        return f"{self.prefix}{_digest(self.engines)}" if self.day else None

    def dated(self, settings: Settings) -> Settings:
        """The settings of the start, with the date of its day if it has one."""
        return settings.model_copy(update={"run_date": self.day}) if self.day and settings.run_date else settings


async def choose(store: ObjectStore, settings: Settings, own_id: str, now: datetime, *, again: bool) -> Chosen:
    """The run of the day, if it has one with the same engines; else a run with the id `own_id`.

    A run of this id is chosen if RUN_ID asks for it, and if everything is to be made `again`. The day of Cloud Run's
    retry is that of its execution, even after midnight. Raises `RecordError` and `StorageError`.
    """
    today = settings.day_of(now)
    day = await _day_of_execution(store, settings, today)
    prefix, engines = _prefix(settings.config_uri, day), tuple(sorted(_engines(settings).items()))
    entry, number = await _latest(store, prefix)
    chosen = partial(Chosen, day=day, prefix=prefix, engines=engines, number=number)
    is_asked_for = again or settings.run_id != settings.execution
    if entry is not None and (is_asked_for or entry.run_id == own_id):
        return chosen(own_id, is_listed=entry.run_id == own_id)
    if entry is not None:
        current = now.astimezone(settings.time_zone).date().isoformat()
        is_over = entry.date is None and day != current and settings.task_attempt == 0  # the engines' date is another
        is_continued = not is_over and not await _has_done(store, entry, dict(engines))
        return chosen(entry.run_id if is_continued else own_id, is_listed=is_continued)
    early = None if is_asked_for else await _find_early(store, settings, day)
    return chosen(early or own_id)


async def add_day(store: ObjectStore, chosen: Chosen, date: str | None) -> bool:
    """Makes the run, which has this date, the latest of its day. Returns whether it is: another start may have been
    faster. Raises `StorageError`.
    """
    entry = _Entry(run_id=chosen.run_id, date=date, engines=dict(chosen.engines))
    name, data = f"{chosen.prefix}{chosen.number + 1:0{_DIGITS}}", entry.model_dump_json().encode() + b"\n"
    try:
        await in_thread(partial(store.create, name, data))
    except ConflictError:
        return False
    return True


async def is_latest(store: ObjectStore, run_id: str, config_uri: str, day: str) -> bool:
    """Whether a start of this day would continue this run. Raises `RecordError` and `StorageError`."""
    entry, _ = await _latest(store, _prefix(config_uri, day))
    return entry is None or entry.run_id == run_id


def _prefix(config_uri: str, day: str) -> str:
    return f"{DAYS}{day}_{_digest(absolute(config_uri).rstrip('/'))}_"


def _engines(settings: Settings) -> dict[str, str]:
    return {
        name: _digest([origin_of(engine.url), urlsplit(engine.url).path.rstrip("/")])
        for name, engine in settings.engines.items()
        if engine.url
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


async def _day_of_execution(store: ObjectStore, settings: Settings, today: str) -> str:
    """The day of a start: today, unless it is the retry of an execution of another day."""
    if settings.execution is None or settings.run_date_is_explicit:
        return today
    name = f"{DAYS}execution_{settings.execution}"
    if settings.task_attempt == 0:
        with suppress(ConflictError):
            await in_thread(partial(store.create, name, _ExecutionDay(day=today).model_dump_json().encode() + b"\n"))
        return today
    stored = await in_thread(partial(store.read, name))
    try:
        return today if stored is None else _ExecutionDay.model_validate_json(stored.data).day
    except ValueError as error:
        raise RecordError(message(NOT_WRITTEN, object=name)) from error


async def _latest(store: ObjectStore, prefix: str) -> tuple[_Entry | None, int]:
    """The entry of the latest run of a day, `None` without one; and the number of its runs."""
    names = await in_thread(lambda: store.names(prefix))
    if not names:
        return None, 0
    stored = await in_thread(partial(store.read, names[-1]))
    try:
        return _Entry.model_validate_json(stored.data if stored else b""), int(names[-1][len(prefix) :])
    except ValueError as error:
        raise RecordError(message(NOT_WRITTEN, object=names[-1])) from error


async def _has_done(store: ObjectStore, entry: _Entry, engines: Mapping[str, str]) -> bool:
    """Whether an engine that has another URL now has done anything in the run: then it is a run of other engines.

    Otherwise the URL was corrected.
    """
    others = [name for name, place in entry.engines.items() if engines.get(name, place) != place]
    if not others:
        return False
    name = name_of(entry.run_id, REPORT)
    stored = await in_thread(partial(store.read, name))
    if stored is None:  # not closed: it is not known
        return True
    totals = read_report(name, stored.data).engines
    return any(engine in others and total.done + total.skipped > 0 for engine, total in totals.items())


async def _find_early(store: ObjectStore, settings: Settings, day: str) -> str | None:
    """The latest run that started on this day and that an early version of the job has recorded, without an entry."""
    started, _ = started_runs(await in_thread(lambda: store.names(STARTED)))
    for run_id, moment in started.items():
        if moment.astimezone(settings.time_zone).date().isoformat() == day:
            inputs = await find_latest_inputs(store, run_id)
            if inputs is not None and inputs.day == day and is_same_config(inputs.config_uri, settings.config_uri):
                return run_id
    return None
