"""The terminal shows ids and answers as text, never as commands, and never delays the run."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING

import pytest
import trio

from job.cli import past
from job.cli.past import report_command
from job.config.environment import Settings, read_settings
from job.config.faults import Fault
from job.config.schema import LlmConfig
from job.engines.calls import news
from job.engines.failures import Cause, Failure
from job.engines.identity import RunIdentity
from job.execution.gauge import Live
from job.ledger.ledger import Ledger
from job.ledger.result import CallResult
from job.planning.plan import Plan
from job.planning.targets import Target
from job.records.past import RecordedRun
from job.report.advice import Step
from job.report.commands import Place
from job.report.outcome import Ending, ExitCode, Outcome, ending_of
from job.reporting import stdout
from job.reporting.screen import Screen
from job.reporting.status import barrier_message
from job.reporting.stdout import OutputQueue
from job.reporting.terminal import TerminalReporter, _Bars, _bars
from job.text.messages import ENGLISH, Message, message
from tests.reporting.test_stdout import DANGEROUS
from tests.support.endings import nothing_called, report_at
from tests.support.results import result_of

if TYPE_CHECKING:
    from pathlib import Path

PLAN_OF_ONE = Plan((Target("A", "equity", "A", None, (), ("c",)),), LlmConfig(), None, {})


def failed(reason: str) -> CallResult:
    """The failure of the one card, with this text."""
    failure = Failure(Cause.STATUS, message("{reason}", reason=reason), 422)
    return result_of(next(PLAN_OF_ONE.calls("qa")), failure, traceparent=RunIdentity("r").traceparent())


def missing(sentence: str) -> Ending:
    return Ending(Outcome.CARDS_MISSING, ExitCode.CARDS_MISSING, message("{text}", text=sentence))


async def test_markup_is_printed_as_text(capfd: pytest.CaptureFixture[str]) -> None:
    terminal = TerminalReporter(RunIdentity("r"))
    terminal.on_faults([Fault("a.json: [0]", Message('"x:100:y" [red]is not[/] \\'), Message("correct :warning:"))])
    terminal.on_notices([message("{item} is there 2 times", item="[bold]:a:[/]")])
    await terminal.drain(5.0)
    assert capfd.readouterr().out.splitlines() == [
        '✗ a.json: [0]: "x:100:y" [red]is not[/] \\; correct :warning:',
        "! [bold]:a:[/] is there 2 times",
    ]


async def test_nothing_from_outside_reaches_the_terminal_as_a_command(capfd: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(replace(PLAN_OF_ONE, date=DANGEROUS))
    terminal = TerminalReporter(RunIdentity(f"r{DANGEROUS}".encode(errors="replace").decode()))
    terminal.on_faults([Fault(DANGEROUS, Message(DANGEROUS), Message(DANGEROUS))])
    terminal.on_notices([message("{item}", item=DANGEROUS)])
    terminal.on_storage(message("{error}", error=DANGEROUS), True)
    terminal.on_start(Live.of(ledger))
    terminal.on_event(failed(DANGEROUS))
    ledger.add(failed(DANGEROUS))
    report = report_at(missing(DANGEROUS), ledger, page=DANGEROUS)
    terminal.on_finish(report, ledger, [Step("resume", message("{text}", text=DANGEROUS), DANGEROUS)])
    await terminal.drain(5.0)
    shown = capfd.readouterr().out
    assert shown.replace("\n", "").isprintable()
    assert shown.count("]0;owned") >= 11


async def test_calls_that_a_stopped_terminal_does_not_take_are_counted(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OutputQueue, "is_full", True)
    terminal = TerminalReporter(RunIdentity("r"))
    terminal.on_event(failed("no"))
    terminal.on_event(result_of(next(PLAN_OF_ONE.calls("qa")), warning=message("it is odd")))
    terminal.on_event(result_of(next(PLAN_OF_ONE.calls("qa"))))
    terminal.on_notices([message("this is shown")])
    terminal.on_finish(report_at(missing("Cards are missing.")), nothing_called(), ())
    await terminal.drain(5.0)
    assert capfd.readouterr().out.splitlines() == [
        "! this is shown",
        "! 2 calls that failed or have a warning were not shown when they ended: the terminal had stopped",
        "Cards are missing. (exit code 3)",
    ]


def test_bars_are_not_drawn_while_the_terminal_is_behind_but_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutputQueue, "is_behind", True)
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, for rich
    monkeypatch.setenv("TERM", "xterm")
    shown = StringIO()
    console = Screen(ENGLISH, shown, width=120)
    bars = _Bars(Live.of(Ledger(PLAN_OF_ONE)), console, OutputQueue(), time.monotonic)
    bars.start()
    bars.refresh()
    assert "0/1 done" not in shown.getvalue()
    monkeypatch.setattr(OutputQueue, "is_behind", False)
    bars.refresh()
    assert shown.getvalue().count("0/1 done") == 1
    monkeypatch.setattr(OutputQueue, "is_behind", True)
    bars.stop()
    assert shown.getvalue().count("0/1 done") == 2


def test_markup_in_a_report_is_printed_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    read_failed_run(monkeypatch)
    options = Namespace(run_id="r", page=None, missing=False, csv=None, open=False)
    assert report_command(settings_of(tmp_path), [], options, datetime.now(UTC)) == 0
    assert b"the engine failed for x:100:y: [red]no[/]" in capfdbinary.readouterr().out


async def test_a_warning_is_shown_with_its_call(capfd: pytest.CaptureFixture[str]) -> None:
    call = news("A", "equity", "A", None)
    terminal = TerminalReporter(RunIdentity("r"))
    terminal.on_event(result_of(call, warning=message("it is [red]odd")))
    await terminal.drain(5.0)
    assert capfd.readouterr().out == "! news A: it is [red]odd\n"


def test_an_engine_without_a_call_in_flight_shows_no_limit() -> None:
    live, console = Live.of(Ledger(PLAN_OF_ONE)), Screen(ENGLISH, StringIO(), width=120)
    console.print(_bars(live, console))
    live.gauges["qa"].in_flight, live.gauges["qa"].limit = 1, 16
    console.print(_bars(live, console))
    live.gauges["qa"].in_flight = 0
    console.print(_bars(live, console))
    before, during, after = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert during.rstrip().endswith("1 of 16 in flight")
    assert all(line.rstrip().endswith("none in flight") for line in (before, after))


def test_a_report_whose_reader_has_left_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_failed_run(monkeypatch)
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(stdout, "STDOUT", writing)
    options = Namespace(run_id="r", page=str(tmp_path / "page.html"), missing=False, csv=None, open=False)
    assert report_command(settings_of(tmp_path), [], options, datetime.now(UTC)) == 0
    assert (tmp_path / "page.html").read_bytes().startswith(b"<!doctype html>")


def failing(count: int) -> tuple[Ledger, list[CallResult]]:
    """The ledger of a run of so many cards, and the failure of each."""
    plan = Plan((Target("A", "equity", "A", None, (), tuple(f"c{n}" for n in range(count))),), LlmConfig(), None, {})
    failure = Failure(Cause.DENIED, message("no"), 200)
    return Ledger(plan), [result_of(call, failure) for call in plan.calls("qa")]


async def test_failures_are_shown_as_they_come_and_from_the_21st_on_only_counted(
    capfd: pytest.CaptureFixture[str],
) -> None:
    terminal = TerminalReporter(RunIdentity("r"))
    ledger, results = failing(1_500)
    for one in results:
        ledger.add(one)
        terminal.on_event(one)
    await terminal.drain(5.0)
    live = capfd.readouterr().out.splitlines()
    assert live[:2] == ["✗ qa A c0: no", "✗ qa A c1: no"]
    assert live[20:] == ["✗ further failures are counted in the bars, and listed by cause at the end"]
    terminal.on_finish(report_at(ending_of(ledger, None), ledger), ledger, ())
    await terminal.drain(5.0)
    ending = capfd.readouterr().out
    assert ending.count("no\n") == 1
    assert "QA engine: 1,500 cards failed: A c0, A c1, " in ending
    assert "1,500" in ending.splitlines()[1], "in the table"
    assert ending.splitlines()[-1] == "Cards are missing: 0 of 1,500 cards are there, 1,500 failed. (exit code 3)"


async def test_the_table_at_the_end_of_a_resume_counts_the_whole_run(capfd: pytest.CaptureFixture[str]) -> None:
    terminal = TerminalReporter(RunIdentity("r"))
    ledger, results = failing(3)
    ledger.add(replace(results[0], done=True, cause=None, reason=None))
    ledger.begin()
    ledger.add(results[1])
    terminal.on_finish(report_at(ending_of(ledger, None), ledger), ledger, ())
    await terminal.drain(5.0)
    heading, row = capfd.readouterr().out.splitlines()[:2]
    shown = dict(zip(heading.replace("not attempted", "not_attempted").split(), row.split(), strict=False))
    assert (shown["calls"], shown["done"], shown["failed"], shown["not_attempted"]) == ("2", "1", "1", "1")


def test_the_bars_count_in_the_same_format_and_not_what_was_cut_off() -> None:
    ledger, results = failing(1_500)
    for one in [replace(results[0], cause=Cause.INTERRUPTED), *results[1:]]:
        ledger.add(one)
    console = Screen(ENGLISH, StringIO(), width=120)
    console.print(_bars(Live.of(ledger), console))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0/1,500 done" in shown
    assert "1,499 failed" in shown


def test_a_resume_that_has_no_card_left_does_not_say_that_it_generates_cards() -> None:
    ledger = Ledger(PLAN_OF_ONE)
    assert str(barrier_message(ledger)) == "all data is ready; generating cards"
    ledger.add(result_of(next(PLAN_OF_ONE.calls("qa"))))
    ledger.begin()
    assert str(barrier_message(ledger)) == "all data is ready; no card is left to generate"


def settings_of(runs: Path) -> Settings:
    return read_settings({"RUNS_URI": str(runs)}, datetime.now(UTC))[0]


def read_failed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `read_run` return a failed run, whatever is asked for."""
    ledger = Ledger(PLAN_OF_ONE)
    report = report_at(missing("the engine failed for x:100:y: [red]no[/]"), ledger)

    async def read(*_: object) -> RecordedRun:
        await trio.lowlevel.checkpoint()
        return RecordedRun(report, ledger, Place())

    monkeypatch.setattr(past, "read_run", read)
