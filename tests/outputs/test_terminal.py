"""The terminal shows ids and answers as text, never as commands, and never delays the run; its end says all."""

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from job.config.faults import Fault
from job.day.attempt import Outcome
from job.day.ending import Ending, ending_of
from job.day.ledger import Ledger
from job.day.result import CallResult
from job.engines.failures import CUT_OFF, Cause, Failure
from job.execution.progress import Progress
from job.outputs.log import Reporter, progress_message
from job.outputs.terminal import Screen, Terminal, _bars, as_text
from job.telling.lines import Line
from job.telling.view import View
from job.text.messages import ENGLISH, Message, message
from tests.outputs.ends import KEPT, ends
from tests.outputs.test_stdout import DANGEROUS
from tests.support.days import DAY, SCENES
from tests.support.fakes import plan_of, target
from tests.support.records import report_at, start_at
from tests.support.results import result_of

ONE = plan_of([target("A", ["c"], ())])


def failed(reason: str) -> CallResult:
    """The failure of the one card, with this text."""
    return result_of(next(ONE.calls("qa")), Failure(Cause.STATUS, message("{reason}", reason=reason), 422))


def failing_cards(count: int) -> tuple[Ledger, list[CallResult]]:
    """The ledger of so many cards, and the failure of each."""
    plan = plan_of([target("A", [f"c{number}" for number in range(count)], ())])
    return Ledger(plan), [result_of(call, Failure(Cause.DENIED, message("no"), 200)) for call in plan.calls("qa")]


def view_of(ledger: Ledger, **more: Any) -> View:
    return View(report_at(ending_of(ledger, None), ledger), ledger, **more)


# --- while it runs ---


async def test_nothing_from_outside_reaches_the_terminal_as_a_command(capfd: pytest.CaptureFixture[str]) -> None:
    """Nor what looks like rich's markup or an emoji."""
    outside = f"{DANGEROUS} [red]:warning:[/] \\"
    ledger, text = Ledger(replace(ONE, date=outside)), message("{text}", text=outside)
    terminal = Reporter(Terminal())
    terminal.on_faults([Fault(outside, text, text)])
    terminal.on_message("config.noticed", text)
    terminal.on_message("storage.failed", text)
    terminal.on_start(Progress.of(ledger))
    terminal.on_event(failed(outside))
    ledger.add(failed(outside))
    shown_text = Message(outside.replace("\ud800", ""))
    report = report_at(Ending(Outcome.CARDS_MISSING), Ledger(ledger.plan))  # what is recorded can be encoded
    report = report.model_copy(update={"outcome": Outcome.BUSY, "detail": shown_text, "why": shown_text})
    terminal.on_finish(View(report, ledger, (shown_text, shown_text), (Line(text, below=outside),), outside))
    terminal.on_message("notification.failed", text)
    await terminal.drain(5.0)
    shown = capfd.readouterr().out
    assert shown.replace("\n", "").isprintable()
    assert shown.count("]0;owned") == shown.count("[red]:warning:[/] \\") >= 15


def bars_of(live: Progress) -> str:
    shown = StringIO()
    screen = Screen(ENGLISH, shown, width=120)
    screen.print(_bars(live, screen))
    return shown.getvalue().rstrip()


def test_bars_count_what_was_there_before_and_what_fails_now() -> None:
    """Failures of an earlier attempt are tried again, so a second start does not look finished."""
    ledger, results = failing_cards(1_500)
    for one in results:
        ledger.add(one)
    ledger.add(replace(results[0], done=True, cause=None))
    live = Progress.of(ledger)
    assert "1/1,500 done" in bars_of(live)
    assert "0 failed" in bars_of(live)
    live.engines["qa"].counts.add("failed", 1_200)
    assert bars_of(live).endswith("1,200 failed  0 retried")
    live.engines["qa"].in_flight, live.engines["qa"].limit = 1, 16
    assert bars_of(live).endswith("1 of 16 in flight")


async def test_failures_are_shown_as_they_come(capfd: pytest.CaptureFixture[str]) -> None:
    terminal = Reporter(Terminal())
    ledger, results = failing_cards(30)
    for one in results:
        ledger.add(one)
        terminal.on_event(one)
    await terminal.drain(5.0)
    live = capfd.readouterr().out.splitlines()
    assert live == [f"✗ qa A c{number}: no" for number in range(30)]
    terminal.on_finish(view_of(ledger))
    await terminal.drain(5.0)
    ending = capfd.readouterr().out
    assert ending.count("no\n") == 1
    assert ending.splitlines()[:2] == ["The QA engine failed", "0 of 30 cards made; 30 missing."]


async def test_a_call_that_was_cut_off_is_no_failure(capfd: pytest.CaptureFixture[str]) -> None:
    terminal = Reporter(Terminal())
    terminal.on_event(result_of(next(ONE.calls("qa")), CUT_OFF))
    await terminal.drain(5.0)
    assert capfd.readouterr().out == "", "it is counted at the end"


# --- the progress ---


async def test_text_without_a_terminal_has_no_bars_and_forecasts_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    hundred = plan_of([target(str(number), engines=()) for number in range(100)])
    live = Progress.of(Ledger(hundred), began=997.0)  # 3 s before its first call
    live.engines["qa"].began = 1000.0
    live.engines["qa"].counts.add("done", 25)
    for call in list(hundred.calls("qa"))[:25]:
        live.ledger.add(result_of(call))
    terminal = Reporter(Terminal())
    terminal.on_day(start_at())
    terminal.on_start(live)
    terminal.on_progress(live, 1090.0)
    terminal.on_barrier(live)
    await terminal.drain(5.0)
    assert capfd.readouterr().out.splitlines() == [
        f"{DAY}: 100 cards",
        "cards: 25 of 100 done, 0 failed; 1 min 33 s elapsed",
        "All data is ready",
    ]


def test_while_data_is_missing_the_engines_that_the_cards_wait_for_are_named() -> None:
    live = Progress.of(Ledger(plan_of([target("A"), target("B")])))
    for call in (*live.ledger.plan.calls("financial"), *list(live.ledger.plan.calls("news"))[:1]):
        live.ledger.add(result_of(call))
    assert str(progress_message(live, 90.0)) == "Data phase: trading 0/2, news 1/2; 1 min 30 s elapsed"


# --- the end ---


def test_each_kind_of_day_ends_as_it_was_read() -> None:
    assert ends() == KEPT.read_text(encoding="utf-8"), "this writes it anew: python -m tests.outputs.ends"


def test_a_record_that_lacks_something_is_not_green(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    view = SCENES["all made"]()
    green, yellow = (as_text(replace(view, unrecorded=lacks)).splitlines()[1] for lacks in (None, 3))
    assert "\x1b[32m" in green
    assert "\x1b[33m" in yellow
