"""`make run-local`: the whole system on loopback, and the real job as a process of its own."""

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import trio

from job.day.report import NIGHTS_PAGE, REPORT
from job.text.shown import quoted
from tests.simulators import broken, do, when
from tests.simulators.engines import varied
from tests.simulators.job import ROOT
from tests.simulators.seen import Seen
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world

SAMPLE = Path(os.environ.get("RUN_LOCAL_CONFIG") or ROOT / "terraform" / "config").resolve()
RUNS = Path(os.environ.get("RUN_LOCAL_RUNS") or ROOT / ".runs").resolve()
"""Where its days are recorded, pages and all."""
PASSED_ON = ("LOG_FORMAT", "NOTIFY_ONLY", "NOTIFY_SECRET", "NOTIFY_URL", "REPORT_LANGUAGE", "RUN_TIME_ZONE")
"""Variables of the job that it gets from our own environment; where messages go, only if that is asked for."""
PATIENCE = "3"
"""Seconds for which the job waits for an engine that fails: nobody wants to watch twenty minutes of that."""
CUT_OFF_SECONDS = 30.0
"""How long financial and trading take if news is to fail before them: longer than all its attempts."""


@dataclass(frozen=True)
class Said:
    """What the play says. The job's own sentences are in its catalogue, which has none of the tests'."""

    english: str
    chinese: str

    def __str__(self) -> str:
        return self.chinese if os.environ.get("REPORT_LANGUAGE") == "zh" else self.english


@dataclass(frozen=True)
class Trouble:
    """Something that `FAULT=…` lets go wrong."""

    what: Said
    cause: Callable[[World], None]
    code: int
    """How the job has to exit."""
    seen: Said
    """What there was to be seen then."""


def _flaky(world: World) -> None:
    def strikes(seen: Seen) -> bool:
        return seen.attempt == 1 and random.Random(seen.target).random() < 0.1

    for engine in world.engines.values():
        engine.script.append(Fault(strikes, do.status(503)))


def _news_fails_first(world: World) -> None:
    world.news.script.append(Fault(when.ticker("AAPL"), do.body(None)))
    for service in (world.financial, world.trading):
        service.script.append(Fault(when.always, do.meanwhile(partial(trio.sleep, CUT_OFF_SECONDS))))


TROUBLES: Mapping[str, Trouble] = {
    "financial": Trouble(
        Said("the financial engine always answers 503", "财务引擎一直应答 503"),
        lambda world: world.financial.script.append(Fault(when.always, do.status(503))),
        1,
        Said(
            "no card was requested, since the financial engine failed every call, however often it was repeated",
            "财务引擎的请求重试后仍然失败，没有请求任何图卡",
        ),
    ),
    "trading": Trouble(
        Said("the trading engine always fails for MSFT", "交易引擎处理 MSFT 总是失败"),
        lambda world: world.trading.script.append(Fault(when.ticker("MSFT"), do.failing("MSFT"))),
        1,
        Said("no card was requested, and MSFT alone is named", "没有请求任何图卡，只列出了 MSFT"),
    ),
    "news": Trouble(
        Said(
            "the news engine crashes at AAPL (it answers null) while the other data engines are still at work",
            "新闻引擎处理 AAPL 时崩溃（应答 null），此时其他数据引擎还在处理",
        ),
        _news_fails_first,
        1,
        Said(
            "no card was requested, financial and trading were cut off", "没有请求任何图卡，财务和交易引擎的请求被截断"
        ),
    ),
    "qa": Trouble(
        Said("the QA engine resets every connection", "QA 引擎重置每个连接"),
        lambda world: world.qa.script.append(Fault(when.always, broken.reset())),
        3,
        Said(
            "the data is there, and no card was made, since the engine failed every call",
            "数据已就绪；QA 引擎的请求全部失败，没有生成图卡",
        ),
    ),
    "cards": Trouble(
        Said("the QA engine cannot make any card of NVDA", "QA 引擎生成不了 NVDA 的图卡"),
        lambda world: world.qa.script.append(
            Fault(when.ticker("NVDA"), do.body({"status": "failed", "error": "the model refused"}))
        ),
        3,
        Said("only cards of NVDA are missing, all others were made", "只缺 NVDA 的图卡，其余都已生成"),
    ),
    "flaky": Trouble(
        Said(
            "every engine answers 503 to one call in ten, and does it when asked again",
            "每个引擎对十分之一的请求应答 503，重试即成功",
        ),
        _flaky,
        0,
        Said("what failed was done when it was repeated", "失败的请求重试后都成功了"),
    ),
    "token": Trouble(
        Said("the metadata server hands out tokens for another service", "元数据服务器给出其他服务的令牌"),
        lambda world: setattr(world.tokens, "foreign_audience", "https://another-service.run.app"),
        1,
        Said("no card was requested, since the engines refused the tokens", "引擎拒绝了令牌，没有请求任何图卡"),
    ),
}


NIGHTS = (None, "news", None, "cards", None)
"""The trouble of each night that `NIGHTS=…` plays, again and again."""


