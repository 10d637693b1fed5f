"""After a shutdown no call starts and no wait goes on; data calls are cut off, cards have a grace period."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from job.engines.catalog import EngineName
from job.engines.transport import Response
from job.execution import shutdown as clocks
from job.execution.shutdown import SIGNALS, Budget, Expiry, Shutdown, ShutdownReason, at_deadline, on_signals
from tests.support.clocks import MachineClock, machine_clock
from tests.support.fakes import FOREVER, Asked, Script, Stage, reply, stage, target, well

__all__ = ["machine_clock"]

DEADLINE = 10.0


async def until_the_deadline(made: Stage) -> float:
    """Runs it; returns how long after the deadline it ended."""

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(at_deadline, made.shutdown, DEADLINE)
        await made.play()
        nursery.cancel_scope.cancel()
    made.assert_nothing_lost()
    assert all(asked.time <= begun + DEADLINE for asked in made.world.asked), "a call that started after it"
    return trio.current_time() - begun - DEADLINE


def slow(engine: EngineName, seconds: float) -> Script:
    async def answer(asked: Asked) -> Response:
        await trio.sleep(seconds if asked.engine == engine else 0)
        return well(asked)

    return answer


@pytest.mark.parametrize(
    ("engine", "connecting", "late"),
    [("news", DEADLINE + 2.0, 0.0), ("qa", DEADLINE + 2.0, 2.0), ("qa", FOREVER, Budget.GRACE)],
)
async def test_no_request_leaves_over_a_connection_that_is_still_being_opened(
    engine: EngineName, connecting: float, late: float, autojump_clock: MockClock
) -> None:
    """The engine's accept queue is full. A call that connects has the grace period, and does not use it."""
    made = stage([target(name) for name in "ABCDEFGH"])
    made.world.connect_seconds[engine] = connecting
    assert await until_the_deadline(made) == pytest.approx(late, abs=0.01)
    assert made.world.of(engine) == []
    assert made.counts(engine).not_attempted == 8


async def test_a_call_that_is_cut_off_while_its_connection_is_opened_again_has_failed(
    autojump_clock: MockClock,
) -> None:
    async def answer(asked: Asked) -> Response:
        await trio.lowlevel.checkpoint()
        if asked.engine != "news":
            return well(asked)
        made.world.connect_seconds["news"] = FOREVER
        return reply({}, 500)

    made = stage([target("A")], answer)
    assert await until_the_deadline(made) == pytest.approx(0, abs=0.01)
    news = made.counts("news")
    assert (news.failed, news.cut_off, news.not_attempted) == (1, 1, 0)
    (finished,) = [event for event in made.world.finished if event.engine == "news"]
    assert str(finished.reason) == "interrupted, after: HTTP 500: {}"


async def test_no_request_leaves_if_the_lease_expired_while_the_connection_was_opened(
    machine_clock: MachineClock, autojump_clock: MockClock
) -> None:
    made = stage([target(name) for name in "ABCDEFGH"])
    made.world.connect_seconds["qa"] = 2.0
    made.shutdown.no_start_after = Expiry.after(1e6)

    async def suspend() -> None:
        await trio.sleep(1.0)
        machine_clock.slept += 1e6

    async with trio.open_nursery() as nursery:
        nursery.start_soon(suspend)
        await made.play()
    made.assert_nothing_lost()
    assert made.world.of("qa") == []
    assert made.shutdown.reason is ShutdownReason.LEASE_LOST


@pytest.mark.parametrize("engine", ["news", "qa"])
@pytest.mark.parametrize("status", [429, 503])
async def test_no_wait_goes_on_after_a_shutdown(engine: EngineName, status: int, autojump_clock: MockClock) -> None:
    """A call may wait for its next attempt, or the whole engine for capacity."""

    async def answer(asked: Asked) -> Response:
        await trio.sleep(0.1)
        return reply({}, status, retry_after=30.0) if asked.engine == engine else well(asked)

    made = stage([target(name) for name in "ABCDEFGH"], answer, {engine: {"attempts": 20, "batch_size": 1}})
    assert await until_the_deadline(made) == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("engine", ["news", "qa"])
async def test_no_call_starts_after_a_sleep_that_outlasted_the_lease(
    engine: EngineName, machine_clock: MachineClock, autojump_clock: MockClock
) -> None:
    """The first task to wake up may be a worker, long before the lease is due."""
    made = stage([target(f"T{number}") for number in range(30)], slow(engine, 3.0), {engine: {"batch_size": 1}})
    made.shutdown.no_start_after = Expiry.after(1e6)

    async def suspend() -> None:
        await trio.sleep(DEADLINE)
        machine_clock.slept += 1e6

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(suspend)
        await made.play()
    made.assert_nothing_lost()
    assert made.world.of(engine)
    assert all(asked.time <= begun + DEADLINE for asked in made.world.asked), "a call that started after it"
    assert made.shutdown.reason is ShutdownReason.LEASE_LOST


