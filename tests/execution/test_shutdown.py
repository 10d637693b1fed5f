"""After a shutdown no call starts and no wait goes on; data calls are cut off, cards have a grace period."""

import os
import re
import runpy
import signal
import time
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from typing import get_args

import pytest
import trio

from job.day.result import ShutdownReason
from job.engines.answers import Response
from job.engines.calls import EngineName
from job.execution import shutdown as clocks
from job.execution.shutdown import LIMITS, MOMENT, SIGNALS, Expiry, Limits, Shutdown, Stage, at_deadline, on_signals
from job.outputs.message import SEND_SECONDS
from job.records.lease import LASTS_SECONDS, TRUSTED_SECONDS
from tests.simulators.job import ROOT
from tests.support.clocks import MachineClock, machine_clock
from tests.support.fakes import FOREVER, Asked, reply, stage, target, well
from tests.support.fakes import Stage as Played

__all__ = ["machine_clock"]
pytestmark = pytest.mark.usefixtures("autojump_clock")

DEADLINE = 10.0


async def until_the_deadline(made: Played) -> float:
    """Runs it; returns how long after the deadline it ended."""

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(at_deadline, made.shutdown, DEADLINE)
        await made.play()
        nursery.cancel_scope.cancel()
    assert all(asked.time <= begun + DEADLINE for asked in made.world.asked), "a call that started after it"
    return trio.current_time() - begun - DEADLINE


@pytest.mark.parametrize(
    ("engine", "connecting", "late"),
    [
        ("news", DEADLINE + 2.0, 0.0),
        ("qa", DEADLINE + 2.0, 2.0),
        ("qa", FOREVER, LIMITS[ShutdownReason.DEADLINE].cards),
    ],
)
async def test_no_request_leaves_over_a_connection_that_is_still_being_opened(
    engine: EngineName, connecting: float, late: float
) -> None:
    """The engine's accept queue is full. A call that connects has the grace period, and does not use it."""
    made = stage([target(name) for name in "ABCDEFGH"])
    made.world.connect_seconds[engine] = connecting
    assert await until_the_deadline(made) == pytest.approx(late, abs=0.01)
    assert made.world.of(engine) == []
    assert made.counts(engine).not_attempted == 8


async def test_a_call_that_is_cut_off_while_its_connection_is_opened_again_has_failed() -> None:
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
    assert str(finished.reason) == "cut off; the try before it failed: HTTP 500: {}"


async def test_no_request_leaves_if_the_lease_expired_while_the_connection_was_opened(
    machine_clock: MachineClock,
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
    assert made.world.of("qa") == []
    assert made.shutdown.reason is ShutdownReason.LEASE_LOST


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


REASONS = [None, *ShutdownReason]
STAGES = get_args(Stage)


async def hangs(shutdown: Shutdown, stage: Stage) -> tuple[float, float]:
    """The seconds of a stage in which nothing comes to its end, and how long it lasts."""
    began = trio.current_time()
    with trio.move_on_after(1e6), shutdown.stage(stage) as seconds:
        await trio.sleep(min(seconds, SEND_SECONDS) if stage == "message" else 1e9)
    return seconds, trio.current_time() - began


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("reason", ShutdownReason)
async def test_from_when_a_reason_comes_a_stage_has_the_seconds_of_that(
    reason: ShutdownReason, stage: Stage, nursery: trio.Nursery
) -> None:
    """The record is begun again with them. A message is ended at once."""
    shutdown = Shutdown()

    async def comes() -> None:
        await trio.sleep(0.25)
        shutdown.request(reason)

    nursery.start_soon(comes)
    _, took = await hangs(shutdown, stage)
    if stage in {"record", "message"}:
        assert took == 0.25
        assert (await hangs(shutdown, "record"))[1] == LIMITS[reason].record
    else:
        until = min(getattr(LIMITS[None], stage), 0.25 + getattr(LIMITS[reason], stage), 1e6)
        assert took == pytest.approx(until)


async def test_a_message_ends_at_a_second_signal_too(nursery: trio.Nursery) -> None:
    shutdown = Shutdown()
    shutdown.request(ShutdownReason.SIGTERM)

    async def comes() -> None:
        await trio.sleep(0.25)
        shutdown.request(ShutdownReason.SIGTERM)

    nursery.start_soon(comes)
    assert (await hangs(shutdown, "message"))[1] == 0.25


@pytest.mark.parametrize(("lower", "higher"), list(pairwise(REASONS)))
def test_no_reason_has_more_seconds_than_a_lower_one(lower: ShutdownReason | None, higher: ShutdownReason) -> None:
    """Since the higher one counts."""
    assert all(getattr(LIMITS[lower], one.name) >= getattr(LIMITS[higher], one.name) for one in fields(Limits))


async def ending(reason: ShutdownReason) -> tuple[dict[Stage, float], float]:
    """What each stage has from this reason on, which comes while cards are in flight, if all of them hang; the sum."""
    shutdown, took = Shutdown(), dict[Stage, float]()
    shutdown.request(reason)
    for one in STAGES[1:]:
        _, took[one] = await hangs(shutdown, one)
    return took, sum(took.values())


@pytest.mark.parametrize("reason", [ShutdownReason.SIGTERM, ShutdownReason.SIGINT])
async def test_after_a_signal_all_stages_end_before_cloud_run_kills(reason: ShutdownReason) -> None:
    """Whatever hangs, there is time to close the record, to release the lease and to print the end."""
    took, whole = await ending(reason)
    wanted: list[Stage] = ["cards", "record", "release"]
    assert [took[one] for one in wanted] == [getattr(LIMITS[reason], one) for one in wanted]
    assert took["last_line"] >= 0.5
    assert took["failure"] > MOMENT - 1e-6, "for a reader that is not behind"
    assert whole <= LIMITS[reason].all + took["failure"] < 10


async def test_after_the_deadline_all_stages_end_before_cloud_runs_own() -> None:
    (left,) = re.findall(
        r"RUN_DEADLINE_SECONDS\W.*task_timeout_seconds - (\d+)\)", (ROOT / "terraform/job.tf").read_text()
    )
    _, whole = await ending(ShutdownReason.DEADLINE)
    assert whole < int(left)


def test_a_record_is_closed_while_the_lease_is_trusted() -> None:
    """And the calls in flight end before another start may take it over."""
    assert LIMITS[None].record == TRUSTED_SECONDS
    assert TRUSTED_SECONDS + LIMITS[ShutdownReason.LEASE_LOST].cards < LASTS_SECONDS


@pytest.mark.parametrize("stage", STAGES)
async def test_an_ending_goes_on_if_a_task_beside_it_fails(stage: Stage) -> None:
    """A bug in the journal, say, cancels whatever is in progress: calls, but not the closing of the record."""
    shutdown = Shutdown()
    with trio.CancelScope() as scope:
        scope.cancel()
        with shutdown.stage(stage):
            await trio.sleep(0.25)
        assert trio.current_time() == 0.25
    assert scope.cancelled_caught is (stage in {"before_cards", "cards"})
