"""Each call is given out once, in its turn, until nothing is left that may ever start."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from job.config.environment import EngineSettings
from job.day.result import ShutdownReason
from job.engines.calls import news
from job.engines.failures import Cause, Failure
from job.execution.availability import Availability, RetryState, Try
from job.execution.progress import EngineProgress
from job.execution.shutdown import Shutdown, ShutdownError
from job.execution.work_queue import ConcurrencyLimiter, PendingCall, RateLimiter, WorkQueue
from job.text.messages import message

pytestmark = pytest.mark.usefixtures("autojump_clock")
DOWN = Failure(Cause.STATUS, message("HTTP 503"), 503)


def piece(name: str, due: float = -inf, failed_at: float = inf, *, waits_for_another: bool = False) -> PendingCall:
    """A call for a target of this name."""
    retry = RetryState(EngineSettings(name="news"), waits_for_another=waits_for_another)
    return PendingCall(news(name, "equity", name, "2026-01-05"), retry, "", due=due, failed_at=failed_at)


def name_of(pending: PendingCall) -> str:
    return pending.call.targets[0]


class Work:
    """A queue of fresh pieces with these names, and what it looks at."""

    def __init__(self, fresh: str = "", limit: int = 4, per_minute: int | None = None) -> None:
        self.engine = Availability("news", 600.0, EngineProgress(), lambda _: None)
        self.limiter, self.shutdown = ConcurrencyLimiter(limit), Shutdown()
        rate = RateLimiter(per_minute)
        self.queue = WorkQueue(map(piece, fresh), self.engine, self.limiter, rate, self.shutdown)
        self.given: list[tuple[str, float]] = []

    def answer(self, failure: Failure | None, others: int = 1) -> None:
        """The engine answers a call that has just begun, while others are in flight."""
        self.engine.update(failure, Try(trio.current_time(), self.engine.streaks), others, self.limiter.limit)

    async def take(self, count: int, seconds: float = 0.0) -> str:
        """The names of the next ones, each of which takes so long."""
        names = ""
        for _ in range(count):
            pending = await self.queue.get()
            await trio.sleep(seconds)
            names += name_of(pending) if pending is not None else "."
            if pending is not None:
                self.queue.task_done()
        return names

    async def play(self, workers: int, seconds: float) -> None:
        """Workers that take every piece, each for so long."""

        async def work() -> None:
            while (pending := await self.queue.get()) is not None:
                self.given.append((name_of(pending), trio.current_time()))
                await trio.sleep(seconds)
                self.queue.task_done()

        async with trio.open_nursery() as nursery:
            for _ in range(workers):
                nursery.start_soon(work)


async def test_a_retry_that_need_not_wait_is_first_then_free_ones_then_fresh_ones_then_the_others() -> None:
    work = Work("xy")
    work.queue.put(piece("free ", due=1.0, failed_at=0.0), piece("not free", due=2.0, failed_at=2.5))
    work.queue.put(piece("at once "))
    await trio.sleep(2.0)
    work.answer(None)
    await trio.sleep(1.0)
    assert await work.take(2) == "at once free "
    work.queue.put_fresh(piece("first half "), piece("second half "))
    assert await work.take(6) == "first half second half xynot free."


async def test_while_the_latest_answer_is_a_failure_fresh_ones_are_first() -> None:
    work = Work("xy")
    work.queue.put(piece("free", due=0.0, failed_at=0.0))
    work.answer(None)
    work.answer(DOWN)
    assert await work.take(4) == "xyfree."


async def test_a_retry_starts_once_it_is_due_though_every_worker_waits() -> None:
    work = Work("x")
    work.queue.put(piece("late", due=9.0, failed_at=0.0), piece("early", due=5.0, failed_at=0.0))
    await work.play(3, seconds=1.0)
    assert work.given == [("x", 0.0), ("early", 5.0), ("late", 9.0)]


async def test_one_that_waits_for_another_starts_as_soon_as_that_is_done_or_never() -> None:
    work = Work("x")
    work.queue.put(piece("held", due=inf, failed_at=0.0, waits_for_another=True))
    assert await work.take(1, seconds=3.0) == "x"
    assert work.queue.has_ended
    work.answer(None)
    assert not work.queue.has_ended
    assert await work.take(2) == "held."


async def test_what_is_put_back_while_another_is_in_flight_is_awaited() -> None:
    work = Work("x")

    async def put_back() -> None:
        await trio.sleep(2)
        work.queue.put(piece("half", failed_at=2.0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put_back)
        await work.play(2, seconds=4.0)
    assert work.given == [("x", 0.0), ("half", 4.0)]


async def test_no_more_are_in_flight_than_the_limit_and_one_after_as_many_failures() -> None:
    work = Work("abcdefgh", limit=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work.play, 8, 10.0)
        await trio.sleep(5)
        assert [name for name, _ in work.given] == [*"abc"]
        for _ in range(3):
            work.answer(DOWN)
        await trio.sleep(6)
        assert [name for name, _ in work.given] == [*"abcd"]
        work.answer(None)
        await trio.sleep(10)
        assert [name for name, _ in work.given] == [*"abcdefg"]


async def test_an_engine_that_is_out_is_asked_after_its_pause() -> None:
    work = Work("abcd", limit=1)
    pauses = []
    for _ in range(4):
        work.answer(DOWN, others=0)
        before = trio.current_time()
        await work.take(1)
        pauses.append(trio.current_time() - before)
    assert pauses == [0.5, 1.0, 2.0, 4.0]


async def test_calls_begin_evenly_spread() -> None:
    work = Work("abcdef", per_minute=30)
    await work.play(4, seconds=0.0)
    moments = [time for _, time in work.given]
    assert [later - earlier for earlier, later in pairwise(moments)] == pytest.approx([2.0] * 5, abs=0.11)


async def test_a_shutdown_ends_every_wait() -> None:
    work, ended = Work(), []
    work.queue.put(piece("later", due=100.0, failed_at=0.0))

    async def wait() -> None:
        with pytest.raises(ShutdownError):
            await work.queue.get()
        ended.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        work.shutdown.request(ShutdownReason.SIGTERM)
    assert ended == [0.0] * 3
    assert [name_of(pending) for pending in work.queue.take(lambda _: True)] == ["later"]


async def test_a_queue_that_is_closed_gives_out_nothing(autojump_clock: MockClock) -> None:
    work = Work("ab")
    await work.take(1)
    work.queue.close()
    assert await work.take(1) == "."
    assert work.queue.fresh() is not None


async def test_what_is_taken_out_does_not_start() -> None:
    work = Work("abc")
    work.queue.put(piece("b", failed_at=0.0), piece("a", failed_at=0.0))
    assert work.queue.fresh() is not None
    assert [name_of(pending) for pending in work.queue.take(lambda pending: name_of(pending) == "a")] == ["a"]
    assert await work.take(4) == "bbc."
