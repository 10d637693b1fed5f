"""Each call is given out once, in its turn, until nothing is left; the circuit breaker and both limits say when."""

from itertools import count, pairwise

import pytest
import trio

from job.engines.calls import Call, EngineName, card, news, trading
from job.engines.failures import Cause, Failure, FailureKind
from job.execution.circuit_breaker import CircuitBreaker
from job.execution.progress import EngineProgress, Outages
from job.execution.retry_policy import RetryPolicy, RetryState, Try
from job.execution.shutdown import Shutdown
from job.execution.work_queue import HELD_AT, PendingCall, WorkQueue
from job.text.messages import message
from tests.support.fakes import engine_settings

pytestmark = pytest.mark.usefixtures("autojump_clock")
DOWN, BROKEN, FULL = (Failure(Cause.STATUS, message(f"HTTP {status}"), status) for status in (503, 500, 429))
SLOW = Failure(Cause.TIMEOUT, message(""))


def call(name: str) -> Call:
    """A call for a target of this name; for `a:x`, for the card x."""
    target, _, card_type = name.partition(":")
    return card(target, card_type, "2026-01-05", []) if card_type else news(name, "equity", name, "2026-01-05")


def name_of(pending: PendingCall) -> str:
    return ":".join([*pending.call.targets, *filter(None, [pending.call.card_type])])


class Work:
    """A queue of fresh calls with these names, and what it looks at. Of what is drawn at random, it is the first."""

    def __init__(self, *fresh: str, limit: int = 4, per_minute: int | None = None, engine: EngineName = "news") -> None:
        settings = engine_settings(engine, concurrency=limit, per_minute=per_minute)
        self.policy = RetryPolicy(settings, lambda: self.random)
        self.breaker = CircuitBreaker(self.policy, Outages(settings, EngineProgress(), lambda _: None))
        self.shutdown = Shutdown()
        calls = {tuple(one.items): one for one in map(call, fresh)}
        self.queue = WorkQueue(
            [*calls], lambda items: calls[tuple(items)], lambda: "", self.policy, self.breaker, self.shutdown
        )
        self.given: list[tuple[str, float]] = []
        self.random = 0.0
        self._numbers = count(1000)

    def put(self, name: str, due: float, failure: Failure = DOWN) -> PendingCall:
        """Puts a call back that has failed."""
        pending = PendingCall(call(name), "", RetryState(next(self._numbers)), retries=1, last_failure=failure)
        self.queue.put(pending, due)
        return pending

    def begin(self) -> Try:
        latest = Try(trio.current_time(), sent=True)
        self.breaker.begin(latest)
        return latest

    def fail(self, latest: Try, others: int = 1, failure: Failure = DOWN, retry: RetryState | None = None) -> bool:
        """A try fails, of another call than before unless it is a `retry`. Returns whether it counts."""
        latest.ended = trio.current_time()
        retry = retry or RetryState(next(self._numbers))
        limit = self.queue.limiter.limit
        counts = self.breaker.fail(failure, latest, call("x"), retry, others=others, limit=limit)
        retry.fail(FailureKind.FREE, latest.ended, self.breaker.seconds_out(latest.ended))
        return counts

    def succeed(self, latest: Try) -> bool:
        latest.ended = trio.current_time()
        return self.breaker.succeed(latest)

    async def take(self, count: int) -> list[str]:
        """The names of the next ones, each of which ends at once."""
        names = []
        for _ in range(count):
            pending = await self.queue.get()
            names.append(name_of(pending) if pending is not None else "-")
            if pending is not None:
                self.queue.task_done(pending)
        return names

    async def play(self, workers: int, seconds: float) -> None:
        """Workers that take every call, each for so long."""

        async def work() -> None:
            while (pending := await self.queue.get()) is not None:
                self.given.append((name_of(pending), trio.current_time()))
                await trio.sleep(seconds)
                self.queue.task_done(pending)

        async with trio.open_nursery() as nursery:
            for _ in range(workers):
                nursery.start_soon(work)


async def filled(*fresh: str, limit: int = 4, per_minute: int | None = None, engine: EngineName = "news") -> Work:
    work = Work(*fresh, limit=limit, per_minute=per_minute, engine=engine)
    await work.queue.fill()
    return work


