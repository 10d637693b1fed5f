"""Command line: finds the command that the arguments name, and gives a bug its exit code."""

import argparse
import logging
import os
import re
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime

from job.config import open_files
from job.config.environment import Settings, read_settings
from job.config.faults import Fault
from job.config.fields import is_date, is_run_id
from job.engines.identity import COMMIT, VERSION, RunIdentity, new_run_id
from job.execution.request import RemakeOptions, RunRequest
from job.planning.left_out import LEFT_OUT_LIMIT
from job.records.past import RUNS_READ
from job.report.commands import list_command
from job.report.outcome import ExitCode
from job.reporting.stdout import STDOUT, say_error_within
from job.text.display import quoted

STDIN = 0
TRACEBACK_SECONDS = 1.0
COUNT_LIMIT = 1000
"""The highest value of `nights --count`."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command that the arguments name and returns its exit code. A bug prints a traceback and returns 70."""
    try:
        return _command(arguments)
    except Exception:  # noqa: BLE001  any exception that gets here is a bug
        say_error_within(traceback.format_exc().rstrip(), TRACEBACK_SECONDS)
        return ExitCode.UNFORESEEN


def _command(arguments: Sequence[str]) -> ExitCode:
    parser = make_parser()
    options = parser.parse_args(arguments)
    for library in ("google", "httpx", "httpcore", "urllib3"):  # they log failures that the job reports itself
        logging.getLogger(library).setLevel(logging.ERROR)
    open_files.raise_limit()
    started, now = time.monotonic(), datetime.now(UTC)
    settings, faults = read_settings(os.environ, now)
    if options.command is None and settings.job is None and os.isatty(STDOUT):  # a person, who may not mean to pay
        parser.print_help()
        return ExitCode.USAGE
    return _do(options, settings, faults, now, started)


def _do(
    options: argparse.Namespace, settings: Settings, faults: list[Fault], now: datetime, started: float
) -> ExitCode:
    """Does the command. It imports what this command needs: with what all need, a run would start 0.1 s later."""
    match options.command:
        case "plan":
            from job.cli.plan import plan_command

            return plan_command(settings, faults, options, os.environ, now)
        case "rehearse":
            from job.cli.rehearse import rehearse_command

            return rehearse_command(options, now)
        case "runs":
            from job.cli.past import runs_command

            return runs_command(settings, faults)
        case "nights":
            from job.cli.past import nights_command

            return nights_command(settings, faults, options)
        case "report":
            from job.cli.past import report_command

            return report_command(settings, faults, options, now)
        case "verify":
            from job.cli.past import verify_command

            return verify_command(settings, faults, now, options.date)
        case "check":
            from job.cli.check import check_command

            return check_command(settings, faults)
        case "notify":
            from job.cli.check import notify_command

            return notify_command(settings)
        case _:
            from job.cli.run import run_command

            return run_command(request_of(options, settings, faults, now, started))


