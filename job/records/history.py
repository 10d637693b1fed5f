"""What is recorded of past runs: the latest of them, and whether today's was done."""

import json
from dataclasses import dataclass
from datetime import datetime

import trio

from job.execution.progress import CardTotals, EngineTotals
from job.records.format import STARTED, RecordError
from job.records.inputs import RunInputs
from job.records.journal import read_journal
from job.records.record import find_inputs
from job.records.report import RunReport, read_report, unfinished_report
from job.records.results import DoneItems, add_done
from job.records.timeline import Timeline
from job.storage.store import ObjectStore, StorageError, in_thread

LATEST = 20


LOOKED_AT = 50
"""Runs among which today's is sought."""


UNREAD = "?"
"""The day of a run whose record cannot be read."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """One recorded run."""

    run_id: str
    started: str
    day: str
    outcome: str
    """`unfinished` where there is no report: it is at work, or was killed."""
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
    report = await in_thread(lambda: store.read(f"{run_id}/report.json"))
    outcome, sentence = "unfinished", ""
    if report is not None:
        try:
            value = json.loads(report.data)
            outcome, sentence = str(value["outcome"]), str(value["sentence"])
        except (ValueError, TypeError, LookupError):
            outcome, sentence = "unreadable", "its report is not what a run writes"
    started = datetime.fromisoformat(inputs.started).isoformat(sep=" ", timespec="seconds")
    return PastRun(run_id, started, inputs.day, outcome, sentence)


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What the record of a run says."""

    report: RunReport
    timeline: Timeline


async def read_run(store: ObjectStore, run_id: str) -> RecordedRun | None:
    """The run, also one that has not closed; `None` where none is recorded. Raises `RecordError`, `StorageError`."""
    inputs = await find_inputs(store, run_id)
    if inputs is None:
        return None
    timeline, done = Timeline(), DoneItems()

    def take(result: dict[str, object]) -> None:
        add_done(done, result)
        timeline.add(result)

    await read_journal(store, f"{run_id}/results/", run_id, take)
    name = f"{run_id}/report.json"
    stored = await in_thread(lambda: store.read(name))
    report = None if stored is None else read_report(name, stored.data)
    if report is None or report.ended is None or _last(timeline) > datetime.fromisoformat(report.ended).timestamp() + 2:
        attempts = report.attempts if report else ()  # and after them one that has not closed
        report = _accounted(inputs, timeline, done).model_copy(update={"attempts": attempts})
    return RecordedRun(report, timeline)


def _last(timeline: Timeline) -> float:
    return max((max(lane.ended) for lane in timeline.lanes.values() if len(lane)), default=0.0)


def _accounted(inputs: RunInputs, timeline: Timeline, done: DoneItems) -> RunReport:
    """The accounts of a run that has left no report: what its plan and its journal say."""
    plan = inputs.plan()
    engines = {}
    for engine in plan.engines():
        failed = timeline.failed(engine)
        planned, ended, lane = plan.count(engine), len(done.get(engine, ())), timeline.lanes[engine]
        engines[engine] = EngineTotals(
            planned=planned,
            done=ended,
            skipped=0,
            failed=failed,
            not_attempted=planned - ended - failed,
            calls=len(lane),
            retries=len(lane.failed_started),
            p50_seconds=None,
            p95_seconds=None,
        )
    qa = engines.get("qa")
    cards = CardTotals()
    if qa is not None:
        cards = CardTotals(planned=qa.planned, generated=qa.done, failed=qa.failed, not_attempted=qa.not_attempted)
    return unfinished_report(inputs).model_copy(update={"engines": engines, "cards": cards})
