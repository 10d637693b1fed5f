"""A run in progress says how long it has taken, and when its cards will be done if that can be known."""

from __future__ import annotations

import json
from io import StringIO

import pytest

from job.engines.failures import Cause, Failure
from job.engines.identity import RunIdentity
from job.execution.gauge import Live
from job.ledger.ledger import Ledger
from job.reporting.cloud_log import CloudLogReporter
from job.reporting.screen import Screen
from job.reporting.status import time_status
from job.reporting.stdout import OutputQueue
from job.reporting.terminal import TerminalReporter, _Bars
from job.text.messages import ENGLISH, message
from tests.support.fakes import plan_of, settings_of, target
from tests.support.results import result_of

PLAN = plan_of([target(str(number), engines=()) for number in range(100)], settings_of())


def after(finished: int) -> Live:
    """A run that began 3 s before its first call, and has finished so many cards."""
    live = Live.of(Ledger(PLAN), began=997.0)
    gauge = live.gauges["qa"]
    gauge.began = 1000.0
    for call in list(PLAN.calls("qa"))[:finished]:
        live.ledger.add(result_of(call))
        gauge.finished += 1
    return live


def test_nothing_is_said_of_the_pace_while_no_card_is_made() -> None:
    live = after(0)
    for call in list(PLAN.calls("qa"))[:25]:
        live.ledger.add(result_of(call, Failure(Cause.TRANSPORT, message("connection reset"))))
        live.gauges["qa"].finished += 1
    assert str(time_status(live, 1009.0)) == "12 s elapsed"


def test_the_text_of_the_pace() -> None:
    assert str(time_status(after(0), 1002.4)) == "5 s elapsed"
    assert str(time_status(after(25), 1090)) == (
        "1 min 33 s elapsed; at the present pace the cards are done in 4 min 30 s"
    )
    assert str(time_status(after(100), 1090)) == "1 min 33 s elapsed"


def test_a_terminal_shows_the_pace_below_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, for rich
    monkeypatch.setenv("TERM", "xterm")
    console = Screen(ENGLISH, StringIO(), width=120)
    bars = _Bars(after(25), console, OutputQueue(), lambda: 1090.0)
    bars.start()
    bars.stop()
    assert "1 min 33 s elapsed; at the present pace" in console.file.getvalue()  # type: ignore[attr-defined]


async def test_text_that_is_no_terminal_has_a_line_with_the_pace_and_no_bars(
    capfd: pytest.CaptureFixture[str],
) -> None:
    terminal = TerminalReporter(RunIdentity("r"))
    live = after(25)
    terminal.on_start(live)
    terminal.on_progress(live, 1090.0)
    await terminal.drain(5.0)
    assert capfd.readouterr().out.splitlines() == [
        "run r: 100 cards",
        "cards: 25 of 100 done, 0 failed; 1 min 33 s elapsed; at the present pace the cards are done in 4 min 30 s",
    ]


async def test_the_log_has_a_line_with_the_pace(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log = CloudLogReporter(RunIdentity("r"), None)
    log.on_progress(after(25), 1090.0)
    log.on_progress(after(0), 1000.0)
    await log.drain(5.0)
    known, unknown = (json.loads(line) for line in capfdbinary.readouterr().out.splitlines())
    assert known["event"] == "run.progress"
    assert known["message"] == (
        "cards: 25 of 100 done, 0 failed; 1 min 33 s elapsed; at the present pace the cards are done in 4 min 30 s"
    )
    assert (known["elapsed_seconds"], known["seconds_left"]) == (93, 270)
    assert known["engines"] == {"qa": {"planned": 100, "done": 25, "skipped": 0, "failed": 0}}
    assert unknown["seconds_left"] is None
