"""Command `plan`: the calls of a whole night by a config, or its faults."""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import trio

from job.config.days import Days
from job.config.environment import Options, Settings
from job.config.faults import ConfigError, Fault, FaultKind
from job.config.objects import OBJECTS, parse_config
from job.config.plan import Plan, make_plan
from job.config.read import read_objects, unreadable
from job.day.attempt import ExitCode
from job.day.changes import changes_of, lost_numbers
from job.engines.calls import BATCHES, ENGINES, METHOD, counted
from job.outputs.stdout import say, say_error, write_line
from job.records.objects import RecordError, plan_of
from job.records.past_nights import read_nights
from job.records.record import Listing, Record
from job.storage.store import StorageError, UnreachableError, in_thread
from job.storage.uri import open_store
from job.telling.changes import change_of
from job.telling.notes import past_day_notice, plan_notes
from job.text.messages import Message, Translator, colon, joined, listed, message, plural, translator


@dataclass(frozen=True, slots=True)
class _Past:
    days: Days
    latest: Plan | None = None
    """That of the latest attempt at this day, or else at the latest one before that has any."""
    problem: Message | None = None


def plan_command(options: Options, given: argparse.Namespace) -> ExitCode:
    """Prints the calls, or the faults; a JSON object that the job never reads is one."""
    settings, faults, now = options.settings, list(options.faults), options.now
    place, to = given.place, translator(settings.language)
    _say_notices(settings.notices, to)
    if place is not None:
        faults = [fault for fault in faults if fault.variable != "CONFIG_URI"]
    uri = settings.config_uri if place is None else place
    if not uri:
        raise ConfigError(faults)
    try:
        objects, unknown = trio.run(_read, uri, place is not None)
    except StorageError as error:
        fault = unreadable(place or "CONFIG_URI", error)
        if faults or not isinstance(error, UnreachableError):
            raise ConfigError([*faults, fault]) from error
        say_error(to.text(fault.sentence))
        return ExitCode.TEMPFAIL
    faults += unknown
    plan, between = make_plan(parse_config(objects, faults), settings.days().current(now), settings.batch_sizes)
    if all_faults := [*faults, *between]:
        raise ConfigError(all_faults)
    past = trio.run(_read_past, settings, given.date, now)
    plan = replace(plan, date=given.date or past.days.current(now))
    if past.latest is not None and (lost := [*lost_numbers(past.latest, plan)]):
        raise ConfigError(lost)
    is_past = plan.date < past.days.current(now) and BATCHES.keys() & {*plan.engines()}
    _say_notices([*plan.notices, *plan_notes(plan), *([past_day_notice(plan.date)] if is_past else [])], to)
    past_lines = list(_past_lines(past, plan))
    if past.latest is not None and past.latest.date == plan.date == past.days.current(now):
        past_lines.append(trio.run(_left_of, settings, plan))
    if given.json:
        _say_notices(past_lines, to)
        _write_lines(plan, settings)
        return ExitCode.DONE
    for line in (*_summary_lines(plan), *past_lines):
        say(to.text(line))
    return ExitCode.DONE


async def _read_past(settings: Settings, day: str | None, now: datetime) -> _Past:
    """What past nights tell about the plan for a day, by default for that of a start at `now`. Never raises."""
    days = settings.days()
    if settings.runs_uri is None:
        return _Past(days, problem=message("RUNS_URI is not set: this is compared with no other night"))
    try:
        store = open_store(settings.runs_uri)
        nights = await read_nights(store)
        days = nights.days(settings)
        day = day or days.current(now)
        planned = [
            night.day for night in nights.nights if night.day <= day and (night.report is None or night.report.had_plan)
        ]
        attempt = await (await Listing.of(store, planned[0])).latest_attempt(store) if planned else None
        return _Past(days, None if attempt is None else plan_of(attempt))
    except (StorageError, RecordError) as error:
        return _Past(days, problem=message("past nights cannot be read: {error}", error=error.what))


async def _left_of(settings: Settings, plan: Plan) -> Message:
    """How many of the calls of a day that was begun a start would make now."""
    try:
        record = await Record.read(open_store(settings.runs_uri or ""), plan.date, plan)
    except (StorageError, RecordError) as error:
        return message("past nights cannot be read: {error}", error=error.what)
    left = sum(len(plan.work(engine, record.ledger.is_done)) for engine in plan.engines())
    return plural("A start now would make 1 call", "A start now would make {count} calls", count=left)


def _say_notices(notices: Iterable[Message], to: Translator) -> None:
    for notice in notices:
        say_error(to.text(notice))


async def _read(uri: str, with_unknown: bool) -> tuple[dict[str, bytes], list[Fault]]:
    """The content of the config objects that exist, and if `with_unknown` a fault that names all other JSON objects."""
    store = open_store(uri)
    objects = await read_objects(store)
    names = await in_thread(lambda: store.names("")) if with_unknown else []
    unknown = [name for name in names if name.endswith(".json") and "/" not in name and name not in OBJECTS]
    what, remedy = message("is not an object that the job reads"), message("correct its name or remove it")
    fault = Fault(listed(unknown), what, remedy, FaultKind.OBJECT)
    return {name: stored.data for name, stored in objects.items()}, [fault] if unknown else []


def _write_lines(plan: Plan, settings: Settings) -> None:
    for engine in plan.engines():
        url = settings.engines[engine].url or ""  # if it is not set, the line has only path and query
        for call in plan.calls(engine):
            line = {"engine": call.engine, "method": METHOD, "url": url + call.path}
            body = {} if call.body is None else {"body": json.loads(call.body)}
            write_line(json.dumps(line | body, ensure_ascii=False).encode())


def _summary_lines(plan: Plan) -> Iterator[Message]:
    yield colon(plan.date, plan.size)
    for engine in plan.engines():
        calls = plural("1 call", "{count} calls", count=len(plan.work(engine)))
        yield colon(ENGINES[engine].title, joined([counted(engine, len(plan.items(engine))), calls]))


def _past_lines(past: _Past, plan: Plan) -> Iterator[Message]:
    if past.problem is not None:
        yield past.problem
    if past.latest is not None:
        yield from (change_of(change, past.latest.date) for change in changes_of(past.latest, plan))
