"""`make run-local`: the whole system on loopback, and the real job as a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import trio

from job.config.fields import is_run_id
from job.engines.identity import RunIdentity, new_run_id
from job.records.past import read_run
from job.report.format import NIGHTS_PAGE, REPORT
from job.storage.uri import open_store
from job.text.display import quoted
from tests.simulators import broken, do, when
from tests.simulators.engines import varied
from tests.simulators.job import ROOT
from tests.simulators.service import Fault
from tests.simulators.storage import emulator_binary
from tests.simulators.world import World, open_world

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from tests.simulators.seen import Seen

SAMPLE = Path(os.environ.get("RUN_LOCAL_CONFIG") or ROOT / "terraform" / "config").resolve()
RUNS = Path(os.environ.get("RUN_LOCAL_RUNS") or ROOT / ".runs").resolve()
"""Where its runs are recorded, pages and all."""
NIGHTS_CONFIG = RUNS / "_config"
"""The config of the nights, which outlasts them: who resumes one of them may have corrected it. No run has this id."""
PASSED_ON = ("LOG_FORMAT", "NOTIFY_ONLY", "NOTIFY_SECRET", "NOTIFY_URL", "REPORT_LANGUAGE", "RUN_TIME_ZONE")
"""Variables of the job that it gets from our own environment."""
SECRET = {"NOTIFY_SECRET", "NOTIFY_URL"}
CUT_OFF_SECONDS = 30.0
"""How long financial and trading take if news is to fail before them: longer than all its attempts."""


@dataclass(frozen=True)
class Trouble:
    """Something that `FAULT=…` lets go wrong."""

    what: str
    cause: Callable[[World], None]
    code: int
    """How the job has to exit."""
    seen: str
    """What there was to be seen then."""


def _flaky(world: World) -> None:
    for engine in world.engines.values():
        engine.script.append(Fault(when.both(when.attempt(1), when.chance(0.1)), do.status(503)))


def _news_fails_first(world: World) -> None:
    world.news.script.append(Fault(when.ticker("AAPL"), do.body(None)))
    for service in (world.financial, world.trading):
        service.script.append(Fault(when.always, do.slow(CUT_OFF_SECONDS)))


def _foreign_tokens(world: World) -> None:
    world.tokens.foreign_audience = "https://another-service.run.app"


TROUBLES: Mapping[str, Trouble] = {
    "financial": Trouble(
        "the financial engine is down (503)",
        lambda world: world.financial.script.append(Fault(when.always, do.status(503))),
        1,
        "no card was requested, since the financial engine stayed down after every retry",
    ),
    "trading": Trouble(
        "the trading engine always fails for MSFT",
        lambda world: world.trading.script.append(Fault(when.ticker("MSFT"), do.failing("MSFT"))),
        1,
        "no card was requested, and MSFT alone is named",
    ),
    "news": Trouble(
        "the news engine crashes at AAPL (it answers null) while the other data engines are still at work",
        _news_fails_first,
        1,
        "no card was requested, financial and trading were cut off",
    ),
    "qa": Trouble(
        "the QA engine resets every connection",
        lambda world: world.qa.script.append(Fault(when.always, broken.reset())),
        3,
        "the data is there, and the job stopped requesting cards from an engine that is down",
    ),
    "cards": Trouble(
        "the QA engine cannot make any card of NVDA",
        lambda world: world.qa.script.append(
            Fault(when.ticker("NVDA"), do.body({"status": "failed", "error": "the model refused"}))
        ),
        3,
        "only cards of NVDA are missing, all others were made",
    ),
    "flaky": Trouble(
        "every engine answers 503 to one call in ten, and does it when asked again",
        _flaky,
        0,
        "what failed was done when it was repeated",
    ),
    "token": Trouble(
        "the metadata server hands out tokens for another service",
        _foreign_tokens,
        1,
        "no card was requested, since the engines refused the tokens",
    ),
}


NIGHTS: Sequence[tuple[str, str | None, float]] = (
    ("the whole config", None, 1.0),
    ("the news engine fails", "news", 1.0),
    ("a plan of half the tickers", None, 0.5),
    ("cards are missing", "cards", 1.0),
    ("everything is mended", None, 1.0),
)
"""What is played in turn by `NIGHTS=…`: what it is, the name of its trouble, and the part of the tickers."""
NIGHTS_LIMIT = 30


def main(arguments: list[str]) -> int:
    """Runs the job once, on several nights, or resumes a run.

    Returns 0 if everything was done, or if what went wrong was the fault that was asked for; else the job's exit code,
    1 if that is 0, or 2 for wrong arguments.
    """
    parser = argparse.ArgumentParser(
        prog="make run-local",
        usage="make run-local [FAULT=…] [RUN_DATE=…] [RESUME=RUN_ID] [REMAKE='RUN_ID CARD'] [NIGHTS=5] "
        "[REPORT_LANGUAGE=zh] [DETAILS=1]",
        allow_abbrev=False,
    )
    faults = "; ".join(f"{name}: {trouble.what}" for name, trouble in TROUBLES.items())
    parser.add_argument("fault", nargs="?", metavar="FAULT", choices=TROUBLES, help=faults)
    parser.add_argument("--date", metavar="RUN_DATE")
    parser.add_argument("--resume", metavar="RESUME", type=_resume_arguments)
    parser.add_argument("--remake", metavar="REMAKE", type=_remake_arguments)
    parser.add_argument("--nights", metavar="NIGHTS", type=_night_count)
    parser.add_argument("--details", action="store_true", help="show the services, and the variables of the job")
    options = parser.parse_args(arguments)
    if options.nights is not None:
        if options.fault or options.date or options.resume or options.remake:
            parser.error("NIGHTS goes without FAULT, RUN_DATE, RESUME and REMAKE")
        try:
            today = datetime.now(ZoneInfo(os.environ.get("RUN_TIME_ZONE") or "UTC")).date()
        except (OSError, ValueError, LookupError):
            parser.error(f"RUN_TIME_ZONE: {quoted(os.environ['RUN_TIME_ZONE'])} is no time zone, such as Asia/Shanghai")
        return trio.run(_run_nights, options.nights, today)
    if options.resume and options.remake:
        parser.error("RESUME goes without REMAKE")
    recorded = ("resume", *options.resume) if options.resume else ("remake", *options.remake) if options.remake else ()
    return trio.run(_run, TROUBLES.get(options.fault), options.date, recorded, options.details)


def _night_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= NIGHTS_LIMIT:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a number of nights from 1 to {NIGHTS_LIMIT}")
    return int(text)


def _resume_arguments(text: str) -> list[str]:
    """The arguments of the job's `resume`."""
    try:
        run_id, *rest = shlex.split(text) or [""]
    except ValueError:  # a quote is not closed
        run_id, rest = "", []
    if not is_run_id(run_id) or (rest not in ([], ["--new-config"]) and not rest[0].startswith("--without")):
        what = f"{quoted(text)} is none of RUN_ID, 'RUN_ID --new-config' and 'RUN_ID --without TICKER'"
        raise argparse.ArgumentTypeError(f"{what}; the runs are in {RUNS}")
    return [run_id, *rest]


