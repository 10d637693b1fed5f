"""A recorded run, told again: read from its record, printed on a terminal, its page rendered anew."""

import sys
import tempfile
import webbrowser
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trio
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from job.closing import UNFINISHED, Cards, Engine, Report, opened, read_report
from job.config import read_config
from job.exits import Exit
from job.inputs import Inputs, RecordError
from job.journal import read_journal
from job.log import write_line
from job.markup import counted, duration, shortened
from job.page import render
from job.plan import Plan
from job.record import Done, add_done, find_inputs
from job.store import StorageError, Store, blocking
from job.targets import resolve
from job.timeline import Timeline

FAILURES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Told:
    """What the record of a run says."""

    report: Report
    timeline: Timeline


async def read_run(store: Store, run_id: str) -> Told | None:
    """The run, also one that has not closed; `None` where none is recorded. Raises `RecordError`, `StorageError`."""
    inputs = await find_inputs(store, run_id)
    if inputs is None:
        return None
    timeline, done = Timeline(), Done()

    def take(result: dict[str, object]) -> None:
        add_done(done, result)
        timeline.take(result)

    await read_journal(store, f"{run_id}/results/", run_id, take)
    name = f"{run_id}/report.json"
    stored = await blocking(lambda: store.read(name))
    report = None if stored is None else read_report(name, stored.data)
    if report is None or report.ended is None or _last(timeline) > datetime.fromisoformat(report.ended).timestamp() + 2:
        attempts = report.attempts if report else ()  # and after them one that has not closed
        report = _accounted(inputs, timeline, done).model_copy(update={"attempts": attempts})
    return Told(report, timeline)


def _last(timeline: Timeline) -> float:
    return max((max(lane.ended) for lane in timeline.lanes.values() if len(lane)), default=0.0)


def _accounted(inputs: Inputs, timeline: Timeline, done: Done) -> Report:
    """The accounts of a run that has left no report: what its plan and its journal say."""
    config, _, _ = read_config({name: kept.content.encode() for name, kept in inputs.objects.items()})
    targets, _, _ = resolve(config)
    plan = Plan(targets, config.models, inputs.date, inputs.batch_sizes)
    engines = {}
    for engine in plan.engines():
        failed = timeline.failed(engine)
        planned, ended, lane = plan.count(engine), len(done.get(engine, ())), timeline.lanes[engine]
        engines[engine] = Engine(
            planned=planned,
            done=ended,
            skipped=0,
            failed=failed,
            not_attempted=planned - ended - failed,
            calls=len(lane),
            retries=len(lane.spoilt_started),
            p50_seconds=None,
            p95_seconds=None,
        )
    qa = engines.get("qa")
    cards = Cards()
    if qa is not None:
        cards = Cards(planned=qa.planned, generated=qa.done, failed=qa.failed, not_attempted=qa.not_attempted)
    return opened(inputs).model_copy(update={"engines": engines, "cards": cards})


def tell(store: Store, run_id: str, page: str | None, *, in_browser: bool) -> Exit:
    """Prints what is recorded of the run; writes its page where one is asked for, and opens it."""
    try:
        told = trio.run(read_run, store, run_id)
    except RecordError as error:
        print(f"RUNS_URI: {error}", file=sys.stderr)
        return Exit.USAGE
    except StorageError as error:
        print(f"RUNS_URI: {error}", file=sys.stderr)
        return Exit.BUSY
    if told is None:
        print(f"RUNS_URI: has no record of run {run_id}; `python -m job runs` lists what is there", file=sys.stderr)
        return Exit.USAGE
    path: Path | None = None
    if page is not None or in_browser:
        path = Path(page) if page else Path(tempfile.mkdtemp(prefix="run-")) / "report.html"
        try:
            path.write_bytes(render(told.report, told.timeline))
        except OSError as error:
            print(f"{path}: {error.strerror or error}", file=sys.stderr)
            return Exit.USAGE
    console = Console(highlight=False, emoji=False)
    with console.capture() as captured:  # to a reader that may have left: rich would end the process with 1
        show(told, console)
        if path:
            console.print(f"its page is {escape(str(path))}", soft_wrap=True)
    write_line(captured.get().rstrip("\n").encode(errors="replace"))
    if in_browser and path:
        webbrowser.open(path.absolute().as_uri())
    return Exit.DONE


def show(told: Told, console: Console) -> None:
    """The run as its own terminal showed it, with what to do about each failure."""
    report = told.report
    last = "the last attempt took " if report.continued else ""
    took = f", {last}{duration(report.seconds)}" if report.seconds is not None else ""
    head = f"[bold]run {escape(report.run_id)}[/] for {report.day}, started {escape(report.started)}{took}"
    console.print(f"{head}: {report.cards.planned} cards", soft_wrap=True)
    if report.engines:
        console.print(_table(report))
    calls = told.timeline.failures
    for call in calls[:FAILURES_SHOWN]:
        card = f" {call.card_type}" if call.card_type else ""
        what = f"{call.engine} {', '.join(call.targets)}{card}: {shortened(call.reason or '', 500)}"
        attempts = counted(call.attempts, "attempt")
        console.print(f"[red]✗[/] {escape(what)} ({attempts}). {escape(call.remedy)}", soft_wrap=True)
    if len(calls) > FAILURES_SHOWN:
        console.print(f"and {len(calls) - FAILURES_SHOWN} more")
    colour = "green" if report.outcome == "succeeded" else "yellow" if report.outcome == UNFINISHED else "red"
    code = "" if report.exit_code is None else f" (exit code {report.exit_code})"
    console.print(f"[{colour}]{escape(report.sentence)}[/]{code}", soft_wrap=True)


def _table(report: Report) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("engine", no_wrap=True)
    for heading in ("calls", "retries", "done", "failed", "not attempted", "p50", "p95"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, engine in report.engines.items():
        numbers = (engine.calls, engine.retries, engine.done + engine.skipped, engine.failed, engine.not_attempted)
        seconds = (engine.p50_seconds, engine.p95_seconds)
        table.add_row(name, *map(str, numbers), *("-" if value is None else f"{value:.2f} s" for value in seconds))
    return table
