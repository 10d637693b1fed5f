"""Days: which run is that of a day. A start continues the latest run of its day, so that nothing is made twice.

An entry is created when a run opens, and never changed. Of two starts at the same moment one creates it, and the other
finds it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from job.config.environment import Settings
from job.config.fields import RunId, origin_of
from job.records.attempts import read_attempts
from job.records.record import find_latest_inputs
from job.report.format import ATTEMPTS, DAYS, STARTED, RecordError, name_of, started_runs
from job.report.inputs import is_same_config
from job.storage.store import ConflictError, ObjectStore, in_thread

_DIGITS = 6


class _Entry(BaseModel):
    """The content of an entry. Fields are only ever added."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    run_id: RunId


def work_of(settings: Settings, day: str) -> str:
    """Identifies the work of a start: the day, where the config is, and the engines. Two starts with the same work do
    the same run.
    """
    urls: Mapping[str, str | None] = {name: engine.url for name, engine in sorted(settings.engines.items())}
    places = {name: url and [origin_of(url), urlsplit(url).path.rstrip("/")] for name, url in urls.items()}
    text = json.dumps([settings.config_uri.rstrip("/"), places])
    kind = "" if settings.run_date else "-undated"  # each engine uses its own current date then
    return f"{day}{kind}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The run that a start is about."""

    run_id: str
    work: str | None
    """As in `work_of`."""
    number: int = 0
    """How many runs of the day there are."""
    is_listed: bool = False
    """Whether it is the latest run of its day."""


async def choose(store: ObjectStore, settings: Settings, own_id: str, now: datetime, *, again: bool) -> Chosen:
    """The run of the day, if it has one; else a run with the id `own_id`. Raises `RecordError` and `StorageError`.

    A run of this id is chosen if RUN_ID asks for it, if everything is to be made `again`, and by Cloud Run's retry of
    the execution that opened it, even after midnight.
    """
    day = settings.day_of(now)
    work = work_of(settings, day)
    latest, number = await _latest(store, work)
    is_asked_for = again or settings.run_id != settings.execution
    if latest is None and not is_asked_for:
        latest = await _find_earlier(store, settings, own_id, now)
    if latest is None or latest == own_id or is_asked_for:
        return Chosen(own_id, work, number, is_listed=number > 0 and latest == own_id)
    return Chosen(latest, work, number, is_listed=number > 0)


async def add_day(store: ObjectStore, chosen: Chosen) -> bool:
    """Makes the run the latest of its day. Returns whether it is: another start may have been faster.

    Raises `StorageError`.
    """
    name = f"{DAYS}{chosen.work}_{chosen.number + 1:0{_DIGITS}}"
    data = _Entry(run_id=chosen.run_id).model_dump_json().encode() + b"\n"
    try:
        await in_thread(partial(store.create, name, data))
    except ConflictError:
        return False
    return True


async def _latest(store: ObjectStore, work: str) -> tuple[str | None, int]:
    """The id of the latest run of a day, `None` without one; and the number of its runs."""
    prefix = f"{DAYS}{work}_"
    names = await in_thread(lambda: store.names(prefix))
    if not names:
        return None, 0
    stored = await in_thread(partial(store.read, names[-1]))
    try:
        number, entry = int(names[-1][len(prefix) :]), _Entry.model_validate_json(stored.data if stored else b"")
    except ValueError as error:
        raise RecordError(f"{names[-1]} is not what a run writes") from error
    return entry.run_id, number


async def _find_earlier(store: ObjectStore, settings: Settings, own_id: str, now: datetime) -> str | None:
    """The run of a day that has no entry: one that this execution has worked on before midnight, or one that an early
    version of the job has recorded.
    """
    if settings.task_attempt > 0 and settings.execution is not None and not settings.run_date_is_explicit:
        if await find_latest_inputs(store, own_id) is not None:
            return own_id
        yesterday = now.astimezone(settings.time_zone) - timedelta(days=1)
        dated = settings.model_copy(update={"run_date": settings.run_date and yesterday.date().isoformat()})
        before, _ = await _latest(store, work_of(dated, yesterday.date().isoformat()))
        if before is not None and settings.execution in {one.execution for one in await read_attempts(store, before)}:
            return before
    return await _find_unlisted(store, settings, settings.day_of(now))


async def _find_unlisted(store: ObjectStore, settings: Settings, day: str) -> str | None:
    """The latest run that started on this day and that an early version of the job has recorded, without an entry."""
    started, _ = started_runs(await in_thread(lambda: store.names(STARTED)))
    for run_id, moment in started.items():
        if moment.astimezone(settings.time_zone).date().isoformat() == day:
            if await in_thread(partial(store.names, name_of(run_id, ATTEMPTS))):
                continue  # its entry is that of other work
            inputs = await find_latest_inputs(store, run_id)
            if inputs is None or (inputs.day, inputs.date) != (day, settings.run_date):
                continue
            if is_same_config(inputs.config_uri, settings.config_uri):
                return run_id
    return None
