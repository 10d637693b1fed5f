"""Nights: the summaries of the latest runs, for comparison and for the page of the nights.

They are read in the background, in threads of their own; their number and size are limited. A summary that cannot be
used is left out: this must never fail or delay a run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import trio

from job.engines.catalog import EngineName
from job.planning.items import EngineItems
from job.planning.plan import Plan
from job.records.comparison import Comparison, compare
from job.records.format import (
    AT_WORK,
    KILLED,
    NIGHTS_PAGE,
    REPORT,
    STARTED,
    SUMMARY,
    RecordError,
    RunState,
    name_of,
    started_runs,
)
from job.records.inputs import RunInputs, is_same_config
from job.records.lease import look
from job.records.plan_change import PlanChange, plan_change, plan_lines
from job.records.record import find_latest_inputs
from job.records.report import REFUSED
from job.records.summary import SUMMARY_LIMIT, NightBefore, RunSummary, read_summary
from job.storage.store import BACKGROUND_THREADS, ObjectStore, StorageError, in_thread, words_of
from job.text.display import zone_of
from job.text.messages import Message, Value, message, template

NIGHTS_READ = 60
"""How many of the latest runs are read."""
ITEMS_KEPT = 200_000
"""Maximum number of missing items of all nights together; older nights are kept without theirs."""
READ_SECONDS = 10.0
"""Time limit in a command for which a person waits."""
FAILED_READS = 3
"""No further request is made after this many failed ones."""


@dataclass(frozen=True, slots=True)
class Night:
    """One recorded run."""

    run_id: str
    started: datetime
    """In the time zone of the latest run that has a summary; in UTC if none has one."""
    summary: RunSummary | None
    """`None` if there is none or it is not valid: the run has not closed its record, or the summary was altered."""
    state: RunState | None = None
    """If the run has not closed its record: whether it is at work, which the lease decides."""


@dataclass(frozen=True, slots=True)
class Nights:
    """The latest runs, the newest first."""

    runs: Sequence[Night] = ()
    problems: Sequence[str] = ()
    """What could not be used, and why."""

    @property
    def zone(self) -> str:
        """The time zone in which the starts of the runs are."""
        return zone_of(self.runs[0].started) if self.runs else "UTC"

    @property
    def summaries(self) -> list[RunSummary]:
        """The summaries of the runs that have one."""
        return [night.summary for night in self.runs if night.summary is not None]


async def read_nights(
    store: ObjectStore, count: int = NIGHTS_READ, known: Mapping[str, RunSummary] | None = None
) -> Nights:
    """The latest runs. Summaries in `known` are not read again. Raises `StorageError` if runs, or the lease if it is
    needed, cannot be read.
    """
    names = await in_thread(lambda: store.names(STARTED), background=True)
    started, problems = started_runs(names)
    latest = dict(list(started.items())[:count])
    found = {run_id: summary for run_id, summary in (known or {}).items() if run_id in latest}
    rest = iter([run_id for run_id in latest if run_id not in found])
    not_closed: list[str] = []
    kept = failed = 0

    async def read() -> None:  # noqa: ASYNC910  there may be nothing to read
        nonlocal kept, failed
        for run_id in rest:
            if failed >= FAILED_READS:
                return  # noqa: ASYNC910  as above
            try:
                summary = await in_thread(partial(_read, store, run_id), background=True)
                if summary is None and not await in_thread(partial(_has_report, store, run_id), background=True):
                    not_closed.append(run_id)
            except StorageError as error:
                failed += 1
                problems.append(str(error))
            except RecordError as error:
                problems.append(str(error))
            else:
                if summary is not None:
                    kept += sum(len(group.targets) for group in summary.missing)
                    found[run_id] = summary if kept <= ITEMS_KEPT else _without_items(summary)

    async with trio.open_nursery() as nursery:
        for _ in range(BACKGROUND_THREADS):
            nursery.start_soon(read)
    states = await _states(store, not_closed, problems)
    zone = next((datetime.fromisoformat(found[run_id].started).tzinfo for run_id in latest if run_id in found), UTC)
    return Nights(
        [
            Night(run_id, moment.astimezone(zone), found.get(run_id), states.get(run_id))
            for run_id, moment in latest.items()
        ],
        problems,
    )


def _read(store: ObjectStore, run_id: str) -> RunSummary | None:
    name = name_of(run_id, SUMMARY)
    stored = store.read(name, SUMMARY_LIMIT + 1)
    return None if stored is None else read_summary(name, stored.data, run_id)


async def _states(store: ObjectStore, not_closed: Sequence[str], problems: list[str]) -> Mapping[str, RunState]:
    """The state of each of these runs; none if the lease cannot be read, which is a problem then."""
    if not not_closed:
        return {}  # noqa: ASYNC910  nothing to read
    try:
        seen = await look(store)
    except StorageError as error:
        problems.append(str(error))
        return {}  # noqa: ASYNC910  the lease was awaited
    at_work = seen.holder.run_id if seen is not None and seen.seems_alive else None
    return {run_id: AT_WORK if run_id == at_work else KILLED for run_id in not_closed}


def _has_report(store: ObjectStore, run_id: str) -> bool:
    return store.read(name_of(run_id, REPORT), 1) is not None


def _without_items(summary: RunSummary) -> RunSummary:
    listed = sum(len(group.targets) for group in summary.missing)
    return summary.model_copy(update={"missing": (), "missing_not_listed": summary.missing_not_listed + listed})


def summary_before(nights: Nights, config_uri: str | None, day: str | None) -> RunSummary | None:
    """The run to compare with: on the latest day before `day`, the run of this config that planned most.

    `config_uri=None` allows any config, `day=None` any day.
    """
    fitting = [
        summary
        for summary in nights.summaries
        if summary.outcome != REFUSED
        and (config_uri is None or is_same_config(summary.config_uri, config_uri))
        and (day is None or summary.day < day)
    ]
    latest = max((summary.day for summary in fitting), default=None)
    # Runs are sorted from the newest, and max() returns the first of several equal ones.
    return max((one for one in fitting if one.day == latest), key=lambda one: one.planned, default=None)


async def find_night_before(
    store: ObjectStore, nights: Nights, config_uri: str | None, day: str | None
) -> NightBefore | None:
    """The night to compare with, and its plan, made again from the recorded config. Raises `StorageError`."""
    summary = summary_before(nights, config_uri, day)
    if summary is None:
        return None  # noqa: ASYNC910  the nights were read
    try:
        inputs: RunInputs | None = await find_latest_inputs(store, summary.run_id, background=True)
        plan = None if inputs is None else await in_thread(inputs.plan, background=True)
    except RecordError:  # its plan is not known then
        plan = None
    return NightBefore.of(summary, plan)  # noqa: ASYNC910  storage was awaited


async def read_plan_change(store: ObjectStore, plan: Plan, config_uri: str | None) -> list[Message]:  # noqa: ASYNC910  storage was awaited
    """How a plan differs from that of the latest night of this config, in sentences; or why it is not compared."""
    try:
        with trio.fail_after(READ_SECONDS):
            before = await find_night_before(store, await read_nights(store), config_uri, None)
    except (StorageError, trio.TooSlowError) as error:
        problem = words_of(error) or message("there was no answer within {seconds} s", seconds=READ_SECONDS)
        return [message("the plan is not compared with that of the night before: {error}", error=problem)]  # noqa: ASYNC910  as above
    change = plan_change(before.plan, plan) if before is not None and before.plan is not None else None
    return list(plan_lines(change, before.summary.day)) if before is not None and change is not None else []


async def write_nights_page(
    store: ObjectStore, known: Nights | None, run_id: str, render: Callable[[Nights], bytes], until: float
) -> Message | None:
    """Overwrites the page of the nights, after this run has written its summary, until trio's time `until`.

    `known` is what was read when the run started. Returns why the page is not written, for example because another run
    has written it meanwhile, or `None`. Never raises.
    """
    problem: Value | None = message("storage took too long")
    with trio.move_on_at(until):  # noqa: ASYNC912  storage is awaited
        try:
            await _write_nights_page(store, known, run_id, render)
            problem = None
        except Exception as error:  # noqa: BLE001  the run does not depend on this page
            problem = words_of(error)
    if problem is None:
        return None  # noqa: ASYNC910  storage was awaited
    return message("the page of the nights is not written: {error}", error=problem)  # noqa: ASYNC910  as above


async def _write_nights_page(  # noqa: ASYNC910  storage was awaited
    store: ObjectStore, known: Nights | None, run_id: str, render: Callable[[Nights], bytes]
) -> None:
    there = await in_thread(lambda: store.read(NIGHTS_PAGE, 1), background=True)  # before the summaries
    summaries = {one.run_id: one for one in known.summaries if one.run_id != run_id} if known else {}
    nights = await read_nights(store, known=summaries)

    def write() -> None:
        data = render(nights)
        if there is None:
            store.create(NIGHTS_PAGE, data)
        else:
            store.replace(NIGHTS_PAGE, data, there.generation)

    await in_thread(write, background=True)


@dataclass(slots=True)
class PastNights:
    """Past nights, read while a run is at work. The run does not wait for them."""

    notify: Callable[[list[Message]], None]
    """Gets notices for the user."""
    nights: Nights | None = None
    """`None` until they are read."""
    before: NightBefore | None = None
    """The night to compare with; `None` if there is none or it is not read yet."""
    change: PlanChange | None = None
    """How the plan has changed since then."""

    async def read(self, store: ObjectStore, inputs: RunInputs, plan: Plan) -> None:  # noqa: ASYNC910  storage was awaited
        """Reads the past nights, for a run with this plan. Never raises."""
        try:
            self.nights = await read_nights(store)
            before = await find_night_before(store, self.nights, inputs.config_uri, inputs.day)
            if before is not None and before.plan is not None:
                self.change = await in_thread(partial(plan_change, before.plan, plan), background=True)
            self.before = before
        except Exception as error:  # noqa: BLE001  the run does not depend on past nights
            text = template("past nights cannot be read, so this one is not compared with them: {error}")
            self.notify([message(text, error=words_of(error))])
        if self.before is not None and self.change is not None:
            self.notify(list(plan_lines(self.change, self.before.summary.day)))

    def typical_card_seconds(self, config_uri: str) -> Mapping[str, float]:
        """The median seconds of each card type in the latest run of this config that made cards, the slowest first.

        Empty if there is no such run, or if past nights are not read yet.
        """
        summaries = self.nights.summaries if self.nights else ()
        made = (
            one.card_seconds for one in summaries if one.card_seconds and is_same_config(one.config_uri, config_uri)
        )
        return next(made, {})

    def compare(self, day: str, items: Mapping[EngineName, EngineItems]) -> Comparison | None:
        """Compares the run of this day, with these items. `None` if there is no night before, or if that fails."""
        try:
            return None if self.before is None else compare(day, items, self.before, self.change)
        except Exception as error:  # noqa: BLE001  as above
            self.notify([message("the run is not compared with the night before: {error}", error=words_of(error))])
            return None