async def test_retries_that_are_due_are_first_those_that_timed_out_last_and_an_open_breaker_prefers_fresh_calls() -> (
    None
):
    work = await filled(*"vwxyz")
    work.put("third", 0.0, SLOW)
    work.put("second", 2.0)
    work.put("first", 1.0)
    await trio.sleep(2.0)
    assert await work.take(3) == ["first", "second", "v"]
    work.fail(work.begin(), others=0)
    work.random = 0.9
    assert await work.take(1) == ["z"], "at random"
    work.put("fourth", 2.0)
    assert await work.take(3) == ["y", "x", "w"]
    assert sorted(await work.take(2)) == ["fourth", "third"]


async def test_a_call_that_timed_out_waits_for_all_fresh_ones_without_losing_time() -> None:
    work = await filled("a", "b")
    slow = work.put("slow", 1.0, SLOW)
    slow.retry.fail(FailureKind.FREE, 0.0, 0.0)
    await trio.sleep(500.0)
    assert await work.take(4) == ["a", "b", "slow", "-"]
    assert slow.retry.first == 499.0


async def test_each_failure_takes_a_place_and_half_of_all_open_it_until_a_call_works_that_began_later() -> None:
    work = await filled(*"abcdefghijkl", limit=4)
    old = work.begin()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work.play, 8, 10.0)
        await trio.sleep(5)
        assert work.fail(work.begin())
        await trio.sleep(6)
        assert len(work.given) == 4 + 3
        assert not work.breaker.is_open
        assert work.fail(work.begin())
        assert work.breaker.is_open
        assert not work.succeed(old), "it began before the first failure"
        assert work.succeed(work.begin())
        assert not work.breaker.is_open


async def test_a_call_fails_for_a_reason_of_its_own_once_another_was_done_since_it_failed_last() -> None:
    work, call = Work(limit=4), RetryState(1)
    await trio.lowlevel.checkpoint()
    assert [work.fail(work.begin(), retry=call) for _ in range(5)] == [True] * 5
    assert len(work.breaker.failed) == 1, "it is the same call"
    work.succeed(work.begin())
    await trio.sleep(1.0)
    assert not work.fail(work.begin(), others=0, retry=call)
    assert work.fail(work.begin(), retry=call), "nothing was done since"


async def test_the_parts_of_a_batch_count_as_one_call_and_have_patience_of_their_own() -> None:
    work = Work(engine="trading", limit=8)
    batch = PendingCall(trading(["A", "B", "C", "D"]), "", RetryState(7))
    for part in batch.split(1, lambda: ""):
        assert work.fail(work.begin(), retry=part.retry)
        await trio.sleep(1.0)
        assert part.retry.first == trio.current_time() - 1.0
    assert len(work.breaker.failed) == 1


async def test_a_429_says_nothing_while_others_are_in_flight() -> None:
    work = Work(limit=2)
    await trio.lowlevel.checkpoint()
    assert not any(work.fail(work.begin(), others=1, failure=FULL) for _ in range(9))
    assert not work.breaker.is_open
    assert work.fail(work.begin(), others=0, failure=FULL)
    assert work.breaker.is_open


async def test_a_refusal_neither_counts_nor_closes_and_the_next_probe_begins_at_once() -> None:
    work = await filled(*"abc", limit=2)
    refused = Failure(Cause.STATUS, message(""), 422)
    assert not work.fail(work.begin(), others=0, failure=refused)
    assert not work.breaker.is_open
    work.fail(work.begin(), others=0)
    await work.take(1)
    at = trio.current_time()
    work.fail(work.begin(), others=0, failure=refused)
    await work.take(1)
    assert (work.breaker.is_open, trio.current_time()) == (True, at)


