"""Verification of a day: whether a run of that day did all the work of the config."""

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from job.engines.catalog import ALL_ENGINES
from job.planning.left_out import without
from job.planning.prepare import read_objects
from job.records.left_out import plan_of
from job.records.past import Past, PastRun, check_run, read_past
from job.records.record import find_latest_inputs
from job.report.format import INPUTS, RecordError, name_of
from job.report.inputs import COMPARE_SECONDS, RunInputs, is_same_config
from job.report.outcome import Outcome
from job.storage.store import ObjectStore, StorageError
from job.storage.uri import open_store
from job.text.display import counted

LOOKED_AT = 50
"""How many of the latest runs are read, besides those that started about the day."""


@dataclass(frozen=True, slots=True)
class _PlannedRun:
    """A run of the day that had a plan."""

    past: PastRun
    inputs: RunInputs
    planned: int
    """Cards, and targets of each data engine, with those that a person has left out."""
    left_out: tuple[str, ...] = ()
    """The targets that a person has left out."""

    def __str__(self) -> str:
        return f"run {self.past.run_id}"

    def done(self, day: str) -> str:
        """That it did all its work."""
        left_out = f" without {', '.join(self.left_out)} (left out by hand)" if self.left_out else ""
        return f"{self} of {day} did all its work{left_out}"


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a run of a day did all its work."""

    done: bool
    known: str
    """A sentence about the runs of the day, in English."""
    run_id: str | None = None
    """The run of the day that started last, of this config if there is one; `None` if none is recorded."""


async def verify(store: ObjectStore, day: str, config_uri: str) -> Verification:
    """Checks whether a run of this day did all its work. Raises `StorageError`.

    Only runs of the config at `config_uri` count, unless it is empty. A run counts if no other run of the day planned
    more. It also counts if its config is the present one at `config_uri`, as a larger plan may have been corrected. If
    that config cannot be read, such a run does not count.
    """
    history = await read_past(store, LOOKED_AT, day=day)
    if history.errors:
        raise history.errors[0]
    runs = [past for past in history.runs if past.day == day]
    reasons: dict[str, str] = {}
    planned = [one for past in runs if (one := await _planned(store, past, reasons)) is not None]
    ours = [one for one in planned if not config_uri or is_same_config(one.inputs.config_uri, config_uri)]
    reasons |= {
        one.past.run_id: f"{one} did all its work, but with the config of {one.inputs.config_uri}"
        for one in planned
        if one.past.is_done and one not in ours
    }
    exceeded = []
    for one in ours:
        if one.past.is_done:
            largest = max(ours, key=lambda other: other.planned)
            if largest.planned > one.planned:
                exceeded.append((one, largest))
            elif await _is_whole(store, one, reasons):
                return Verification(True, f"{one.done(day)}{_again(one)}", one.past.run_id)
    if exceeded:
        contents, problem = await _contents_now(config_uri)
        for one, largest in exceeded:
            if contents is None or without(contents, one.left_out) != without(one.inputs.contents, one.left_out):
                reasons[one.past.run_id] = (
                    f"{one} did all its work, but {largest} planned more ({counted(largest.planned, 'item')}, not "
                    f"{one.planned:,}), and {problem}"
                )
            elif await _is_whole(store, one, reasons):
                known = f"{one.done(day)}, which is what {config_uri} asks for now{_again(one)}"
                return Verification(True, known, one.past.run_id)
    last = next((past.run_id for past in [*(one.past for one in ours), *runs]), None)
    return Verification(False, _known(history, runs, day, reasons), last)


def _again(one: _PlannedRun) -> str:
    """What a person has asked for in addition."""
    summary = one.past.summary
    if summary is None or not summary.asked_again:
        return ""
    return f"; {summary.made_again:,} of {counted(summary.asked_again, 'card')} made again"


async def _planned(store: ObjectStore, past: PastRun, reasons: dict[str, str]) -> _PlannedRun | None:
    """The run with its plan; `None` without one. If its inputs cannot be used, adds the reason to `reasons`."""
    problem, plan = f"{name_of(past.run_id, INPUTS)} is missing", None
    try:
        inputs = await find_latest_inputs(store, past.run_id)
        plan = None if inputs is None else await plan_of(store, inputs)
    except RecordError as error:
        inputs, problem = None, str(error)
    if inputs is None or plan is None:
        if past.is_done:  # its summary alone says so; one without a plan has another outcome
            reasons[past.run_id] = f"run {past.run_id}: {Outcome.UNREADABLE}. {problem}"
        return None
    planned = sum(plan.whole.count(engine) for engine in ALL_ENGINES)
    return _PlannedRun(past, inputs, planned, tuple(target.id for target in plan.left_out))


async def _is_whole(store: ObjectStore, one: _PlannedRun, reasons: dict[str, str]) -> bool:
    """Whether the record has all results that the run's report counts; if not, adds the reason to `reasons`."""
    try:
        await check_run(store, one.inputs)
    except RecordError as error:
        reasons[one.past.run_id] = f"{one}: {Outcome.UNREADABLE}. {error}"
        return False
    return True


async def _contents_now(config_uri: str) -> tuple[dict[str, bytes] | None, str]:
    """The present content of the config objects, and why a run with another config does not count."""
    if not config_uri:
        return None, "CONFIG_URI is not set, so it is not known which plan counts"
    problem = f"there was no answer within {COMPARE_SECONDS:g} s"
    with trio.move_on_after(COMPARE_SECONDS):
        try:
            objects = await read_objects(open_store(config_uri))
        except StorageError as error:
            problem = str(error)
        else:
            contents = {name: stored.data for name, stored in objects.items()}
            return contents, f"the config at {config_uri} is another by now"
    return None, f"CONFIG_URI cannot be read: {problem}"


def _known(history: Past, runs: Sequence[PastRun], day: str, reasons: dict[str, str]) -> str:
    parts = [
        reasons.get(past.run_id) or f"run {past.run_id}: {past.outcome}. {past.sentence}".rstrip(". ") for past in runs
    ]
    # A run whose record cannot be read may be of this day.
    parts += [f"run {past.run_id}: {past.outcome}. {past.sentence}" for past in history.runs if past.day is None]
    parts += history.faults
    text = f"no run of {day} {'did all its work' if runs else 'is recorded'}"
    if not history.is_whole and not runs:
        text += f" among the latest {LOOKED_AT} runs and those that started about then"
    return text + (f": {'; '.join(parts)}" if parts else "")
