"""The terminal shows ids and answers as they are, whatever they hold."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING

import trio
from rich.console import Console

from job.cli import runs
from job.cli.runs import report_command
from job.config.environment import Settings, read_settings
from job.config.faults import Fault
from job.config.schema import LlmConfig
from job.engines.failures import Cause, Failure
from job.execution.events import AttemptStarted, CallFinished
from job.execution.outcome import outcome_of
from job.execution.progress import RunProgress
from job.identity import RunIdentity
from job.messages import message
from job.planning.plan import Plan
from job.planning.targets import Target
from job.records.history import RecordedRun
from job.records.report import build_report
from job.records.timeline import Timeline
from job.reporting import stdout
from job.reporting.terminal import TerminalReporter, _bars
from tests.records.test_record import INPUTS, PLAN

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_looks_like_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = TerminalReporter(RunIdentity("r"))
    terminal.on_faults([Fault("a.json: [0]", '"x:100:y" [red]is not[/] \\', "correct :warning:")])
    terminal.on_notices([message("{item} is there 2 times", item="[bold]:a:[/]")])
    assert capsys.readouterr().out.splitlines() == [
        '✗ a.json: [0]: "x:100:y" [red]is not[/] \\; correct :warning:',
        "! [bold]:a:[/] is there 2 times",
    ]


def test_what_looks_like_markup_is_text_in_a_report_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    told(monkeypatch)
    assert report_command(settings_of(tmp_path), [], Namespace(run_id="r", page=None, missing=False, open=False)) == 0
    assert b"the engine failed for x:100:y: [red]no[/]" in capfdbinary.readouterr().out


def test_an_engine_that_was_not_called_yet_has_no_bound_to_show() -> None:
    plan = Plan((Target("A", "equity", "A", None, (), ("c",)),), LlmConfig(), None, {})
    progress, console = RunProgress(plan, {}), Console(width=120, file=StringIO())
    console.print(_bars(progress))
    progress.engines["qa"].on_event(AttemptStarted(next(plan.calls("qa")), 16))
    console.print(_bars(progress))
    before, after = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert before.rstrip().endswith("none in flight")
    assert after.rstrip().endswith("1 of 16 in flight")


def test_a_report_whose_reader_has_left_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch)
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(stdout, "STDOUT", writing)
    options = Namespace(run_id="r", page=str(tmp_path / "page.html"), missing=False, open=False)
    assert report_command(settings_of(tmp_path), [], options) == 0
    assert (tmp_path / "page.html").read_bytes().startswith(b"<!doctype html>")


def failing(count: int) -> tuple[RunProgress, list[CallFinished]]:
    """The progress of a run of so many cards, and the failure of each."""
    plan = Plan((Target("A", "equity", "A", None, (), tuple(f"c{n}" for n in range(count))),), LlmConfig(), None, {})
    failure = Failure(Cause.DENIED, message("no"), 200)
    calls = plan.calls("qa")
    return RunProgress(plan, {}), [CallFinished(call, failure, 1, 0.0, 1.0, 200, "", 1) for call in calls]


def test_failures_are_shown_as_they_come_and_from_the_21st_on_only_counted(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = TerminalReporter(RunIdentity("r"))
    progress, events = failing(1_500)
    for event in events:
        progress.on_event(event)
        terminal.on_event(event)
    live = capsys.readouterr().out.splitlines()
    assert live[:2] == ["✗ qa A c0: no", "✗ qa A c1: no"]
    assert live[20:] == ["✗ further failures are counted in the bars, and listed by cause at the end"]
    terminal.on_finish(outcome_of(progress, None, None), progress)
    ending = capsys.readouterr().out
    assert ending.count("no\n") == 1
    assert "QA engine: 1,500 cards failed: A c0, A c1, " in ending
    assert "1,500" in ending.splitlines()[1], "in the table"
    assert ending.splitlines()[-1] == "Cards are missing: 0 of 1,500 cards are there, 1,500 failed. (exit code 3)"


def test_the_bars_count_in_the_same_format_and_not_what_was_cut_off() -> None:
    progress, events = failing(1_500)
    cut_off = replace(events[0], failure=Failure(Cause.INTERRUPTED, message("interrupted")))
    for event in [cut_off, *events[1:]]:
        progress.on_event(event)
    console = Console(width=120, file=StringIO())
    console.print(_bars(progress))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0/1,500 done" in shown
    assert "1,499 failed" in shown


def test_a_run_that_did_everything_ends_without_advice(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = TerminalReporter(RunIdentity("run"), "/runs")
    terminal.on_record(INPUTS)
    progress, _ = failing(0)
    terminal.on_finish(outcome_of(progress, None, None), progress)
    shown = capsys.readouterr().out
    assert "resume" not in shown
    assert "page" not in shown


def settings_of(runs: Path) -> Settings:
    return read_settings({"RUNS_URI": str(runs)}, datetime.now(UTC))[0]


def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has any run be read as one that failed."""
    report = build_report(INPUTS, PLAN, Timeline(PLAN)).model_copy(
        update={"sentence": "the engine failed for x:100:y: [red]no[/]"}
    )

    async def read(*_: object) -> RecordedRun:
        await trio.lowlevel.checkpoint()
        return RecordedRun(report, Timeline(PLAN))

    monkeypatch.setattr(runs, "read_run", read)