@pytest.mark.parametrize(
    ("engine", "failure", "pauses"),
    [
        ("news", DOWN, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        ("news", Failure(Cause.STATUS, message(""), 429, retry_after=7.0), [7.0, 14.0, 28.0, 30.0]),
        ("qa", BROKEN, [10.0, 20.0, 30.0, 30.0]),
    ],
)
async def test_an_engine_that_is_out_is_tried_after_its_pause(
    engine: EngineName, failure: Failure, pauses: list[float]
) -> None:
    work = await filled(*map(str, range(16)), limit=2, engine=engine)
    for _ in range(2):
        work.fail(work.begin(), others=0, failure=failure)
        begun = [trio.current_time()]
        for _ in pauses:
            await work.take(1)
            begun.append(trio.current_time())
            work.fail(work.begin(), others=0, failure=failure)
        assert [later - earlier for earlier, later in pairwise(begun)] == pauses
        assert work.succeed(work.begin()), "the next outage begins like the first"


async def test_while_a_probe_hangs_another_begins_each_minute_however_low_the_limit_has_become() -> None:
    work, begun = await filled(*map(str, range(40)), limit=1), list[Try]()
    work.fail(work.begin(), others=0)

    async def hang() -> None:
        await work.queue.get()
        begun.append(work.begin())
        await trio.sleep_forever()

    with trio.move_on_after(590.0):
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(hang)
    assert [probe.started for probe in begun] == [0.5 + 60.0 * minute for minute in range(10)]


async def test_the_patience_of_a_call_stands_still_in_an_outage_that_is_not_short() -> None:
    work, call = Work(limit=1), RetryState(1)
    call.fail(FailureKind.FREE, 0.0, 0.0)

    def over() -> float:
        return work.policy.over(call, work.breaker.seconds_out(trio.current_time()))

    for seconds, before, after in ((59.0, 659.0, 600.0), (300.0, 900.0, 900.0), (60.0, 960.0, 960.0)):
        work.fail(work.begin(), others=0)
        await trio.sleep(seconds)
        probe = work.begin()
        assert over() == before
        await trio.sleep(20.0)
        assert work.succeed(probe)
        assert over() == after, "until the call began that was done"
        await trio.sleep(1.0)


async def test_a_last_try_waits_for_the_end_of_the_patience_which_an_outage_has_moved() -> None:
    work = await filled(engine="qa")
    last = PendingCall(call("T:a"), "", RetryState(1, is_last=True), last_failure=BROKEN)
    last.retry.fail(FailureKind.COUNTED, 0.0, 0.0)
    await trio.sleep(100.0)
    work.queue.put(last, 600.0)
    work.fail(work.begin(), others=0)
    await trio.sleep(400.0)
    assert work.succeed(work.begin())
    assert await work.take(1) == ["T:a"]
    assert trio.current_time() == 1000.0


async def test_no_other_card_of_a_type_begins_while_four_failed_and_none_was_made_unless_nothing_else_is_left() -> None:
    work = await filled(*[f"{number}:{card_type}" for number in range(6) for card_type in "ab"], engine="qa")
    failed = [work.put(f"bad{number}:a", 1000.0) for number in range(HELD_AT)]
    assert await work.take(2) == ["0:b", "1:b"]
    work.queue.finish(failed[0], is_done=False)
    assert await work.take(1) == ["2:b"], "one that has failed for good holds the others too"
    work.queue.finish(failed[1], is_done=True)
    assert await work.take(2) == ["0:a", "1:a"]
    work.put("worse:a", 1000.0)
    work.random = 0.99
    assert await work.take(1) == ["5:a"], "of a type that fails, at random"
    for number in range(HELD_AT):
        work.put(f"worse{number}:a", 1000.0)
    work.random = 0.0
    assert await work.take(4) == ["3:b", "4:b", "5:b", "2:a"]


@pytest.mark.parametrize("is_made", [False, True])
async def test_the_engine_is_not_down_if_what_is_left_failed_before_it_and_none_of_it_was_made_since(
    is_made: bool,
) -> None:
    work = await filled("0:a", engine="qa", limit=1)
    first = work.put("1:a", 0.0)
    if is_made:
        work.queue.finish(first, is_done=True)
    await trio.sleep(1.0)
    work.fail(work.begin(), others=0)
    await trio.sleep(1.0)
    work.put("2:a", 0.0)
    await trio.sleep(700.0)
    work.fail(work.begin(), others=0)
    assert await work.take(3) == ["1:a", "2:a", "-"]
    assert work.queue.is_down is is_made


async def test_a_call_that_hangs_takes_no_place_after_a_minute() -> None:
    """A 429 that came meanwhile has lowered the limit to it."""
    work = await filled(*"abc", limit=4)
    hung = await work.queue.get()
    assert hung is not None
    work.queue.limiter.update(FULL, 2, 0)
    assert work.queue.limiter.limit == 1
    for seconds, name in ((60.0, "b"), (120.0, "c")):
        assert await work.take(1) == [name]
        assert trio.current_time() == pytest.approx(seconds)


async def test_calls_begin_evenly_spread_and_a_batch_that_is_split_takes_no_place_of_its_own() -> None:
    work = await filled(*"abcdef", per_minute=30)
    await work.play(4, seconds=0.0)
    assert [later - earlier for (_, earlier), (_, later) in pairwise(work.given)] == pytest.approx([2.0] * 5, abs=0.11)
    work = await filled(per_minute=30, engine="trading")
    work.queue.batch_size = 1
    work.queue.put(PendingCall(trading(["A", "B", "C"]), ""), 0.0)
    began = trio.current_time()
    assert await work.take(3) == ["A", "B", "C"]
    assert trio.current_time() - began == pytest.approx(4.0, abs=0.2)