def main(arguments: list[str]) -> int:
    """Plays a whole night, several nights, or the job's command line on what is recorded.

    Returns 0 if everything was done, or if what went wrong was the fault that was asked for; else the job's exit code,
    1 if that is 0, or 2 for wrong arguments.
    """
    parser = argparse.ArgumentParser(
        prog="make run-local",
        usage="make run-local NIGHTS=5, or [FAULT=…] [ARGS='run --again NVDA']; with [REPORT_LANGUAGE=zh] [NOTIFY=1]",
        allow_abbrev=False,
    )
    faults = "; ".join(f"{name}: {trouble.what.english}" for name, trouble in TROUBLES.items())
    parser.add_argument("fault", nargs="?", metavar="FAULT", choices=TROUBLES, help=faults)
    parser.add_argument("--nights", metavar="NIGHTS", type=int, choices=range(1, 31))
    parser.add_argument("--args", metavar="ARGS", type=_arguments, help="go on with what is recorded, by this command")
    parser.add_argument("--notify", action="store_true", help="send the messages to the NOTIFY_URL of the shell")
    options = parser.parse_args(arguments)
    if not options.notify:
        os.environ.pop("NOTIFY_URL", None)
    play: Callable[[], int] = partial(trio.run, _run, TROUBLES.get(options.fault), options.args or ["run"])
    if options.nights is not None:
        if options.fault or options.args:
            parser.error("NIGHTS goes without FAULT and ARGS")
        try:
            today = datetime.now(ZoneInfo(os.environ.get("RUN_TIME_ZONE") or "UTC")).date()  # noqa: TID251  a tool
        except (OSError, ValueError, LookupError):
            parser.error(f"RUN_TIME_ZONE: {quoted(os.environ['RUN_TIME_ZONE'])} is no time zone, such as Asia/Shanghai")
        play = partial(trio.run, _play_nights, options.nights, today)
    if options.args is None:
        shutil.rmtree(RUNS, ignore_errors=True)
    return play()


def _arguments(text: str) -> list[str]:
    try:
        found = shlex.split(text)
    except ValueError:
        found = []
    if not found:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not the job's command line, such as 'run --again NVDA'")
    return found


def _environment(world: World) -> dict[str, str]:
    """Every variable of the job."""
    chosen = os.environ.get("REPORT_LANGUAGE")
    language = f"REPORT_LANGUAGE={chosen} " if chosen else ""
    return world.environment(
        CONFIG_URI=str(SAMPLE),
        RUNS_URI=str(RUNS),
        START_WITH=f"make run-local {language}ARGS=",
        TERM=os.environ.get("TERM"),
        **{f"{name.upper()}_ENGINE_PATIENCE": PATIENCE for name in world.engines},
        **{name: os.environ.get(name) or None for name in PASSED_ON},
    )


async def _run(trouble: Trouble | None, command: list[str]) -> int:
    """Plays a command on what is recorded. Engines take their usual time."""
    async with trio.open_nursery() as nursery, open_world(nursery, {}) as world:
        code = await _run_in(world, trouble, command)
    return code or bool(world.violations)


async def _run_in(world: World, trouble: Trouble | None, command: list[str], pace: float = 1.0) -> int:
    """Plays a command in this world. Engines take `pace` times their usual time."""
    for service in (world.financial, world.trading):
        service.latency = varied(0.3 * pace, per_ticker=0.15 * pace)
    world.news.latency = varied(0.6 * pace)
    world.qa.latency = varied(1.2 * pace)
    for service in world.services:
        service.script.clear()
    if trouble:
        trouble.cause(world)
    if trouble:
        what = str(trouble.what)
        print(Said(f"{what[0].upper()}{what[1:]}.\n", f"{what}。\n"), file=sys.stderr, flush=True)
    code = await _play(command, _environment(world))
    for violation in world.violations:
        print(f"FORBIDDEN: {violation}", file=sys.stderr)
    reports = sorted(RUNS.glob(f"*/{REPORT}"), key=lambda path: path.stat().st_mtime)
    said = json.loads(reports[-1].read_bytes()) if reports else {}  # a job that crashes exits with 1 as well
    is_intended = trouble is not None and trouble.code == code == said.get("exit_code")
    if trouble and is_intended:
        text = Said(f"exit {code}, as intended: {trouble.seen}", f"退出码 {code}，符合预期：{trouble.seen}")
        print(text, file=sys.stderr)
    return 0 if is_intended else code


async def _play_nights(count: int, today: date) -> int:
    """Plays that many nights in a row, up to the one of today. Returns 0 if each ended as it should."""
    ended = 0
    async with trio.open_nursery() as nursery, open_world(nursery, {}) as world:
        for number in range(count):
            night = (today - timedelta(days=count - 1 - number)).isoformat()
            print(
                Said(f"\nnight {number + 1} of {count}: {night}", f"\n第 {number + 1}/{count} 晚：{night}"), flush=True
            )
            trouble = TROUBLES.get(NIGHTS[number % len(NIGHTS)] or "")
            code = await _run_in(world, trouble, ["run", f"--date={night}", "--yes"], pace=0.25)
            ended = code or ended
            if code >= 128:  # stopped by a signal
                break
    page = RUNS / NIGHTS_PAGE
    print(Said(f"all nights: {page}", f"历次运行：{page}"), file=sys.stderr)
    return ended or bool(world.violations)


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
