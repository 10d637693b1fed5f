"""Start: for which day it is, and what of the record a person has to correct first."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from job.config.days import Days
from job.config.faults import ConfigError, Fault
from job.planning.options import Options
from job.records.day import Listing
from job.records.nights import known_days
from job.report.format import RecordError
from job.storage.store import ObjectStore, UnusableError
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
        raise ConfigError([Fault("RUNS_URI", error.what, error.remedy or remedy)]) from error
    except UnusableError as error:
        raise ConfigError([Fault("RUNS_URI", error.what, error.remedy or message("correct it"))]) from error


async def day_of(options: Options, store: ObjectStore) -> tuple[Days, str, Sequence[Fault]]:
    """The days of the schedule, the day of this start, and what is wrong with the day that was named.

    Raises `ConfigError` and `StorageError`.
    """
    with faults_of_record(options.date or ""):
        days = await known_days(options.settings, store)
        day, faults = options.day(days)
        if not faults and (fault := options.unconfirmed(days)) and not (await Listing.of(store, day)).is_recorded:
            faults = [fault]
    return days, day, faults
