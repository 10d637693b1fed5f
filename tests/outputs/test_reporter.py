"""A run in progress says how long it has taken, and when its cards will be done if that can be known."""

import pytest

from job.day.ledger import Ledger
from job.engines.failures import Cause, Failure
from job.execution.progress import Progress
from job.outputs.log import Reporter, progress_message, time_status
from job.outputs.terminal import Terminal
from job.text.messages import message
from tests.support.fakes import plan_of, target
from tests.support.records import DAY, start_at
from tests.support.results import result_of

PLAN = plan_of([target(str(number), engines=()) for number in range(100)])
PACE = "1 min 33 s elapsed; at the present pace the cards are done in 4 min 30 s"


def after(finished: int) -> Progress:
    """A run that began 3 s before its first call, at second 1000, and has finished so many cards."""
    live = Progress.of(Ledger(PLAN), began=997.0)
    progress = live.engines["qa"]
    progress.began = 1000.0
    progress.counts.add("done", finished)
    for call in list(PLAN.calls("qa"))[:finished]:
        live.ledger.add(result_of(call))
    return live


def test_nothing_is_said_of_the_pace_while_no_card_is_made() -> None:
    live = after(0)
    for call in list(PLAN.calls("qa"))[:25]:
        live.ledger.add(result_of(call, Failure(Cause.TRANSPORT, message("connection reset"))))
        live.engines["qa"].counts.add("failed")
    assert str(time_status(live, 1009.0)) == "12 s elapsed"


def test_the_text_of_the_pace() -> None:
    assert str(time_status(after(0), 1002.4)) == "5 s elapsed"
    assert str(time_status(after(25), 1090)) == PACE
    assert str(time_status(after(100), 1090)) == "1 min 33 s elapsed"


async def test_text_that_is_no_terminal_has_a_line_with_the_pace_and_no_bars(
    capfd: pytest.CaptureFixture[str],
) -> None:
    terminal = Reporter(Terminal())
    live = after(25)
    terminal.on_day(start_at())
    terminal.on_start(live)
    terminal.on_progress(live, 1090.0)
    terminal.on_barrier(live)
    await terminal.drain(5.0)
    assert capfd.readouterr().out.splitlines() == [
        f"{DAY}: 100 cards",
        f"cards: 25 of 100 done, 0 failed; {PACE}",
        "All data is ready",
    ]


def test_while_data_is_missing_the_engines_that_the_cards_wait_for_are_named() -> None:
    live = Progress.of(Ledger(plan_of([target("A"), target("B")])))
    for call in (*live.ledger.plan.calls("financial"), *list(live.ledger.plan.calls("news"))[:1]):
        live.ledger.add(result_of(call))
    assert str(progress_message(live, 90.0)) == "Data phase: trading 0/2, news 1/2; 1 min 30 s elapsed"
