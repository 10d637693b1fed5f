"""Start: for which day it is, and what of the record a person has to correct first."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from job.config.environment import DAY_VARIABLES
from job.config.faults import ConfigError, Fault, FaultKind
from job.config.options import Options
from job.config.prepare import unreadable
from job.day.attempt import Start
from job.day.format import RecordError
from job.records.nights import known_days
from job.records.record import Listing
from job.storage.store import ObjectStore, StorageError, UnusableError
from job.text.messages import message


@contextmanager
def faults_of_record(day: str) -> Iterator[None]:
    """Raises `ConfigError` if RUNS_URI, or the record of the day there, cannot be used as it is."""
    try:
        yield
    except RecordError as error:
        remedy = message(
            "restore it, or move the folder {day} away: all its cards are then made, and paid for, again", day=day
        )
        raise ConfigError([Fault("RUNS_URI", error.what, error.remedy or remedy, FaultKind.STORAGE)]) from error
    except UnusableError as error:
        remedy = error.remedy or message("correct it")
        raise ConfigError([Fault("RUNS_URI", error.what, remedy, FaultKind.STORAGE)]) from error


@dataclass(frozen=True, slots=True)
class ResolvedDay:
    """For which day a start is, before its config is read."""

    start: Start
    faults: Sequence[Fault]
    """Those of the variables, and all of what it was asked about its day."""
    listing: Listing | None = None
    """What was recorded of the day by then, if the start asks for something again."""


async def resolve_day(options: Options, store: ObjectStore) -> ResolvedDay:
    """Finds the day of a start, and judges what it was asked about that.

    Raises `ConfigError` and `StorageError`; if there are faults already, what is wrong here is one of them.
    """
    try:
        return await _resolved(options, store)
    except (ConfigError, StorageError) as error:
        if not options.faults:
            raise
        found = [unreadable("RUNS_URI", error)] if isinstance(error, StorageError) else error.faults
        return ResolvedDay(Start.of(options, options.days), [*options.faults, *found])


async def _resolved(options: Options, store: ObjectStore) -> ResolvedDay:
    if DAY_VARIABLES & {fault.variable for fault in options.faults}:
        return ResolvedDay(Start.of(options, None), options.faults)
    with faults_of_record(""):
        days = await known_days(options.settings, store)
    day, faults = options.day(days)
    fault, asks = options.unconfirmed(days), bool(options.again) and not options.settings.task_attempt
    listing = None
    if not faults and (fault or asks):
        with faults_of_record(day):
            listing = await Listing.of(store, day)
        faults = [fault] if fault and not listing.is_recorded else []
    return ResolvedDay(Start.of(options, days), [*options.faults, *faults], listing)
