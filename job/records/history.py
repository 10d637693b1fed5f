"""Past runs, read from their records: the latest, today's, and one in full."""

from dataclasses import dataclass
from datetime import datetime

import trio

from job.records.format import REPORT, STARTED, RecordError, name_of
from job.records.record import find_inputs, find_latest_inputs, read_results
from job.records.report import UNFINISHED, RunReport, build_report, read_report
from job.records.timeline import Timeline
from job.storage.store import ObjectStore, StorageError, in_thread

LATEST = 20


LOOKED_AT = 50
"""Runs among which those of a day are looked for."""


UNREAD = "?"
"""The day of a run whose record cannot be read."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """One recorded run."""

    run_id: str
    started: str
    day: str
    outcome: str
    """`unfinished` if there is no report: the run is at work, or was killed."""
    sentence: str


async def latest(store: ObjectStore, count: int) -> list[PastRun]:
    """The latest runs, the newest first. Raises `StorageError`."""
    names = await in_thread(lambda: store.names(STARTED))
    ids = [name.removeprefix(STARTED).partition("_")[2] for name in reversed(names)]
    found: dict[str, PastRun] = {}
    errors: list[StorageError] = []

    async def look(run_id: str) -> None:  # noqa: ASYNC910  storage was awaited
        try:
            found[run_id] = await _past(store, run_id)
        except StorageError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for run_id in ids[:count]:
            nursery.start_soon(look, run_id)
    if errors:
        raise errors[0]
    return [found[run_id] for run_id in ids[:count]]


async def verify(store: ObjectStore, today: str) -> tuple[bool, str]:
    """Whether a run of this day did all its work, and what is known. Raises `StorageError`."""
    recorded = await latest(store, LOOKED_AT)
    runs = [past for past in recorded if past.day == today]
    for past in runs:
        if past.outcome == "succeeded":
            return True, f"run {past.run_id} of {today} did all its work"
    what = "did all its work" if runs else "is recorded"
    runs += [past for past in recorded if past.day == UNREAD]  # it may be today's
    known = "; ".join(f"run {past.run_id}: {past.outcome}. {past.sentence}".rstrip(". ") for past in runs)
    return False, f"no run of {today} {what}" + (f": {known}" if known else "")


async def _past(store: ObjectStore, run_id: str) -> PastRun:
    try:
        inputs = await find_inputs(store, run_id)
    except RecordError as error:
        return PastRun(run_id, UNREAD, UNREAD, "unreadable", str(error))  # noqa: ASYNC910  storage was awaited
    if inputs is None:
        return PastRun(run_id, UNREAD, UNREAD, "unreadable", "its record has no inputs")
    name = name_of(run_id, REPORT)
    stored = await in_thread(lambda: store.read(name))
    outcome, sentence = UNFINISHED, ""
    if stored is not None:
        try:
            report = read_report(name, stored.data)
            outcome, sentence = report.outcome, report.sentence
        except RecordError:
            outcome, sentence = "unreadable", "its report is not what a run writes"
    started = datetime.fromisoformat(inputs.started).isoformat(sep=" ", timespec="seconds")
    return PastRun(run_id, started, inputs.day, outcome, sentence)


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run as its record tells of it."""

    report: RunReport
    timeline: Timeline


async def read_run(store: ObjectStore, run_id: str) -> RecordedRun | None:
    """The run, also one that has not closed; `None` if none is recorded. Raises `RecordError`, `StorageError`."""
    inputs = await find_latest_inputs(store, run_id)
    if inputs is None:
        return None
    plan = inputs.plan()
    timeline = Timeline(plan, is_replanned=inputs.number > 0)
    await read_results(store, run_id, timeline)
    name = name_of(run_id, REPORT)
    stored = await in_thread(lambda: store.read(name))
    if stored is None:
        return RecordedRun(build_report(inputs, plan, timeline), timeline)
    written = read_report(name, stored.data)
    # Results that are later than the report are those of an attempt that has not closed.
    closed = written.ended is not None and timeline.last_ended <= _seconds(written.ended) + 2
    place = {key: getattr(written, key) for key in ("version", "commit", "project", "execution")}
    report = build_report(inputs, plan, timeline, written.attempts, closed=closed, **place)
    return RecordedRun(report, timeline)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