def _remake_arguments(text: str) -> list[str]:
    """The arguments of the job's `remake`, quoted as for a shell."""
    try:
        run_id, *cards = shlex.split(text)
    except ValueError:
        run_id, cards = "", []
    if not is_run_id(run_id) or not cards:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not 'RUN_ID CARD'; the runs are in {RUNS}")
    return [run_id, *cards]


def _sample() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(SAMPLE.glob("*.json"))}


def _environment(world: World, config_uri: str, run_id: str | None, run_date: str) -> dict[str, str]:
    """Every variable of the job."""
    return world.environment(
        CONFIG_URI=config_uri,
        RUNS_URI=str(RUNS),
        RUN_ID=run_id,
        RUN_DATE=run_date,
        RESUME_WITH="make run-local RESUME=",
        TERM=os.environ.get("TERM"),
        **{name: os.environ.get(name) or None for name in PASSED_ON},
    )


async def _honour_keys(world: World, run_id: str) -> list[bool]:
    """The QA engine knows the keys with which the cards of the run were requested: it would return the old pictures.

    Returns a list that gets, for each card that is requested from now on, whether it is a new picture.
    """
    run, identity, is_new = await read_run(open_store(str(RUNS)), run_id), RunIdentity(run_id), list[bool]()
    calls = run.ledger.plan.calls("qa") if run is not None else ()
    known = {identity.idempotency_key(*call.fingerprint) for call in calls}
    work = world.qa.respond

    def respond(request: Seen) -> Any:
        is_new.append(request.headers["idempotency-key"] not in known)
        return work(request)

    world.qa.respond = respond
    return is_new


async def _run(trouble: Trouble | None, run_date: str | None, recorded: tuple[str, ...], details: bool) -> int:
    """Plays a new run, or the command about a `recorded` one, if there is one."""
    binary = emulator_binary()
    config = _sample()
    async with trio.open_nursery() as nursery, open_world(nursery, config, emulator=binary) as world:
        for service in (world.financial, world.trading):
            service.latency = varied(0.3, per_ticker=0.15)
        world.news.latency = varied(0.6)
        world.qa.latency = varied(1.2)
        if trouble:
            trouble.cause(world)
        run_id = recorded[1] if recorded else new_run_id(datetime.now(UTC))
        command = list(recorded) or ["run"]
        is_new = await _honour_keys(world, run_id) if command[0] == "remake" else []
        config_uri = world.config_uri if binary else str(SAMPLE)  # still there if the run is resumed
        if recorded and _report(run_id).get("config_uri") == str(NIGHTS_CONFIG):
            config_uri = str(NIGHTS_CONFIG)
        # As Terraform sets it, the date is today's.
        environment = _environment(world, config_uri, None if recorded else run_id, run_date or "today")
        if details:
            _show_details(world, binary, command, environment)
        if trouble:
            print(f"{trouble.what[0].upper()}{trouble.what[1:]}.\n", file=sys.stderr, flush=True)
        code = await _play(command, environment)
        for violation in world.violations:
            print(f"FORBIDDEN: {violation}", file=sys.stderr)
        if is_new:
            print(
                f"requests for cards {sum(is_new)} with a new key, {is_new.count(False)} with that of before",
                file=sys.stderr,
            )
        is_intended = trouble is not None and _ended_with(trouble.code, code, run_id)
        if trouble and is_intended:
            print(f"exit {code}, as intended: {trouble.seen}", file=sys.stderr)
    if world.violations:
        return code or 1
    return 0 if is_intended else code


