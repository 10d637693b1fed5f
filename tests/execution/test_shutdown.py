"""After a shutdown no call starts and no wait goes on; data calls are cut off, cards have a grace period."""

import os
import re
import runpy
import signal
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
import trio

from job.day.result import ShutdownReason
from job.engines.calls import EngineName
from job.execution import shutdown as clocks
from job.execution.shutdown import (
    BUDGETS,
    MOMENT,
    RECORD_SHARE,
    SIGNALS,
    Expiry,
    Shutdown,
    at_deadline,
    on_signals,
)
from job.orchestrator import LAST_LINE_SECONDS
from job.records.lease import LASTS_SECONDS, TRUSTED_SECONDS
from job.records.session import RELEASE_SECONDS
from tests.simulators.job import ROOT
from tests.support.fakes import FOREVER, stage, target

pytestmark = pytest.mark.usefixtures("autojump_clock")

DEADLINE = 10.0


@pytest.mark.parametrize(
    ("engine", "connecting", "late"),
    [
        ("news", DEADLINE + 2.0, 0.0),
        ("qa", DEADLINE + 2.0, 2.0),
        ("qa", FOREVER, BUDGETS[ShutdownReason.DEADLINE].cards),
    ],
)
async def test_no_request_leaves_over_a_connection_that_is_still_being_opened(
    engine: EngineName, connecting: float, late: float, nursery: trio.Nursery
) -> None:
    """The engine's accept queue is full. A call that connects has the grace period, and does not use it."""
    made = stage([target(name) for name in "ABCDEFGH"])
    made.world.connect_seconds[engine] = connecting
    nursery.start_soon(at_deadline, made.shutdown, DEADLINE)
    await made.play()
    nursery.cancel_scope.cancel()
    assert trio.current_time() == pytest.approx(DEADLINE + late, abs=0.01)
    assert made.world.of(engine) == []
    assert made.counts(engine).not_attempted == 8


@pytest.mark.parametrize(
    ("monotonic", "boottime", "passed"), [(9.0, 9.0, False), (10.0, 9.0, True), (9.0, 20.0, True), (10.0, 20.0, True)]
)
async def test_an_expiry_has_passed_as_soon_as_one_of_two_clocks_has_reached_it(
    monotonic: float, boottime: float, passed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = clocks.boottime()
    monkeypatch.setattr(clocks, "boottime", lambda: begun)
    expiry = Expiry.after(10.0)
    await trio.sleep(monotonic)
    monkeypatch.setattr(clocks, "boottime", lambda: begun + boottime)
    assert expiry.has_passed() is passed


def test_without_a_clock_that_counts_sleep_the_monotonic_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    boottime = runpy.run_path(clocks.__file__)["boottime"]
    before = time.monotonic()
    assert before < boottime() < time.monotonic()


@pytest.fixture
def _signal_handlers() -> Iterator[None]:
    """Restores the signal handlers of the tests' own process, in which nohup may ignore SIGHUP."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signal_handlers")
async def test_a_signal_that_comes_just_before_signals_are_handled_is_not_lost(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutdown, receiver = Shutdown(), trio.open_signal_receiver

    def late_receiver(*numbers: int) -> object:
        signal.raise_signal(signal.SIGTERM)
        return receiver(*numbers)

    monkeypatch.setattr(trio, "open_signal_receiver", late_receiver)
    await nursery.start(on_signals, shutdown)
    await trio.testing.wait_all_tasks_blocked()
    assert shutdown.reason is ShutdownReason.SIGTERM
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGTERM, ShutdownReason.SIGTERM),
        (signal.SIGHUP, ShutdownReason.SIGTERM),
        (signal.SIGINT, ShutdownReason.SIGINT),
    ],
)
async def test_each_signal_has_its_reason_and_the_second_one_its_exit_code(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, reason: ShutdownReason
) -> None:
    """A closed terminal sends SIGHUP, often twice; without a handler nothing would be recorded."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    shutdown = Shutdown()
    await nursery.start(on_signals, shutdown)
    signal.raise_signal(number)
    await trio.testing.wait_all_tasks_blocked()
    assert (shutdown.reason, codes) == (reason, [])
    signal.raise_signal(number)
    await trio.testing.wait_all_tasks_blocked()
    assert codes == {signal.SIGTERM: [143], signal.SIGHUP: [], signal.SIGINT: [130]}[number]
    nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("_signal_handlers")
async def test_a_hangup_that_is_ignored_stays_ignored(nursery: trio.Nursery) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    shutdown = Shutdown()
    await nursery.start(on_signals, shutdown)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("_signal_handlers")
async def test_after_the_outcome_is_final_no_signal_ends_the_process() -> None:
    """Also if the handlers are no longer in use; a signal with an effect would end the tests' own process."""
    shutdown = Shutdown()
    async with trio.open_nursery() as nursery:
        await nursery.start(on_signals, shutdown)
        shutdown.is_final = True
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
            await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGTERM)
        nursery.cancel_scope.cancel()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)


