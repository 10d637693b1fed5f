"""Which call begins next, and when: what was not tried, then what is due; circuit breaker and limits say when."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest
import trio

from job.engines.calls import BATCHES, Call, EngineName, Item, news, trading
from job.engines.failures import Cause, Failure
from job.execution.circuit_breaker import LATE_TRIES, CircuitBreaker, State
from job.execution.limits import ConcurrencyLimiter
from job.execution.pending_call import PendingCall, Try
from job.execution.progress import EngineProgress
from job.execution.retry_policy import RetryPolicy
from job.execution.shutdown import Shutdown
from job.execution.work_queue import WorkQueue
from job.text.messages import message
from tests.support.fakes import PATIENCE, engine_settings

pytestmark = pytest.mark.usefixtures("autojump_clock")
DOWN, BROKEN, FULL = (Failure(Cause.STATUS, message(f"HTTP {status}"), status) for status in (503, 500, 429))


def call(name: str) -> Call:
    return news(name, "equity", name, "2026-01-05")


def begun(items: Sequence[Item]) -> PendingCall:
    names = [item.target for item in items]
    engine = items[0].engine
    return PendingCall(BATCHES[engine](names) if engine in BATCHES else call(names[0]), "")


def name_of(pending: PendingCall) -> str:
    return "+".join(pending.call.targets)


class Work:
    """A queue of calls with these names, and what it looks at. Of what is drawn at random, it is the first."""

    def __init__(self, *fresh: str, limit: int = 4, per_minute: int | None = None, engine: EngineName = "news") -> None:
        self.random = 0.0
        settings = engine_settings(engine, concurrency=limit, per_minute=per_minute)
        self.policy = RetryPolicy(settings, lambda: self.random)
        self.limiter = ConcurrencyLimiter(limit)
        self.breaker = CircuitBreaker(settings, self.limiter)
        self.progress = EngineProgress()
        self.shutdown = Shutdown()
        work = [call(name).items for name in fresh]
        self.queue = WorkQueue(work, begun, self.policy, self.breaker, self.progress, self.shutdown)

    def put(self, name: str, due: float, *, is_last: bool = False, card_type: str | None = None) -> PendingCall:
        """Puts a call back that has failed."""
        pending = PendingCall(replace(call(name), card_type=card_type), "", is_last=is_last, last_failure=DOWN)
        self.queue.put(pending, due)
        return pending

    def begin(self, card_type: str | None = None) -> Try:
        """A first try begins."""
        latest = Try(trio.current_time(), card_type, is_first=True, sent=True)
        self.limiter.begin(latest)
        self.breaker.begin(latest)
        return latest

    def fail(self, failure: Failure = DOWN, latest: Try | None = None, *, card_type: str | None = None) -> None:
        """A first try fails, which begins now unless it is given."""
        latest = latest or self.begin(card_type)
        latest.ended, latest.failure = trio.current_time(), failure
        latest.kind = failure.kind(self.policy.settings.name, sent=True)
        self.breaker.fail(latest)
        self.limiter.end(latest)

    def succeed(self, latest: Try | None = None, *, card_type: str | None = None) -> bool:
        latest = latest or self.begin(card_type)
        latest.ended = trio.current_time()
        try:
            return self.breaker.succeed(latest)
        finally:
            self.limiter.end(latest)

    async def take(self, count: int, *, ends: bool = True) -> list[str]:
        """The names of the next ones, each of which ends at once."""
        names = []
        for _ in range(count):
            pending = await self.queue.get()
            names.append(name_of(pending) if pending is not None else "-")
            if pending is not None and ends:
                self.progress.in_flight -= 1
        return names


async def test_what_was_not_tried_comes_first_then_last_tries_then_retries_each_when_it_is_due() -> None:
    work = Work(*"vwxyz")
    for name, due in (("second", 1.5), ("first", 1.0), ("third", 50.0)):
        work.put(name, due)
    work.put("last", 1.8, is_last=True)
    await trio.sleep(2.0)
    assert await work.take(5) == [*"zyxwv"], "as they were drawn"
    assert await work.take(5) == ["last", "first", "second", "third", "-"]
    assert trio.current_time() == 50.0


async def test_the_parts_of_a_batch_come_next_one_half_to_its_end_before_the_other() -> None:
    work = Work("x", engine="trading")
    work.queue.put_halves(PendingCall(trading("ABCDEFGH"), ""), is_too_large=True)
    first = await work.queue.get()
    assert first is not None
    assert name_of(first) == "A+B+C+D"
    work.progress.in_flight -= 1
    work.queue.put_halves(first, is_too_large=True)
    assert await work.take(4) == ["A+B", "C+D", "E+F+G+H", "x"]


@pytest.mark.parametrize(
    ("engine", "failure", "pauses"),
    [
        ("news", DOWN, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        ("news", Failure(Cause.STATUS, message(""), 429, retry_after=7.0), [7.0, 14.0, 28.0, 30.0]),
        ("qa", BROKEN, [10.0, 20.0, 30.0, 30.0]),
    ],
)
async def test_an_engine_that_is_out_is_tried_one_call_at_a_time_after_pauses(
    engine: EngineName, failure: Failure, pauses: list[float]
) -> None:
    work = Work(*map(str, range(30)), limit=2, engine=engine)
    for _ in range(2):
        work.fail(failure)
        begun = [trio.current_time()]
        for _ in pauses:
            await work.take(1)
            begun.append(trio.current_time())
            work.fail(failure)
        assert [later - earlier for earlier, later in pairwise(begun)] == pauses
        assert work.succeed(), "the next outage begins like the first"


async def test_a_call_that_began_before_the_first_failure_gives_one_place_back_and_one_after_it_all() -> None:
    work = Work(*"vwxyz", limit=8)
    early = work.begin()
    await trio.sleep(1.0)
    for _ in range(3):
        work.fail()
    assert (await work.take(5, ends=False), work.breaker.failed) == ([*"zyxwv"], 3)
    assert not work.succeed(early)
    assert work.breaker.failed == 2
    await trio.sleep(1.0)
    assert not work.succeed(), "it was not open"
    assert work.breaker.failed == 0
    early = work.begin()
    await trio.sleep(1.0)
    work.fail()
    work.succeed(early)
    assert work.breaker.failing_since == inf, "no failure is left that it could date"


async def test_it_opens_once_half_of_the_places_are_taken_and_nothing_else_is_in_flight_but_outliers() -> None:
    work = Work(limit=4)
    hanging = work.begin()
    for _ in range(2):
        work.fail()
    assert work.breaker.state(trio.current_time()) is State.CLOSED
    work.fail(latest=hanging)
    assert work.breaker.state(trio.current_time()) is State.PROBING
    work = Work("outlier", limit=4)
    work.fail()
    await trio.sleep(1.0)
    work.succeed(card_type="good")
    work.fail()
    work.begin()
    for _ in range(2):
        assert work.breaker.state(trio.current_time()) is State.CLOSED
        work.fail(card_type="good")
    assert work.breaker.state(trio.current_time()) is State.PROBING
    await trio.sleep(work.policy.settings.patience)
    for _ in range(LATE_TRIES):
        work.fail(card_type="good")
    assert await work.take(1) == ["outlier"], "only what is tried of others decides"


async def test_probes_double_while_the_first_one_lives_long() -> None:
    work = Work(*map(str, range(40)), limit=16)
    for _ in range(8):
        work.fail()
    began, begun = trio.current_time(), list[float]()
    with trio.move_on_after(45.0):
        while True:
            await work.take(1, ends=False)
            work.begin()
            begun.append(trio.current_time() - began)
    assert begun == [0.5, 10.5, 20.5, 20.5, *[30.5] * 4, *[40.5] * 8]


async def test_the_calls_of_an_outlier_come_last_but_for_one_in_each_patience_until_one_is_done() -> None:
    work = Work(limit=2)
    for name, card_type in (("a", "bad"), ("b", "bad"), ("c", "good"), ("d", "good"), ("e", "good"), ("f", "bad")):
        work.put(name, 0.0, card_type=card_type)
    work.fail(card_type="bad")
    assert not work.breaker.is_outlier("bad"), "it may be the engine"
    await trio.sleep(1.0)
    work.succeed(card_type="good")
    assert work.breaker.is_outlier("bad")
    assert not work.breaker.is_outlier("good")
    assert await work.take(2) == ["a", "c"], "the first one in a patience"
    await trio.sleep(PATIENCE)
    assert await work.take(3) == ["b", "d", "e"]
    work.put("g", 2 * PATIENCE, card_type="good")
    hanging = work.begin("bad")
    assert (await work.take(2), trio.current_time()) == (["g", "f"], 2 * PATIENCE), "one at a time while others wait"
    work.succeed(hanging, card_type="bad")
    assert not work.breaker.is_outlier("bad")


async def test_after_a_last_try_has_failed_others_are_probes_until_the_engine_does_a_call() -> None:
    work, begun = Work(limit=16), list[float]()
    work.succeed()
    for number in range(8):
        work.put(f"{number}", 0.0, is_last=True)
    for number in range(8):
        await work.take(1)
        begun.append(trio.current_time())
        latest = work.begin()
        if number < 2:
            work.fail(latest=latest)
            work.queue.pause(latest)
        elif number == 4:
            work.succeed()
    assert begun == [0.0, 60.0, 120.0, 130.0, 140.0, 140.0, 140.0, 140.0]


@pytest.mark.parametrize(("deadline", "most"), [(inf, PATIENCE), (800.0, 500.0)])
async def test_last_tries_are_probes_for_a_patience_and_end_by_the_deadline(deadline: float, most: float) -> None:
    work = Work(limit=16)
    work.shutdown.deadline = deadline
    for number in range(30):
        work.put(f"{number}", 0.0, is_last=True)
    for number in range(30):
        await work.take(1)
        assert trio.current_time() == min(60.0 * number, most)
        latest = work.begin()
        latest.is_first = False
        work.fail(latest=latest)
        work.queue.pause(latest)


@pytest.mark.parametrize("limit", [1, 4, 16, 64])
async def test_once_the_patience_is_over_a_few_calls_decide_and_no_more_begin(limit: int) -> None:
    work = Work(*map(str, range(100)), limit=limit)
    for _ in range((limit + 1) // 2):
        work.fail()
    await trio.sleep(work.policy.settings.patience)
    with trio.move_on_after(50.0):
        await work.take(100, ends=False)
    assert work.progress.in_flight == min(limit, LATE_TRIES)
    began = [work.begin() for _ in range(LATE_TRIES)]
    await trio.sleep(1.0)
    for latest in began:
        assert not work.queue.is_down
        work.fail(FULL, latest)
        work.progress.in_flight = 1
    assert await work.take(1) == ["-"]
    assert work.queue.is_down
    work.succeed()
    assert work.breaker.failures_to_go == LATE_TRIES, "another outage is decided anew"


async def test_calls_begin_evenly_spread_and_a_part_of_a_batch_takes_a_place_of_its_own() -> None:
    work, begun = Work(*"abcdef", per_minute=30), list[float]()
    for _ in range(6):
        await work.take(1)
        begun.append(trio.current_time())
    assert [later - earlier for earlier, later in pairwise(begun)] == pytest.approx([2.0] * 5, abs=0.11)
    work = Work(per_minute=30, engine="trading")
    work.queue.put_halves(PendingCall(trading("AB"), ""), is_too_large=True)
    began = trio.current_time()
    assert await work.take(2) == ["A", "B"]
    assert trio.current_time() - began == pytest.approx(2.0, abs=0.2)


async def test_of_many_failed_tries_the_first_and_the_latest_are_listed_and_take_little_memory() -> None:
    await trio.lowlevel.checkpoint()
    pending = PendingCall(call("A"), "")
    for number in range(7):
        reason = message("busy") if number == 2 else message("HTTP {status}", status=503)
        pending.join(Try(float(number)), Failure(Cause.STATUS, reason, 503))
        pending.follow(Try(float(number)), Failure(Cause.STATUS, reason, 503))
    assert (pending.retries, pending.waits) == (7, 7)
    assert [one.started for one in pending.failed_tries] == [0.0, 4.0, 5.0, 6.0]
    assert len({id(one.reason) for one in pending.failed_tries}) == 1