def _ended_with(intended: int, code: int, run_id: str) -> bool:
    """Whether the job exited so, and its report says so: a job that crashes exits with 1 as well."""
    return code == intended == _report(run_id).get("exit_code")


async def _run_nights(count: int, today: date) -> int:
    """Plays that many nights in a row, up to the one of today. Returns 0 if each ended as it should."""
    config, ended, to_resume = _sample(), 0, dict[str, str]()
    tickers = json.loads(config["ticker_list.json"])
    shutil.rmtree(NIGHTS_CONFIG, ignore_errors=True)
    NIGHTS_CONFIG.mkdir(parents=True)
    async with trio.open_nursery() as nursery, open_world(nursery, {}) as world:
        for number in range(count):
            what, trouble, part = NIGHTS[number % len(NIGHTS)]
            for service in world.services:
                service.script.clear()
            for service, seconds in ((world.financial, 0.2), (world.trading, 0.2), (world.news, 0.1), (world.qa, 0.3)):
                service.latency = varied(seconds)
            if trouble:
                TROUBLES[trouble].cause(world)
            asked = json.dumps(tickers[: max(1, round(len(tickers) * part))], ensure_ascii=False).encode()
            _write_config(config | {"ticker_list.json": asked})
            night = (today - timedelta(days=count - 1 - number)).isoformat()
            run_id = new_run_id(datetime.now(UTC))
            print(f"\nnight {number + 1} of {count}, {night}: {what}", flush=True)
            code = await _play(["run"], _environment(world, str(NIGHTS_CONFIG), run_id, night))
            if not _ended_with(TROUBLES[trouble].code if trouble else 0, code, run_id):
                ended = code or 1
            if command := _resume_command(run_id, code):
                to_resume[night] = command
            if code >= 128:  # stopped by a signal
                break
    _write_config(config)
    print(f"{'all nights':20} {RUNS / NIGHTS_PAGE}", file=sys.stderr)
    print(f"{'their config':20} {NIGHTS_CONFIG}", file=sys.stderr)
    for night, command in to_resume.items():
        print(f"to resume {night} {command}", file=sys.stderr)
    return ended


def _write_config(objects: Mapping[str, bytes]) -> None:
    for name, content in objects.items():
        (NIGHTS_CONFIG / name).write_bytes(content)


def _show_details(world: World, binary: Path | None, command: list[str], environment: Mapping[str, str]) -> None:
    services = {"metadata server": world.metadata, **{f"{name} engine": world.engines[name] for name in world.engines}}
    for name, service in services.items():
        print(f"{name:17} {service.url}")
    if binary and world.storage:
        print(f"{'storage emulator':17} {world.storage.url} ({binary})")
    else:
        print(f"{'storage':17} a local directory (fake-gcs-server is optional and was not found)")
    print(f"\nThe job, `python -m job {' '.join(command)}`, sees these variables and no other:")
    for name, value in sorted(environment.items()):
        print(f"  {name}={'(a secret)' if name in SECRET else value}")
    print(flush=True)


def _report(run_id: str) -> dict[str, Any]:
    """How the run ended; empty if it has no report."""
    path = RUNS / run_id / REPORT
    report: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return report


def _resume_command(run_id: str, code: int) -> str | None:
    """What resumes a run that ended with this code; `None` if there is nothing to resume."""
    command: str | None = _report(run_id).get("resume_command") if code else None
    return command


async def _play(command: list[str], environment: Mapping[str, str]) -> int:
    """The job on our own standard streams; signals reach it, and we stay until it is gone."""
    # On a terminal Ctrl-C goes to both of us: the job is in the same process group, and passing it on would make it
    # the second one. Anywhere else it is in a group of its own, and hears of every signal through us alone.
    terminal = os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "job", *command], env=environment, cwd=ROOT, start_new_session=not terminal
        )

        async def pass_on() -> None:
            async for number in signals:
                if number == signal.SIGTERM or not terminal:
                    process.send_signal(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pass_on)
            code = await process.wait()
            nursery.cancel_scope.cancel()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
