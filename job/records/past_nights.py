"""Past nights: the latest days, each read from its end; and whether an earlier try of this execution ended for good."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import trio

from job.config.days import Days
from job.config.environment import Options, Settings
from job.config.plan import Plan
from job.config.values import is_date
from job.day.attempt import Attempt, Outcome, Severity
from job.day.changes import NightBefore, plan_then
from job.day.history import NIGHTS_LOOKED_AT, Night, Nights
from job.day.report import Report
from job.errors import JobError
from job.records.lease import Holder, peek
from job.records.objects import FormatError, RecordError, attempt_name, gone, missing
from job.records.record import Listing, state_of
from job.storage.store import ObjectStore, each_of, error_text, in_thread
from job.storage.uri import open_store
from job.text.messages import Message, message

NIGHTS_READ = 60
FINAL = {Outcome.DATA_ENGINE_FAILED, Outcome.QA_ENGINE_DOWN, Outcome.CARDS_MISSING, Outcome.SUCCEEDED}
"""The ends that are no interruptions: Cloud Run's retry does nothing after one of them."""
DAYS_OF_RETRY = 3
"""How many of the latest days are searched for an earlier try: other nights may have begun since."""
AT_A_TIME = 4
"""How many are read at a time: a start that reads them beside its work leaves most threads to that."""


async def read_nights(store: ObjectStore, count: int = NIGHTS_READ) -> Nights:
    """The latest days, also those of which nothing is left. Raises `StorageError`."""
    last = await peek(store)  # first: what has begun by then is recorded
    days = sorted({*await _days(store), *(last.begun if last else ())}, reverse=True)
    nights = await each_of(days[:count], lambda day: _read_night(store, day, last), AT_A_TIME)
    return Nights(list(nights.values()), days[-1] if days else None)


async def known_days(settings: Settings, store: ObjectStore) -> Days:
    """The days of the variables; on a laptop those of the latest recorded start. Raises `StorageError`."""
    if settings.says_days:
        return settings.days()
    return (await read_nights(store, NIGHTS_LOOKED_AT)).days(settings)


async def _days(store: ObjectStore) -> list[str]:
    """The days that have a folder, the latest first. One on which nothing was begun has no record."""
    folders = await in_thread(partial(store.folders, ""))
    return sorted((folder for folder in folders if is_date(folder)), reverse=True)


async def ended_for_good(options: Options) -> Report | None:
    """How an execution ends whose task Cloud Run starts again, if the try before has ended for good.

    That is a success if other starts have done by then what was left. What cannot be read counts as none.
    """
    with suppress(JobError):
        store = open_store(options.settings.runs_uri or "")
        found = await earlier_try(options, store)
        if found is not None:
            listing, attempt = found
            end = await listing.report(store, attempt.number)
            if end.outcome in FINAL:
                latest = await listing.report(store, listing.latest) if listing.latest in listing.ends else end
                ended = latest if latest.outcome is Outcome.SUCCEEDED else end
                return ended.model_copy(update={"is_repeated": True})
    return None


async def earlier_try(options: Options, store: ObjectStore) -> tuple[Listing, Attempt] | None:
    """The latest attempt of an execution whose task Cloud Run starts again, with all that its day has.

    `None` if none is recorded, or if this is no such start. Raises `StorageError`.
    """
    settings = options.settings
    if settings.execution is None or not settings.task_attempt or settings.runs_uri is None:
        return None
    for day in [options.date] if options.date else (await _days(store))[:DAYS_OF_RETRY]:
        with suppress(RecordError):
            listing = await Listing.of(store, day)
            for number in sorted(listing.attempts, reverse=True):
                with suppress(RecordError):  # it is read again if it is of the day
                    attempt = await listing.attempt(store, number)
                    if attempt.execution == settings.execution:
                        return listing, attempt
    return None


async def _read_night(store: ObjectStore, day: str, last: Holder | None) -> Night | None:
    """One day; `None` if no start of it is recorded, or if its attempts have expired."""
    try:
        listing = await Listing.of(store, day)
        if last is not None and day in last.begun and listing.latest not in listing.attempts:
            raise missing(attempt_name(day, listing.latest)) if listing.latest else gone(day)
        if not listing.attempts and not listing.is_refused:
            return None
        if listing.latest in listing.ends:
            report = await listing.report(store, listing.latest)
            return Night(day, report.outcome, report)
        attempt = await listing.latest_attempt(store)
    except FormatError:
        return Night(day, Outcome.OTHER_FORMAT)
    except RecordError as error:
        return Night(day, Outcome.UNREADABLE, problem=error.text)
    return Night(day, state_of(day, last), attempt=attempt)


@dataclass(slots=True)
class PastNights:
    """Past nights, which are read while the job is at work: it does not wait for them."""

    notify: Callable[[list[Message]], None]
    nights: Nights | None = None
    """`None` until they are read."""
    _report: Report | None = None
    """That of the night before; and its latest attempt."""
    _attempt: Attempt | None = None
    _is_over: trio.Event = field(default_factory=trio.Event)

    async def read_beside(self, store: ObjectStore, day: str) -> None:
        """Reads them. Never raises."""
        try:
            self.nights = await read_nights(store)
            self._report = self.nights.before(day)
            if self._report is not None:
                self._attempt = await (await Listing.of(store, self._report.day)).latest_attempt(store)
        except JobError as error:
            self.notify([message("past nights cannot be read: {error}", error=error_text(error))])
        except Exception:
            # A bug here must not end the run, and must be seen: this writes its traceback to standard error.
            logging.getLogger(__name__).exception("past nights are not read")
        finally:
            self._is_over.set()

    async def wait_until_read(self) -> None:
        await self._is_over.wait()

    def before(self, plan: Plan) -> NightBefore | None:
        """The night before, for a day of this plan; `None` if it is not known."""
        then = None if self._attempt is None else plan_then(self._attempt, plan)
        return None if self._report is None or then is None else (self._report, then)

    def severity_before(self, day: str) -> Severity | None:
        """How severe the end of the night before was, `good` without one; `None` if that is not known."""
        if self.nights is None:
            return None
        return next((night.severity for night in self.nights.nights if night.day < day), "good")
