"""Command line: finds the command that the arguments name, and gives a bug its exit code."""

import argparse
import logging
import os
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NoReturn

from job.config.environment import DATE, Options, Settings, raise_open_file_limit, read_settings
from job.config.faults import ConfigError, Fault, FaultKind, not_set
from job.config.plan import UNCONFIRMED_LIMIT
from job.config.values import is_date
from job.day.attempt import ExitCode
from job.engines.identity import COMMIT, VERSION
from job.outputs.stdout import say_error
from job.records.objects import RecordError
from job.storage.store import NAME_A_PLACE, StorageError, UnusableError
from job.storage.uri import is_place, no_place
from job.text.messages import Message, colon, message, translator
from job.text.shown import printable, quoted, shortened


def main(arguments: Sequence[str]) -> int:
    """Runs the command that the arguments name and returns its exit code. A bug prints a traceback and returns 70."""
    try:
        return _command(arguments)
    except Exception:  # noqa: BLE001  any exception that gets here is a bug
        with suppress(Exception):  # without memory, it cannot be said
            say_error(traceback.format_exc().rstrip())
        return ExitCode.UNFORESEEN


class _Parser(argparse.ArgumentParser):
    """Raises `ArgumentError` on Cloud Run, where the chat is told of it: nobody sees standard error there."""

    def error(self, message: str) -> NoReturn:
        if "CLOUD_RUN_EXECUTION" not in os.environ:
            super().error(message)
        raise argparse.ArgumentError(None, message)


def _command(arguments: Sequence[str]) -> ExitCode:
    for library in ("google", "httpx", "urllib3"):  # they log failures that the job reports itself
        logging.getLogger(library).setLevel(logging.ERROR)
    raise_open_file_limit()
    started, now = time.monotonic(), datetime.now(UTC)
    settings, faults = read_settings(os.environ)
    try:
        given = _parsed(arguments)
    except argparse.ArgumentError as error:
        remedy = message("the options of run are {options}", options="--date --again --yes --without")
        fault = Fault("--args", Message(shortened(printable(str(error)), 500)), remedy, FaultKind.COMMAND)
        return _run(Options(settings, [*faults, fault], now, started))
    if given.command == "run":
        return _run(options_of(given, settings, faults, now, started))
    try:
        return _look(given, Options(settings, faults, now, started))
    except ConfigError as error:
        lines, code = [fault.sentence for fault in error.faults], ExitCode.USAGE
    except RecordError as error:
        lines, code = [colon("RUNS_URI", error.text)], ExitCode.USAGE
    except StorageError as error:
        is_fault = isinstance(error, UnusableError)
        lines, code = [colon("RUNS_URI", error.text)], ExitCode.USAGE if is_fault else ExitCode.TEMPFAIL
    for line in lines:
        say_error(translator(settings.language).text(line))
    return code


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser()
    if arguments and len(words := printable(arguments[0]).replace(",", " ").split()) > 1:
        parser.error(f"one word each: {' '.join(words)} (on Cloud Run --args={','.join(words)})")
    return parser.parse_args(arguments)


# A run imports only what it needs: with what the other commands need, it would start 0.1 s later.


def _run(options: Options) -> ExitCode:
    from job.cli.run import run_command

    return run_command(options)


def _look(given: argparse.Namespace, options: Options) -> ExitCode:
    """Does a command that makes no cards. Raises what keeps it from an answer."""
    from job.cli import check, past, plan, verify

    commands = {
        "plan": plan.plan_command,
        "nights": past.nights_command,
        "report": past.report_command,
        "verify": verify.verify_command,
        "check": check.check_command,
        "notify": check.notify_command,
    }
    return commands[given.command](options, given)


def options_of(
    given: argparse.Namespace, settings: Settings, faults: Sequence[Fault], now: datetime, started: float
) -> Options:
    """What the command `run` asks for, and what is wrong with it."""
    all_faults = list(faults)
    if settings.runs_uri is None and "RUNS_URI" not in {fault.variable for fault in faults}:
        all_faults.append(not_set("RUNS_URI", NAME_A_PLACE))
    date = given.date
    if date is not None and not is_date(date):
        what = message("{value} is not valid", value=quoted(date))
        all_faults.append(Fault(DATE, what, message('write "YYYY-MM-DD"'), FaultKind.COMMAND))
        date = None
    # An argument that is no Unicode is no name of the config either, and could not be recorded.
    again, without = (tuple(map(printable, names)) for names in (given.again, given.without))
    return Options(settings, all_faults, now, started, date, again, is_confirmed=given.yes, without=without)


def make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m job", description="Prepares the data of every target, then has every card generated."
    )
    parser.add_argument("--version", action="version", version=f"{VERSION} ({COMMIT or 'no commit'})")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    run = commands.add_parser(
        "run",
        allow_abbrev=False,
        help="make the cards of the latest night exist: prepare the data, then generate what is missing",
    )
    run.add_argument("--date", metavar="YYYY-MM-DD", help="another day than that of the latest night")
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    run.add_argument(
        "--again",
        **several,
        metavar="CARD",
        help="make these again too, and pay for them again; NVDA/news_card: a card; /news_card: all cards of a type; "
        "NVDA: the data and the cards of a target; all: everything; write one that begins with a dash as --again=-X",
    )
    run.add_argument(
        "--yes",
        action="store_true",
        help=f"for more than {UNCONFIRMED_LIMIT} cards again, or a whole day by its date",
    )
    run.add_argument(
        "--without",
        **several,
        metavar="TARGET",
        help="leave out these tickers, topics or persons this time; write one that begins with a dash as --without=-X",
    )
    plan = commands.add_parser("plan", help="show the calls of a whole night by a config, or its faults")
    plan.add_argument(
        "place",
        nargs="?",
        type=_place,
        metavar="PLACE",
        help="a directory or gs://BUCKET/PREFIX whose config objects to read; without it, those under CONFIG_URI",
    )
    plan.add_argument("--date", type=_date, metavar="YYYY-MM-DD", help="another day than a run now would have")
    plan.add_argument("--json", action="store_true", help="one line a call, exactly as it would be sent")
    report = commands.add_parser("report", help="show a day, and what to do about what failed")
    report.add_argument("day", nargs="?", type=_date, metavar="YYYY-MM-DD", help="without it, the latest one")
    report.add_argument("--missing", action="store_true", help="print only the cards that are not there, a line each")
    commands.add_parser("nights", help="show the latest days at a glance")
    verify = commands.add_parser("verify", help="whether all the work of the latest night is done: exit code 0, else 1")
    verify.add_argument("--date", type=_date, metavar="YYYY-MM-DD", help="another day")
    commands.add_parser("check", help="validate the config and ask each engine whether it is healthy")
    commands.add_parser("notify", help="send a test message to NOTIFY_URL")
    return parser


def _place(text: str) -> str:
    # unlike Path.is_dir, os.path.isdir is false for a name that is too long
    if not is_place(text) or not (text.startswith("gs://") or os.path.isdir(text)):  # noqa: PTH112
        raise argparse.ArgumentTypeError(str(no_place(text)))
    return text


def _date(text: str) -> str:
    if not is_date(text):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a date; write YYYY-MM-DD")
    return text
