"""The command line."""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import TextIOWrapper

import trio

from job.check import check
from job.engines import METHOD, Call
from job.exits import Exit
from job.faults import ConfigError, Fault, quoted
from job.history import LATEST, latest, verify
from job.log import STDOUT, Log, write_line
from job.plan import Plan
from job.prepare import prepare
from job.retold import tell
from job.run import Order, Reporter, run
from job.settings import Settings, is_run_id, read_settings
from job.storage import open_store
from job.store import StorageError, Store
from job.terminal import Terminal
from job.trace import Run, new_run_id
from job.version import COMMIT, VERSION

FAULTS_SHOWN = 100


def main(arguments: Sequence[str]) -> int:
    """Does what the arguments ask for and returns the exit code; raises only what is a bug."""
    options = _parser().parse_args(arguments)
    for library in ("google", "httpx", "httpcore", "urllib3"):  # they log what the job reports in its own words
        logging.getLogger(library).setLevel(logging.ERROR)
    started, now = time.monotonic(), datetime.now(UTC)
    settings, faults = read_settings(os.environ, now)
    command: Callable[[], Exit] = {
        "run": lambda: _run(settings, faults, now, started, resume=False),
        "resume": lambda: _run(replace(settings, run_id=options.run_id), faults, now, started, resume=True),
        "plan": lambda: _plan(settings, faults, as_json=options.json),
        "runs": lambda: _runs(settings, faults),
        "report": lambda: _report(settings, faults, options),
        "verify": lambda: _verify(settings, faults, now),
        "check": lambda: trio.run(check, settings, faults, _say),
    }[options.command]
    return command()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m job", description="Prepares the data of every target, then has every card generated."
    )
    parser.add_argument("--version", action="version", version=f"{VERSION} ({COMMIT or 'no commit'})")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    parser.set_defaults(command="run", json=False)  # after the subparsers, which have a default of their own
    commands.add_parser("run", help="prepare the data, then generate every card (the default)")
    resume = commands.add_parser("resume", help="continue a run that has a record")
    resume.add_argument("run_id", type=_run_id)
    plan = commands.add_parser("plan", help="print what a run would call, and call nothing")
    plan.add_argument("--json", action="store_true", help="one line a call, exactly as it would be sent")
    commands.add_parser("runs", help="list the latest recorded runs")
    report = commands.add_parser("report", help="show a recorded run, and what to do about what failed")
    report.add_argument("run_id", type=_run_id)
    report.add_argument("--page", metavar="FILE", help="write the run's page there")
    report.add_argument("--open", action="store_true", help="open the run's page in the browser")
    commands.add_parser("verify", help="whether a run of today did all its work: exit code 0, else 1")
    commands.add_parser("check", help="validate the config and ask each engine whether it is healthy")
    return parser


def _run_id(text: str) -> str:
    if not is_run_id(text):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a run id; `python -m job runs` lists them")
    return text


def _run(settings: Settings, faults: list[Fault], now: datetime, started: float, *, resume: bool) -> Exit:
    identity = Run(settings.run_id or new_run_id(now))
    watched = os.isatty(STDOUT)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a character must not stop the run
    reporter: Reporter = Terminal(identity) if watched else Log(identity, settings.project)
    return trio.run(run, Order(settings, faults, identity, now, started, resume), reporter)


def _plan(settings: Settings, faults: list[Fault], *, as_json: bool) -> Exit:
    try:
        prepared = trio.run(prepare, settings, faults)
    except ConfigError as error:
        for fault in error.faults[:FAULTS_SHOWN]:
            print(fault, file=sys.stderr)
        if len(error.faults) > FAULTS_SHOWN:
            print(f"and {len(error.faults) - FAULTS_SHOWN} more", file=sys.stderr)
        return Exit.USAGE
    for notice in prepared.notices:
        print(notice, file=sys.stderr)
    plan = prepared.plan
    for engine in plan.engines():
        url = settings.engines[engine].url or ""
        if as_json:
            for call in plan.calls(engine):
                write_line(json.dumps(_as_json(call, url), ensure_ascii=False).encode())
        else:
            _say_calls(plan, list(plan.calls(engine)))
    return Exit.DONE


def _runs(settings: Settings, faults: list[Fault]) -> Exit:
    store = _records(settings, faults)
    if store is None:
        return Exit.USAGE
    try:
        runs = trio.run(latest, store, LATEST)
    except StorageError as error:
        print(f"RUNS_URI: {error}", file=sys.stderr)
        return Exit.BUSY
    if not runs:
        _say("no run is recorded")
    for past in runs:
        _say(f"{past.run_id}  {past.started}  {past.outcome}  {past.sentence}".rstrip())
    return Exit.DONE


def _report(settings: Settings, faults: list[Fault], options: argparse.Namespace) -> Exit:
    store = _records(settings, faults)
    if store is None:
        return Exit.USAGE
    return tell(store, options.run_id, options.page, in_browser=options.open)


def _verify(settings: Settings, faults: list[Fault], now: datetime) -> Exit:
    store = _records(settings, faults)
    if store is None:
        return Exit.USAGE
    today = now.astimezone(settings.time_zone).date().isoformat()
    try:
        done, known = trio.run(verify, store, today)
    except StorageError as error:
        done, known = False, f"RUNS_URI: {error}"
    if os.isatty(STDOUT):
        _say(known)
    else:
        Log(Run(settings.run_id or "verify"), settings.project).verified(known, done=done)
    return Exit.DONE if done else Exit.ENGINE_FAILED


def _records(settings: Settings, faults: list[Fault]) -> Store | None:
    """Where runs are recorded; `None`, and the reason on standard error, where the environment does not tell."""
    wrong = [fault for fault in faults if fault.where in {"RUNS_URI", "RUN_TIME_ZONE"}]
    if settings.runs_uri is None and not wrong:
        wrong = [Fault("RUNS_URI", "is not set", "set it to where runs are recorded")]
    for fault in wrong:
        print(fault, file=sys.stderr)
    return None if wrong or settings.runs_uri is None else open_store(settings.runs_uri)


def _as_json(call: Call, url: str) -> dict[str, object]:
    line: dict[str, object] = {"engine": call.engine, "method": METHOD, "url": url + call.path}
    if call.body is not None:
        line["body"] = json.loads(call.body)
    return line


def _say_calls(plan: Plan, calls: Sequence[Call]) -> None:
    engine = calls[0].engine
    items = f"{plan.count(engine)} cards" if engine == "qa" else f"{plan.count(engine)} targets"
    _say(f"{engine}: {items}, {len(calls)} call{'s' if len(calls) > 1 else ''}")
    if engine == "qa":
        for target in plan.targets:
            if target.card_types:
                _say(f"  {target.id} ({target.kind}): {', '.join(target.card_types)}")
    else:
        for call in calls:
            _say(f"  {', '.join(call.targets)}")


def _say(line: str) -> None:
    write_line(line.encode(errors="replace"))