def request_of(
    options: argparse.Namespace, settings: Settings, faults: list[Fault], now: datetime, started: float
) -> RunRequest:
    """What the command asks for: a run, a resume or a remake."""
    remake = None
    if options.command == "remake":
        can_ask = settings.job is None and os.isatty(STDIN) and os.isatty(STDOUT)
        remake = RemakeOptions(tuple(options.cards), options.data, options.yes, can_ask=can_ask)
    is_recorded = options.command in {"resume", "remake"}
    if is_recorded:
        settings = settings.model_copy(update={"run_id": options.run_id})
    return RunRequest(
        settings,
        faults,
        RunIdentity(settings.run_id or new_run_id(now)),
        now,
        started,
        resume=is_recorded,
        new_config=options.new_config,
        again=options.again,
        remake=remake,
        without=tuple(options.without or ()),
    )


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="python -m job", description="Prepares the data of every target, then has every card generated."
    )
    parser.add_argument("--version", action="version", version=f"{VERSION} ({COMMIT or 'no commit'})")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    parser.set_defaults(json=False, again=False, new_config=False, without=None)
    start = commands.add_parser(
        "run",
        help="prepare the data, then generate every card; what the day's run has done already stays (without a "
        "command the same, except on a terminal outside Cloud Run, which gets this help)",
    )
    start.add_argument("--again", action="store_true", help="make everything anew, in a run of its own")
    resume = commands.add_parser("resume", help="continue a run that has a record")
    resume.add_argument("run_id", type=_run_id)
    config = resume.add_mutually_exclusive_group()
    config.add_argument(
        "--new-config",
        action="store_true",
        help="with the config as it is now, for what is missing; brings back what was left out",
    )
    config.add_argument(
        "--without",
        nargs="+",
        action="extend",
        metavar="TICKER",
        help=f"leave out these tickers, topics or persons, {LEFT_OUT_LIMIT} at most, and do the rest; write one that "
        "begins with a dash as --without=-X",
    )
    remake = commands.add_parser("remake", help="make cards of a recorded run again, and pay for them again")
    remake.add_argument("run_id", type=_run_id)
    remake.add_argument(
        "cards",
        nargs="+",
        metavar="CARD",
        help="NVDA/news_card; NVDA: all cards of a target; /news_card: all cards of a type",
    )
    remake.add_argument("--data", action="store_true", help="prepare the data of these targets first, on the run's day")
    remake.add_argument("--yes", action="store_true", help="do not ask; needed without a terminal, and above 20 cards")
    plan = commands.add_parser("plan", help="show what tonight's run would call, or every fault of its config")
    plan.add_argument(
        "place",
        nargs="?",
        type=_place,
        metavar="PLACE",
        help="a directory or gs://BUCKET/PREFIX whose config objects to read; without it, those under CONFIG_URI",
    )
    shown = plan.add_mutually_exclusive_group()
    shown.add_argument("--full", action="store_true", help="also list each target with its calls")
    shown.add_argument("--json", action="store_true", help="one line a call, exactly as it would be sent")
    rehearse = commands.add_parser(
        "rehearse", help="tell when tonight's cards will be there, from the answers of past nights; call nothing"
    )
    rehearse.add_argument("--nights", type=_count, default=30, metavar="N", help="nights to play; 30 without it")
    rehearse.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="NAME=VALUE", help="with another setting"
    )
    rehearse.add_argument(
        "--outage", action="append", default=[], metavar="ENGINE,HH:MM,10m", help="with an outage of an engine"
    )
    rehearse.add_argument("--page", metavar="FILE", help="write the forecast as a page there, too")
    commands.add_parser("runs", help="list the latest recorded runs")
    nights = commands.add_parser("nights", help="show the latest runs at a glance, and what fails most often")
    nights.add_argument("--count", type=_count, default=RUNS_READ, metavar="N", help=f"runs; {RUNS_READ} without it")
    nights.add_argument("--page", metavar="FILE", help="write them as a page there")
    nights.add_argument("--open", action="store_true", help="open that page in the browser")
    report = commands.add_parser("report", help="show a recorded run, and what to do about what failed")
    report.add_argument("run_id", nargs="?", type=_run_id, help="without it, the run that started last")
    report.add_argument("--page", metavar="FILE", help="write the run's page there")
    report.add_argument("--csv", metavar="FILE", help="write a table of all its cards there")
    report.add_argument("--missing", action="store_true", help="print only the cards that are not there, a line each")
    report.add_argument("--open", action="store_true", help="open the run's page in the browser")
    verify = commands.add_parser("verify", help="whether a run of a day did all its work: exit code 0, else 1")
    verify.add_argument("--date", type=_date, metavar="YYYY-MM-DD", help="the day; without it RUN_DATE, else today")
    commands.add_parser("check", help="validate the config and ask each engine whether it is healthy")
    notify = commands.add_parser("notify", help="send a test message to NOTIFY_URL")
    notify.add_argument("--test", action="store_true", required=True, help="required: only a test message can be sent")
    return parser


def _place(text: str) -> str:
    # unlike Path.is_dir, os.path.isdir is false for a name that is too long
    if not (re.match("gs://[^/]", text) or os.path.isdir(text)):  # noqa: PTH112
        raise argparse.ArgumentTypeError(f"{quoted(text)} is neither gs://BUCKET/PREFIX nor a directory")
    return text


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", text) or not 1 <= int(text) <= COUNT_LIMIT:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a whole number from 1 to {COUNT_LIMIT:,}")
    return int(text)


def _date(text: str) -> str:
    if not is_date(text):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a date; write YYYY-MM-DD")
    return text


def _run_id(text: str) -> str:
    if not is_run_id(text):
        settings, _ = read_settings(os.environ, datetime.now(UTC))  # a faulty RUNS_URI may hold a password
        listing = list_command(settings.runs_uri)
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a run id; `{listing}` lists them")
    return text
