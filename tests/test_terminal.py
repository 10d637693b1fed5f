"""The terminal shows ids and answers as they are, whatever they hold."""

from __future__ import annotations

import os
from io import StringIO
from typing import TYPE_CHECKING

import trio
from rich.console import Console

from job import log, retold
from job.closing import opened
from job.directory import Directory
from job.events import AttemptStarted
from job.faults import Fault
from job.plan import Plan
from job.retold import Told, tell
from job.shapes import Models
from job.tally import Ledger
from job.targets import Target
from job.terminal import Terminal, _bars
from job.timeline import Timeline
from job.trace import Run

from .test_record import INPUTS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_looks_like_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(Run("r"))
    terminal.faults([Fault("a.json: [0]", '"x:100:y" [red]is not[/] \\', "correct :warning:")])
    terminal.notices(["[bold]:a:[/] is there 2 times"])
    assert capsys.readouterr().out.splitlines() == [
        '✗ a.json: [0]: "x:100:y" [red]is not[/] \\; correct :warning:',
        "! [bold]:a:[/] is there 2 times",
    ]


def test_what_looks_like_markup_is_text_in_a_report_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    told(monkeypatch)
    assert tell(Directory(str(tmp_path), make=True), "r", None, in_browser=False) == 0
    assert b"the engine failed for x:100:y: [red]no[/]" in capfdbinary.readouterr().out


def test_an_engine_that_was_not_called_yet_has_no_bound_to_show() -> None:
    plan = Plan((Target("A", "equity", "A", None, (), ("c",)),), Models(), None, {})
    ledger, console = Ledger(plan, {}), Console(width=120, file=StringIO())
    console.print(_bars(ledger))
    ledger.engines["qa"].watch(AttemptStarted(next(plan.calls("qa")), 16))
    console.print(_bars(ledger))
    before, after = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert before.rstrip().endswith("none in flight")
    assert after.rstrip().endswith("1 of 16 in flight")


def test_a_report_whose_reader_has_left_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch)
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(log, "STDOUT", writing)
    assert tell(Directory(str(tmp_path), make=True), "r", str(tmp_path / "page.html"), in_browser=False) == 0
    assert (tmp_path / "page.html").read_bytes().startswith(b"<!doctype html>")


def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has any run be read as one that failed."""
    report = opened(INPUTS).model_copy(update={"sentence": "the engine failed for x:100:y: [red]no[/]"})

    async def read(*_: object) -> Told:
        await trio.lowlevel.checkpoint()
        return Told(report, Timeline())

    monkeypatch.setattr(retold, "read_run", read)
