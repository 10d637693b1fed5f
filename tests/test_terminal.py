"""The terminal shows ids and answers as they are, whatever they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from job.faults import Fault
from job.terminal import Terminal
from job.trace import Run

if TYPE_CHECKING:
    import pytest


def test_what_looks_like_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(Run("r"))
    terminal.faults([Fault("a.json: [0]", '"x:100:y" [red]is not[/] \\', "correct :warning:")])
    terminal.notices(["[bold]:a:[/] is there 2 times"])
    assert capsys.readouterr().out.splitlines() == [
        '✗ a.json: [0]: "x:100:y" [red]is not[/] \\; correct :warning:',
        "! [bold]:a:[/] is there 2 times",
    ]
