"""Command `rehearse`: when tonight's cards will be there, played in virtual time. Calls no engine, writes no record."""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import trio

from job.cli.past import refuse, write_file
from job.config.environment import ENGINE_VARIABLES, Settings, read_settings
from job.config.faults import NOT_SET, Fault
from job.engines.catalog import ALL_ENGINES, EngineName
from job.page.render import render_rehearsal
from job.planning.plan import Plan
from job.planning.prepare import make_plan, read_objects
from job.records.past import Past, read_past
from job.records.tonight import Start, find_latest_start, settings_of_tonight
from job.rehearsal.forecast import fitting, foretell, latest_medians, thorough, unknowable
from job.rehearsal.play import Scenario
from job.rehearsal.recorded import RecordedNight, read_nights
from job.rehearsal.stand_in import Outage
from job.rehearsal.words import Tonight, forecast_lines
from job.report.outcome import ExitCode
from job.reporting.stdout import say, say_error
from job.storage.store import ObjectStore, StorageError
from job.storage.uri import open_store
from job.text.display import quoted
from job.text.messages import Message, message, translator

OBJECTS_READ = 2000
"""Objects of all journals together: eight at a time, from a laptop in a quarter of a minute."""
CAN_BE_SET = {
    "RUN_DEADLINE_SECONDS",
    *(
        variables[field]
        for variables in ENGINE_VARIABLES.values()
        for field in ("concurrency", "batch_size", "timeout", "attempts")
        if field in variables
    ),
}
"""The variables that change how a rehearsed night goes."""


@dataclass(frozen=True, slots=True)
class OutageAt:
    """An outage of an engine, by the time of day."""

    engine: EngineName
    hour: int
    minute: int
    seconds: float

    def near(self, start: datetime) -> Outage:
        """The outage nearest to a start."""
        begin = start.replace(hour=self.hour, minute=self.minute, second=0)
        half_a_day = timedelta(hours=12)
        while begin - start > half_a_day:
            begin -= 2 * half_a_day
        while start - begin > half_a_day:
            begin += 2 * half_a_day
        offset = (begin - start).total_seconds()
        return Outage(self.engine, offset, offset + self.seconds)


def _outage(text: str) -> OutageAt | Fault:
    found = re.fullmatch(r"(\w+),([01]\d|2[0-3]):([0-5]\d),([1-9]\d{0,3})([smh])", text, re.ASCII)
    engine = next((name for name in ALL_ENGINES if found and name == found[1]), None)
    if found is None or engine is None:
        what = message("{text} is no outage", text=quoted(text))
        remedy = message("write engine, time and duration, as in {example}", example="qa,06:40,10m")
        return Fault("--outage", what, remedy)
    unit = {"s": 1, "m": 60, "h": 3600}[found[5]]
    return OutageAt(engine, int(found[2]), int(found[3]), float(int(found[4]) * unit))


def _wrong_setting(text: str) -> Fault | None:
    name, _, value = text.partition("=")
    if name in CAN_BE_SET and value.strip():
        return None
    what = message("{text} is nothing that a rehearsal depends on", text=quoted(text))
    names = ", ".join(sorted(CAN_BE_SET))
    return Fault("--set", what, message("write NAME=VALUE, with one of {names}", names=names))


@dataclass(frozen=True, slots=True)
class _Read:
    """What a rehearsal needs."""

    settings: Settings
    about: Message
    """Where the settings come from."""
    plan: Plan
    faults: Sequence[Fault]
    """Of the config."""
    nights: Sequence[RecordedNight]
    unread: int
    start: Start | None
    problems: Sequence[str]
    """What is wrong with records."""


def rehearse_command(options: argparse.Namespace, now: datetime) -> ExitCode:
    """Prints when the cards will be there, or why that cannot be known."""
    outages = [_outage(text) for text in options.outage]
    wrong = [one for one in (*outages, *map(_wrong_setting, options.settings)) if isinstance(one, Fault)]
    given = dict(text.split("=", 1) for text in options.settings if not _wrong_setting(text))
    environ = {**os.environ, **given}
    settings, faults = read_settings(environ, now)
    if settings.runs_uri is None and not any(fault.where == "RUNS_URI" for fault in faults):
        wrong.append(Fault("RUNS_URI", message(NOT_SET), message("set it to where runs are recorded")))
    if wrong := [*wrong, *faults]:
        return _refuse(wrong, settings)
    try:
        found = trio.run(_read, open_store(settings.runs_uri or ""), environ, settings.config_uri, now)
    except StorageError as error:
        say_error(translator(settings.language).text(error.words))
        return ExitCode.BUSY
    if found.faults:
        return _refuse(found.faults, settings)
    return _say(found, [one for one in outages if isinstance(one, OutageAt)], options)


def _say(found: _Read, outages: Sequence[OutageAt], options: argparse.Namespace) -> ExitCode:
    """Prints the forecast, and writes it as a page if one is requested."""
    to, page = translator(found.settings.language), partial(render_rehearsal, ends=(), shown=str)
    scenario = Scenario(found.plan, found.settings.engines, latest_medians(found.nights))
    if problem := unknowable(scenario, found.nights):
        lines = [problem, found.about]
    else:
        nights = fitting(scenario, found.nights)
        like = next((night for night in nights if found.start and night.run_id == found.start.run_id), nights[0])
        at = [one.near(like.started) for one in outages]
        tonight = Tonight(like.started, found.settings.deadline, found.unread, at)
        forecast = foretell(replace(scenario, outages=at), nights, thorough(options.nights))
        lines = [*forecast_lines(forecast, tonight), found.about]
        page = partial(render_rehearsal, ends=forecast.ends, shown=tonight.clock)
    for line in lines:
        say(to.text(line))
    for record in found.problems:
        refuse(record, ExitCode.USAGE, to)
    if options.page is not None:
        if not write_file(Path(options.page), [page(lines, translator=to)]):
            return ExitCode.USAGE
        say(to.text(message("page: {page}", page=options.page)))
    return ExitCode.DONE


def _refuse(faults: Sequence[Fault], settings: Settings) -> ExitCode:
    for fault in faults:
        say_error(translator(settings.language).text(fault.sentence))
    return ExitCode.USAGE


async def _read(store: ObjectStore, environ: Mapping[str, str], config_uri: str, now: datetime) -> _Read:
    past: Past = await read_past(store)
    start = await find_latest_start(store, past, config_uri)
    settings, about = settings_of_tonight(start, environ, now)
    objects = await read_objects(open_store(config_uri))
    sizes = {name: engine.batch_size for name, engine in settings.engines.items()}
    contents = {name: one.data for name, one in objects.items()}
    plan, faults, _ = make_plan(contents, settings.run_date, sizes)
    nights, unread = await read_nights(store, past.runs, config_uri, OBJECTS_READ)
    return _Read(settings, about, plan, faults, nights, unread, start, past.problems)