@pytest.mark.parametrize(
    ("monotonic", "boottime", "passed"), [(9.0, 9.0, False), (10.0, 9.0, True), (9.0, 20.0, True), (10.0, 20.0, True)]
)
async def test_an_expiry_has_passed_as_soon_as_one_of_two_clocks_has_reached_it(
    monotonic: float, boottime: float, passed: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = clocks.boottime()
    monkeypatch.setattr(clocks, "boottime", lambda: begun)
    expiry = Expiry.after(10.0)
    await trio.sleep(monotonic)
    monkeypatch.setattr(clocks, "boottime", lambda: begun + boottime)
    assert expiry.has_passed() is passed


def test_the_clock_that_counts_sleep_is_read_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", lambda clock: {time.CLOCK_BOOTTIME: 7.0}[clock])
    assert clocks.boottime() == 7.0


def test_without_a_clock_that_counts_sleep_the_monotonic_clock_is_read() -> None:
    code = "import time; del time.CLOCK_BOOTTIME\nfrom job.execution.shutdown import boottime\nprint(boottime())"
    before = time.monotonic()
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True)
    assert before < float(done.stdout) < time.monotonic()


def no_last_words() -> None:
    """These tests let no second signal through, which would end their own process."""
    raise AssertionError


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
    shutdown, budget, receiver = Shutdown(), Budget(), trio.open_signal_receiver

    def late_receiver(*numbers: int) -> object:
        signal.raise_signal(signal.SIGTERM)
        return receiver(*numbers)

    monkeypatch.setattr(trio, "open_signal_receiver", late_receiver)
    await nursery.start(on_signals, shutdown, budget, no_last_words)
    await trio.testing.wait_all_tasks_blocked()
    assert shutdown.reason is ShutdownReason.SIGTERM
    assert 0 < budget.seconds(FOREVER) <= Budget.OVER
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
    """A closed terminal sends SIGHUP, which without a handler would end the process with nothing recorded."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    shutdown = Shutdown()
    await nursery.start(on_signals, shutdown, Budget(), lambda: None)
    signal.raise_signal(number)
    await trio.testing.wait_all_tasks_blocked()
    assert (shutdown.reason, codes) == (reason, [])
    signal.raise_signal(number)
    await trio.testing.wait_all_tasks_blocked()
    assert codes == [130 if number == signal.SIGINT else 143]
    nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("_signal_handlers")
async def test_a_hangup_that_is_ignored_stays_ignored(nursery: trio.Nursery) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    shutdown = Shutdown()
    await nursery.start(on_signals, shutdown, Budget(), no_last_words)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("_signal_handlers")
async def test_after_the_outcome_is_decided_signals_have_no_effect() -> None:
    """Also if the handlers are no longer in use; a signal with an effect would end the tests' own process."""
    shutdown, budget = Shutdown(), Budget()
    async with trio.open_nursery() as nursery:
        await nursery.start(on_signals, shutdown, budget, no_last_words)
        budget.make_final()
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
            await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGTERM)
        nursery.cancel_scope.cancel()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    assert shutdown.reason is None


async def test_after_a_signal_the_steps_after_the_outcome_share_one_second(autojump_clock: MockClock) -> None:
    budget = Budget()
    budget.on_signal()
    await trio.sleep(2.0)
    budget.make_final()
    assert (budget.seconds(0.5), budget.seconds(10.0)) == (0.5, Budget.LAST_LINE)
    await trio.sleep(0.75)
    assert budget.seconds(10.0) == 0.25
    await trio.sleep(1.0)
    assert budget.seconds(10.0) == 0.0


async def test_the_steps_after_the_outcome_end_in_time_but_always_get_a_moment(autojump_clock: MockClock) -> None:
    budget = Budget()
    budget.on_signal()
    await trio.sleep(Budget.OVER - 0.5)
    budget.make_final()
    assert budget.seconds(10.0) == 0.5
    late = Budget()
    late.on_signal()
    await trio.sleep(Budget.OVER + 1.0)
    late.make_final()
    assert late.seconds(10.0) == pytest.approx(0.1), "for a reader that is not behind"


async def test_without_a_signal_the_steps_after_the_outcome_have_their_full_time(autojump_clock: MockClock) -> None:
    budget = Budget()
    budget.make_final()
    await trio.sleep(20.0)
    assert budget.seconds(10.0) == 10.0
    budget.on_signal()
    assert budget.seconds(10.0) == Budget.LAST_LINE, "a signal that comes before the message"


async def test_a_signal_ends_the_sending_and_nothing_else(autojump_clock: MockClock) -> None:
    budget = Budget()
    budget.make_final()
    with trio.CancelScope() as budget.sending:
        budget.on_signal()
        await trio.sleep(1.0)
    assert budget.sending.cancelled_caught
    assert budget.seconds(0.5) == 0.5