async def hangs(scope: trio.CancelScope) -> float:
    """How long a step in which nothing comes to its end lasts: one of the closing, or the cards in flight."""
    began = trio.current_time()
    with scope, trio.move_on_after(1e6):
        await trio.sleep_forever()
    return trio.current_time() - began


async def test_a_step_that_hangs_is_cut_off_when_a_reason_comes_and_begun_again_with_its_seconds(
    nursery: trio.Nursery,
) -> None:
    """The cards in flight go on for theirs. A lower reason changes nothing."""

    async def come(shutdown: Shutdown) -> None:
        for reason in (ShutdownReason.DEADLINE, ShutdownReason.SIGTERM, ShutdownReason.LEASE_LOST):
            await trio.sleep(1.5)
            shutdown.request(reason)

    async def step() -> None:
        begun.append(trio.current_time())
        await trio.sleep_forever()

    closing, at_work, begun = Shutdown(), Shutdown(), list[float]()
    closing.begin_closing()
    nursery.start_soon(come, closing)
    with closing.record:
        await closing.again_after_requests(step)
    assert begun == [0.0, 1.5, 3.0]
    assert trio.current_time() == 3.0 + BUDGETS[ShutdownReason.SIGTERM].closing * RECORD_SHARE
    nursery.start_soon(come, at_work)
    assert await hangs(at_work.cards) == 1.5 + BUDGETS[ShutdownReason.DEADLINE].cards


async def test_once_the_outcome_is_final_every_request_ends_what_is_in_progress(nursery: trio.Nursery) -> None:
    shutdown = Shutdown()
    shutdown.request(ShutdownReason.SIGTERM)
    shutdown.is_final = True

    async def come() -> None:
        await trio.sleep(0.25)
        shutdown.request(ShutdownReason.SIGTERM)

    nursery.start_soon(come)
    with shutdown.until_request(trio.CancelScope()):
        await trio.sleep_forever()
    assert trio.current_time() == 0.25


@pytest.mark.parametrize(("lower", "higher"), list(pairwise([None, *ShutdownReason])))
def test_no_reason_has_more_seconds_than_a_lower_one(lower: ShutdownReason | None, higher: ShutdownReason) -> None:
    """Since the higher one counts."""
    low, high = BUDGETS[lower], BUDGETS[higher]
    assert low.cards >= high.cards
    assert low.closing >= high.closing


async def test_whatever_hangs_all_is_over_before_cloud_run_kills() -> None:
    """And there is time to release the lease, to print the end and to send the message."""
    (left,) = re.findall(
        r"RUN_DEADLINE_SECONDS\W.*task_timeout_seconds - (\d+)\)", (ROOT / "terraform/job.tf").read_text()
    )
    for reason, seconds in ((ShutdownReason.SIGTERM, 10), (ShutdownReason.SIGINT, 10), (ShutdownReason.DEADLINE, left)):
        shutdown, budget, began = Shutdown(), BUDGETS[reason], trio.current_time()
        shutdown.request(reason)
        assert await hangs(shutdown.cards) == budget.cards
        await trio.sleep(1)  # counting a million cards
        shutdown.begin_closing()
        for scope in (shutdown.nights, shutdown.documents, shutdown.record):
            await hangs(scope)
        assert shutdown.seconds_left == pytest.approx(budget.closing / 2)
        assert shutdown.seconds_left >= RELEASE_SECONDS + LAST_LINE_SECONDS + 4 * MOMENT
        await trio.sleep(shutdown.seconds_left)
        assert shutdown.seconds_left == MOMENT, "for a reader that is not behind"
        assert trio.current_time() - began == pytest.approx(budget.cards + budget.closing)
        assert budget.cards + budget.closing < float(seconds) - 0.5


def test_a_record_is_closed_while_the_lease_is_trusted() -> None:
    """And the calls in flight end before another start may take it over."""
    assert BUDGETS[None].closing * RECORD_SHARE <= TRUSTED_SECONDS
    assert TRUSTED_SECONDS + BUDGETS[ShutdownReason.LEASE_LOST].cards < LASTS_SECONDS


async def test_a_bug_in_a_task_beside_the_closing_only_leaves_it_less_time(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        await trio.sleep(0.25)
        raise ZeroDivisionError

    shutdown = Shutdown()
    shutdown.begin_closing()
    nursery.start_soon(shutdown.watch, fail)
    assert await hangs(shutdown.record) == 0.25 + BUDGETS[ShutdownReason.BUG].closing * RECORD_SHARE
    assert "ZeroDivisionError" in caplog.text
    caplog.clear()
