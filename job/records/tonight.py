"""Tonight: the settings with which a schedule will start the next run, as its latest start has recorded them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import trio

from job.config.environment import ENGINE_VARIABLES, Settings, read_settings, variables_set
from job.engines.calls import BATCHES
from job.engines.catalog import ALL_ENGINES
from job.planning.typos import Known
from job.records.attempts import AttemptEntry, read_first
from job.records.past import READ_SECONDS, Past, PastRun, find_known, find_night_before, read_past
from job.records.record import find_inputs
from job.report.format import RecordError
from job.report.inputs import RunInputs, is_same_config
from job.report.summary import NightBefore
from job.storage.store import ObjectStore, StorageError, words_of
from job.storage.uri import open_store
from job.text.messages import Message, listed, message


@dataclass(frozen=True, slots=True)
class Start:
    """How a schedule started a run."""

    run_id: str
    day: str
    variables: Mapping[str, str]
    """The variables that its record keeps: batch sizes, concurrency, the deadline, RUN_DATE as it was given,
    RUN_TIME_ZONE."""


@dataclass(frozen=True, slots=True)
class PastOfPlan:
    """What past nights tell about a plan of tonight; `None` for what they do not tell."""

    start: Start | None = None
    before: NightBefore | None = None
    """The latest night of this config, also of today."""
    known: Known | None = None
    runs: Sequence[PastRun] = ()
    """The latest runs, of any config."""
    problem: Message | None = None
    """Why past nights cannot be read."""


async def read_past_of_plan(runs_uri: str, config_uri: str | None) -> PastOfPlan:
    """What past nights tell about a plan of this config; `config_uri=None` allows any config."""
    try:
        with trio.fail_after(READ_SECONDS):
            store = open_store(runs_uri)
            past = await read_past(store)
            start = await find_latest_start(store, past, config_uri)
            before = await find_night_before(store, past, config_uri, None)
            known = await find_known(store, past, config_uri, None, before)
            return PastOfPlan(start, before, known, past.runs)
    except (StorageError, trio.TooSlowError) as error:
        problem = words_of(error) or message("there was no answer within {seconds} s", seconds=READ_SECONDS)
        return PastOfPlan(
            problem=message("the plan is not compared with that of the night before: {error}", error=problem)
        )


async def find_latest_start(store: ObjectStore, past: Past, config_uri: str | None) -> Start | None:
    """The latest start by a schedule of a run of this config; `config_uri=None` allows any config.

    A schedule starts runs without a date of their own, and resumes none. If one of `past` was started on Cloud Run,
    only such starts count. Raises `StorageError`.
    """
    wanted = [
        run.run_id
        for run in past.runs
        if config_uri is None or run.summary is None or is_same_config(run.summary.config_uri, config_uri)
    ]
    first = await read_first(store, wanted)
    starts = {run_id: first[run_id] for run_id in wanted if run_id in first and _is_scheduled(first[run_id])}
    on_cloud_run = {run_id: entry for run_id, entry in starts.items() if entry.execution is not None}
    for run_id, entry in (on_cloud_run or starts).items():
        try:
            inputs = await find_inputs(store, run_id, background=True)
        except RecordError:
            continue
        if inputs is not None and (config_uri is None or is_same_config(inputs.config_uri, config_uri)):
            return Start(run_id, inputs.day, _variables(entry, inputs))
    return None


def _is_scheduled(entry: AttemptEntry) -> bool:
    return entry.arguments[:1] in {(), ("run",)} and entry.run_date in {None, "today"}


def _variables(entry: AttemptEntry, inputs: RunInputs) -> dict[str, str]:
    concurrency = {ENGINE_VARIABLES[name]["concurrency"]: entry.concurrency.get(name) for name in ALL_ENGINES}
    batches = {ENGINE_VARIABLES[name]["batch_size"]: inputs.batch_sizes.get(name) for name in BATCHES}
    deadline = None if entry.deadline is None else f"{entry.deadline:g}"
    given = {
        "RUN_DATE": entry.run_date,
        "RUN_TIME_ZONE": entry.zone,
        "RUN_DEADLINE_SECONDS": deadline,
        **concurrency,
        **batches,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


def settings_of_tonight(start: Start | None, environ: Mapping[str, str], now: datetime) -> tuple[Settings, Message]:
    """The settings of a run that a schedule starts now, and a sentence about where they come from.

    What the environment does not set is as in the latest start; without one it has its default. `today` is the day of
    `now` in the run's time zone.
    """
    own = variables_set(environ)
    settings, faults = read_settings({**(start.variables if start else {}), **own}, now)
    values = {"RUN_DATE": "today", "RUN_TIME_ZONE": settings.time_zone.key}
    for engine, variables in ENGINE_VARIABLES.items():
        for field in ("concurrency", "batch_size"):
            if field in variables:
                values[variables[field]] = str(getattr(settings.engines[engine], field))
    unusable = {fault.where for fault in faults}  # in a record that was altered: the default is used
    known = values.keys() - {"RUN_DATE", "RUN_TIME_ZONE"} if start is None else start.variables.keys() - unusable
    taken = listed([f"{name}={value}" for name, value in values.items() if name in known and name not in own])
    if not taken:
        return settings, message("Every setting is this shell's own.")
    if start is None:
        return settings, message("How a schedule starts this run is not known. Assumed: {settings}", settings=taken)
    return settings, message(
        "As in run {run} of {day}, since this shell does not set it: {settings}",
        run=start.run_id,
        day=start.day,
        settings=taken,
    )
