"""The terminal shows ids and answers as they are, whatever they hold."""

from __future__ import annotations

import os
from argparse import Namespace
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
from job.engines.calls import news
from job.execution.events import AttemptStarted, CallFinished
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
    assert report_command(settings_of(tmp_path), [], Namespace(run_id="r", page=None, open=False)) == 0
    assert b"the engine failed for x:100:y: [red]no[/]" in capfdbinary.readouterr().out


def test_a_warning_is_shown_with_its_call(capsys: pytest.CaptureFixture[str]) -> None:
    call = news("A", "equity", "A", None)
    event = CallFinished(call, None, 1, 0.0, 1.0, 200, "00-a-b-01", 4, warning=message("it is [red]odd"))
    TerminalReporter(RunIdentity("r")).on_event(event)
    assert capsys.readouterr().out == "! news A: it is [red]odd\n"


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
    options = Namespace(run_id="r", page=str(tmp_path / "page.html"), open=False)
    assert report_command(settings_of(tmp_path), [], options) == 0
    assert (tmp_path / "page.html").read_bytes().startswith(b"<!doctype html>")


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
