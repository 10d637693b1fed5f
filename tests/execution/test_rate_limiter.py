"""Connections are opened no faster than the token bucket allows; waiting for one counts towards no other limit."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from job.engines.transport import Response
from job.execution.limits import BURST, PER_SECOND, RateLimiter
from job.execution.shutdown import Expiry, ShutdownReason
from tests.support.clocks import MachineClock, machine_clock
from tests.support.fakes import Asked, Stage, reply, stage, target, well

__all__ = ["machine_clock"]

CARDS = 600


def crowd(seconds: float = 60.0, cards: int = CARDS, in_flight: int = CARDS, **settings: float) -> Stage:
    """A run of this many cards at once, each of which takes this long."""

    async def answer(asked: Asked) -> Response:
        await trio.sleep(seconds)
        return well(asked)

    names = [target(str(number), engines=()) for number in range(cards)]
    return stage(names, answer, {"qa": {"concurrency": in_flight, **settings}})


async def test_a_full_bucket_is_used_at_once_then_its_rate_applies(autojump_clock: MockClock) -> None:
    bucket, now = RateLimiter(3, 10.0), trio.current_time()
    turns = [bucket.reserve() - now for _ in range(6)]
    assert [max(0.0, round(turn, 9)) for turn in turns] == [0, 0, 0, 0.1, 0.2, 0.3]
    await trio.sleep(0.5)  # two came back: the others are still owed
    assert [round(bucket.reserve() - trio.current_time(), 9) > 0 for _ in range(3)] == [False, False, True]
    await trio.sleep(1000)  # it holds no more than it may
    assert [round(bucket.reserve() - trio.current_time(), 9) > 0 for _ in range(4)] == [False, False, False, True]


async def test_connections_are_opened_at_the_rate_of_the_bucket(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    made = crowd()
    await made.play()
    made.assert_nothing_lost()
    times = [asked.time - began for asked in made.world.asked]
    assert times == sorted(times)
    assert sum(time < 1e-6 for time in times) == BURST
    for number, time in enumerate(times[BURST:], 1):
        assert time == pytest.approx(number / PER_SECOND, abs=1e-6)


async def test_a_default_run_never_waits(autojump_clock: MockClock) -> None:
    made = crowd(seconds=0.0, in_flight=16)
    began = trio.current_time()
    await made.play()
    assert trio.current_time() == began
    assert made.cards.done == CARDS


async def test_connections_that_have_to_be_opened_again_wait_as_well(autojump_clock: MockClock) -> None:
    made = crowd(seconds=0.0, cards=2 * BURST, in_flight=1)
    made.world.idle_seconds = -1.0
    began = trio.current_time()
    await made.play()
    assert trio.current_time() - began == pytest.approx(BURST / PER_SECOND, abs=1e-6)


async def test_waiting_does_not_count_towards_attempt_timeout_or_limit(autojump_clock: MockClock) -> None:
    """The last card waits for 0.76 s, longer than its timeout of half a second."""
    made = crowd(seconds=0.4, timeout=0.5)
    await made.play()
    assert made.cards.done == CARDS
    assert {(one.attempts, one.retries) for one in made.world.finished} == {(1, 0)}
    assert max(one.ended - one.started for one in made.world.finished) == pytest.approx(0.4)
    assert max(made.world.peak.values()) < CARDS


async def test_a_full_engine_is_distinguished_from_calls_that_wait_for_their_connections(
    autojump_clock: MockClock,
) -> None:
    """A 429 says that the engine has capacity for the calls it holds; calls that have not reached it do not count."""

    async def answer(asked: Asked) -> Response:
        if made.world.in_flight["qa"] > 100:
            await trio.sleep(0.001)
            return reply({}, 429)
        await trio.sleep(10)
        return well(asked)

    made = stage([target(str(number), engines=()) for number in range(CARDS)], answer, {"qa": {"concurrency": CARDS}})
    with trio.move_on_after(1):
        await made.play()
    assert made.live.gauges["qa"].limit <= 101


async def test_a_shutdown_ends_the_wait_at_once(autojump_clock: MockClock) -> None:
    made = crowd()
    began = trio.current_time()

    async def stop() -> None:
        await trio.sleep(0.5)
        made.shutdown.request(ShutdownReason.SIGTERM, 5.0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        await made.play()
    made.assert_nothing_lost()
    assert trio.current_time() - began == pytest.approx(5.5)
    opened = BURST + int(0.5 * PER_SECOND)
    assert len(made.world.asked) == pytest.approx(opened, abs=1)
    assert made.cards.not_attempted == CARDS - len(made.world.asked)
    assert made.cards.cut_off == len(made.world.asked)


async def test_no_connection_is_opened_once_the_lease_has_expired(
    autojump_clock: MockClock, machine_clock: MachineClock
) -> None:
    """The machine slept while calls waited for their turns: no call starts although no shutdown was requested."""
    made = crowd(seconds=0.3)
    made.shutdown.no_start_after = Expiry.after(50)

    async def sleep() -> None:
        await trio.sleep(0.5)
        machine_clock.slept = 60.0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep)
        await made.play()
    made.assert_nothing_lost()
    assert made.shutdown.reason is ShutdownReason.LEASE_LOST
    assert len(made.world.asked) == pytest.approx(BURST + 0.5 * PER_SECOND, abs=1)
    assert made.cards.done == len(made.world.asked)
