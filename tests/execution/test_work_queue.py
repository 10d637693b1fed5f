"""Which call begins next, and when; what is concluded from the answers of an engine."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest
import trio

from job.engines.calls import BATCHES, Call, EngineName, Item, news, trading
from job.engines.failures import Cause, Failure
from job.execution.circuit_breaker import LATE_TRIES, CircuitBreaker
from job.execution.limits import ConcurrencyLimiter
from job.execution.pending_call import PendingCall, Try
from job.execution.progress import EngineProgress
from job.execution.retry_policy import RetryPolicy
from job.execution.shutdown import Shutdown
from job.execution.work_queue import FAILURE_WEIGHT, WorkQueue
from job.text.messages import message
from tests.support.fakes import PATIENCE, engine_settings

pytestmark = pytest.mark.usefixtures("autojump_clock")
DOWN, BROKEN, ASKS, REFUSED = (
    Failure(Cause.STATUS, message(f"HTTP {status}"), status, retry_after)
    for status, retry_after in ((503, None), (500, None), (429, 7.0), (422, None))
)


def call(name: str, card_type: str | None = None) -> Call:
    return replace(news(name, "equity", name, "2026-01-05"), card_type=card_type)


def begun(items: Sequence[Item]) -> PendingCall:
    names = [item.target for item in items]
    engine = items[0].engine
    return PendingCall(BATCHES[engine](names) if engine in BATCHES else call(names[0], items[0].card_type), "")


class Work:
    """A queue of calls with these names, and what it looks at. Of what is drawn at random, it is the first."""

    def __init__(
        self,
        *fresh: str,
        limit: int = 4,
        per_minute: int | None = None,
        engine: EngineName = "news",
        card_types: Sequence[str | None] = (None,),
        is_still_out: bool = False,
    ) -> None:
        self.random = 0.0
        settings = engine_settings(engine, concurrency=limit, per_minute=per_minute)
        self.policy = RetryPolicy(settings, lambda: self.random)
        self.limiter = ConcurrencyLimiter(limit)
        self.breaker = CircuitBreaker(settings, self.limiter, is_still_out=is_still_out)
        self.progress = EngineProgress()
        self.shutdown = Shutdown()
        work = [call(name, card_type).items for card_type in card_types for name in fresh]
        self.queue = WorkQueue(work, begun, self.policy, self.breaker, self.progress, self.shutdown)

    def put(
        self, name: str, due: float, *, is_last: bool = False, is_free: bool = False, card_type: str | None = None
    ) -> None:
        """Puts a call back that has failed."""
        pending = PendingCall(call(name, card_type), "", is_last=is_last, last_failure=DOWN)
        self.queue.put(pending, due, is_free=is_free)

    def begin(self) -> Try:
        """A first try begins."""
        latest = Try(trio.current_time(), is_first=True, sent=True)
        self.limiter.begin(latest)
        self.breaker.begin(latest)
        return latest

    def fail(self, failure: Failure = DOWN, latest: Try | None = None, *, left: int = 1_000) -> None:
        """A first try fails, which begins now unless it is given."""
        latest = latest or self.begin()
        latest.ended, latest.failure = trio.current_time(), failure
        latest.kind = failure.kind(self.policy.settings.name, sent=True)
        self.breaker.fail(latest, left)
        self.limiter.end(latest)

    def succeed(self, latest: Try | None = None) -> bool:
        latest = latest or self.begin()
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
            names.append("-" if pending is None else "+".join((*pending.call.targets, pending.call.card_type or "")))
            if pending is not None and ends:
                self.queue.ended(pending.call)
        return [name.removesuffix("+") for name in names]


async def test_what_was_not_tried_comes_first_then_what_was_free_then_the_others_each_when_it_is_due() -> None:
    work = Work(*"vwxyz")
    for name, due in (("second", 1.5), ("first", 1.0), ("third", 50.0)):
        work.put(name, due)
    work.put("last", 1.2, is_last=True)
    work.put("free", 1.8, is_free=True)
    await trio.sleep(2.0)
    assert await work.take(5) == [*"zyxwv"], "as they were drawn"
    assert await work.take(6) == ["free", "first", "last", "second", "third", "-"]
    assert trio.current_time() == 50.0


async def test_the_card_type_comes_next_that_has_the_fewest_tries_in_flight_and_failures_in_a_row() -> None:
    work = Work(*"123456789", card_types="abc", limit=64)
    assert await work.take(6, ends=False) == ["9+a", "9+b", "9+c", "8+a", "8+b", "8+c"]
    work.queue.fail(call("1", "b"), 0.0, is_last=False)
    taken = await work.take(2 * FAILURE_WEIGHT, ends=False)
    assert {name[2:] for name in taken} == {*"ac"}, "a failure is as much as four in flight"
    assert {name[2:] for name in await work.take(3, ends=False)} == {*"abc"}
    work.queue.succeed(call("1", "b"))
    taken = await work.take(FAILURE_WEIGHT + 1, ends=False)
    assert {name[2:] for name in taken} == {"b"}, (
        "a call that is done makes up for it, and comes before types without one"
    )


async def test_the_parts_of_a_batch_come_next_one_half_to_its_end_before_the_other() -> None:
    work = Work("x", engine="trading")
    work.queue.put_halves(PendingCall(trading("ABCDEFGH"), ""), is_too_large=True)
    first = await work.queue.get()
    assert first is not None
    assert first.call.targets == (*"ABCD",)
    work.queue.ended(first.call)
    work.queue.put_halves(first, is_too_large=True)
    assert await work.take(4) == ["A+B", "C+D", "E+F+G+H", "x"]


@pytest.mark.parametrize(
    ("engine", "failure", "pauses"),
    [
        ("news", DOWN, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        ("news", ASKS, [7.0] * 4 + [8.0, 16.0, 30.0, 30.0]),
        ("qa", BROKEN, [10.0, 20.0, 40.0, 60.0, 60.0]),
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


async def test_a_pause_runs_from_the_begin_of_what_failed_and_a_refusal_makes_none() -> None:
    work = Work(*"vwxyz", limit=1, engine="qa")
    hanging = work.begin()
    await trio.sleep(300.0)
    work.fail(BROKEN, hanging)
    assert (await work.take(1), trio.current_time()) == (["z"], 300.0)
    work.fail(REFUSED)
    assert (await work.take(1), trio.current_time()) == (["y"], 300.0)
    assert work.breaker.charged == 1, "as a refusal costs nothing"


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
    assert not work.succeed(), "it was not out"
    assert work.breaker.failed == 0
    early = work.begin()
    await trio.sleep(1.0)
    work.fail()
    work.succeed(early)
    assert work.breaker.failing_since == inf, "no failure is left that it could date"


@pytest.mark.parametrize("left", [1_000, 4])
async def test_it_is_out_once_half_of_what_may_be_in_flight_has_failed_and_nothing_else_is_in_flight(left: int) -> None:
    work = Work("x", limit=4 if left > 4 else 64)
    hanging = work.begin()
    for _ in range(2):
        work.fail(left=left)
    assert not work.breaker.is_out
    assert await work.take(1, ends=False) == ["x"] if left == 4 else work.breaker.places == 1, "none begins meanwhile"
    work.fail(REFUSED, hanging, left=left)
    assert work.breaker.is_out
    assert work.breaker.failing_since == 0.0


async def test_while_a_try_has_no_answer_others_begin_as_seldom_as_four_times_what_one_took_to_fail() -> None:
    for seconds, expected in ((0.0, [0.5, 10.5, 20.5, 30.5]), (5.0, [5.0, 25.0, 45.0, 65.0])):
        work, began, begun = Work(*map(str, range(40)), limit=16), trio.current_time(), list[float]()
        failing = [work.begin() for _ in range(8)]
        await trio.sleep(seconds)
        for latest in failing:
            work.fail(latest=latest)
        for _ in expected:
            await work.take(1, ends=False)
            work.begin()
            begun.append(trio.current_time() - began)
        assert begun == expected


async def test_after_a_last_try_has_failed_others_wait_for_a_minute_or_until_a_later_call_is_done() -> None:
    work, begun = Work(limit=16), list[float]()
    early = work.begin()
    await trio.sleep(1.0)
    for number in range(8):
        work.put(f"{number}", 0.0, is_last=True)
    for number in range(6):
        await work.take(1)
        begun.append(trio.current_time())
        if number < 2:
            work.queue.fail(call("x"), trio.current_time(), is_last=True)
        if number == 0:
            await trio.sleep(1.0)
            work.succeed(early)
        elif number == 1:
            later = work.begin()
            await trio.sleep(20.0)
            work.succeed(later)
    assert begun == [1.0, 61.0, 81.0, 81.0, 81.0, 81.0]


@pytest.mark.parametrize(("deadline", "most"), [(inf, PATIENCE), (800.0, 500.0)])
async def test_last_tries_wait_for_a_patience_at_most_and_end_by_the_deadline(deadline: float, most: float) -> None:
    work = Work(limit=16)
    work.shutdown.deadline = deadline
    for number in range(30):
        work.put(f"{number}", 0.0, is_last=True)
    for number in range(30):
        await work.take(1)
        assert trio.current_time() == min(60.0 * number, most)
        work.queue.fail(call("x"), trio.current_time(), is_last=True)


@pytest.mark.parametrize("limit", [1, 4, 16, 64])
@pytest.mark.parametrize("is_still_out", [False, True])
async def test_once_the_patience_is_over_a_few_tries_decide_and_no_more_begin(
    limit: int, *, is_still_out: bool
) -> None:
    work = Work(*map(str, range(100)), limit=limit, engine="qa", is_still_out=is_still_out)
    if not is_still_out:
        for _ in range((limit + 1) // 2):
            work.fail(BROKEN)
        await trio.sleep(PATIENCE)
    began = trio.current_time()
    with trio.move_on_after(100.0):
        while True:
            await work.take(1, ends=False)
            work.begin()
    assert work.progress.in_flight == min(limit, LATE_TRIES)
    for latest in [*work.limiter.in_flight]:
        work.fail(BROKEN, latest)
    for _ in range(LATE_TRIES - work.progress.in_flight):
        assert not work.breaker.has_failed
        work.fail(BROKEN)
    assert work.breaker.has_failed
    assert trio.current_time() <= work.breaker.fails_by(began)
    assert await work.take(1) == ["-"]
    assert work.queue.is_down
    work.succeed()
    assert not work.breaker.has_failed, "another outage is decided anew"


async def test_what_is_free_has_its_patience_also_if_the_engine_is_still_out() -> None:
    work = Work(*map(str, range(100)), engine="qa", is_still_out=True)
    for _ in range(2 * LATE_TRIES):
        work.fail(DOWN)
    assert not work.breaker.has_failed
    assert work.breaker.over == PATIENCE
    assert await work.take(1) == ["99"]


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
