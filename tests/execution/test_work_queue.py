"""Each call is given out once, in its turn, until nothing is left; the circuit breaker and both limits say when."""

from itertools import pairwise
from math import inf

import pytest
import trio

from job.engines.calls import Call, EngineName, card, news, trading
from job.engines.failures import Cause, Failure, FailureKind
from job.execution.circuit_breaker import CircuitBreaker
from job.execution.progress import EngineProgress
from job.execution.retry_policy import RetryPolicy, Try
from job.execution.shutdown import Shutdown
from job.execution.work_queue import HELD_AT, PendingCall, WorkQueue
from job.text.messages import message
from tests.support.fakes import engine_settings

pytestmark = pytest.mark.usefixtures("autojump_clock")
DOWN, BROKEN = (Failure(Cause.STATUS, message(f"HTTP {status}"), status) for status in (503, 500))


def call(name: str) -> Call:
    """A call for a target of this name; for `a:x`, for the card x."""
    target, _, card_type = name.partition(":")
    return card(target, card_type, "2026-01-05", []) if card_type else news(name, "equity", name, "2026-01-05")


def name_of(pending: PendingCall) -> str:
    return ":".join([*pending.call.targets, *filter(None, [pending.call.card_type])])


class Work:
    """A queue of fresh calls with these names, and what it looks at."""

    def __init__(self, *fresh: str, limit: int = 4, per_minute: int | None = None, engine: EngineName = "news") -> None:
        settings = engine_settings(engine, concurrency=limit, per_minute=per_minute)
        self.breaker = CircuitBreaker(RetryPolicy(settings, lambda: 1.0), EngineProgress(), lambda _: None)
        self.shutdown = Shutdown()
        self.queue = WorkQueue(map(call, fresh), lambda: "", settings, self.breaker, self.shutdown)
        self.given: list[tuple[str, float]] = []

    def put(self, name: str, due: float) -> PendingCall:
        """Puts a call back that has failed."""
        pending = PendingCall(call(name), "", retries=1)
        self.queue.put(pending, due)
        return pending

    def begin(self) -> Try:
        latest = Try(trio.current_time(), sent=True)
        self.breaker.begin(latest)
        return latest

    def fail(self, latest: Try, others: int = 1, failure: Failure = DOWN) -> None:
        latest.ended = trio.current_time()
        self.breaker.fail(failure, latest, call("x"), is_retry=False, others=others, limit=self.queue.limiter.limit)

    async def take(self, count: int) -> list[str]:
        """The names of the next ones, each of which ends at once."""
        names = []
        for _ in range(count):
            pending = await self.queue.get()
            names.append(name_of(pending) if pending is not None else "-")
            if pending is not None:
                self.queue.task_done()
        return names

    async def play(self, workers: int, seconds: float) -> None:
        """Workers that take every call, each for so long."""

        async def work() -> None:
            while (pending := await self.queue.get()) is not None:
                self.given.append((name_of(pending), trio.current_time()))
                await trio.sleep(seconds)
                self.queue.task_done()

        async with trio.open_nursery() as nursery:
            for _ in range(workers):
                nursery.start_soon(work)


async def test_retries_that_are_due_are_first_and_last_while_it_is_open() -> None:
    work = Work(*"vwxy")
    work.put("second", 2.0)
    work.put("first", 1.0)
    await trio.sleep(2.0)
    assert await work.take(3) == ["first", "second", "v"]
    work.put("third", 2.0)
    work.fail(work.begin(), others=0)
    assert await work.take(5) == ["w", "x", "y", "third", "-"]


async def test_each_failure_takes_a_place_and_half_of_all_open_it_until_a_call_works_that_began_later() -> None:
    work = Work(*"abcdefghijkl", limit=4)
    old = work.begin()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work.play, 8, 10.0)
        await trio.sleep(5)
        work.fail(work.begin())
        await trio.sleep(6)
        assert len(work.given) == 4 + 3
        assert not work.breaker.is_open
        work.fail(work.begin())
        assert work.breaker.is_open
        assert not work.breaker.succeed(old), "it began before the first failure"
        assert work.breaker.succeed(work.begin())
        assert not work.breaker.is_open


async def test_a_429_says_nothing_while_others_are_in_flight_and_no_retry_opens_it() -> None:
    work = Work(limit=2)
    await trio.lowlevel.checkpoint()
    for _ in range(9):
        work.fail(work.begin(), others=1, failure=Failure(Cause.STATUS, message(""), 429))
    retry = Try(0.0)
    work.breaker.fail(DOWN, retry, call("x"), is_retry=True, others=0, limit=2)
    assert not work.breaker.is_open
    work.fail(work.begin(), others=0, failure=Failure(Cause.STATUS, message(""), 429))
    assert work.breaker.is_open


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
    work = Work(*map(str, range(16)), limit=2, engine=engine)
    for _ in range(2):
        work.fail(work.begin(), others=0, failure=failure)
        begun = [trio.current_time()]
        for _ in pauses:
            await work.take(1)
            begun.append(trio.current_time())
            work.fail(work.begin(), others=0, failure=failure)
        assert [later - earlier for earlier, later in pairwise(begun)] == pauses
        assert work.breaker.succeed(work.begin()), "the next outage begins like the first"


async def test_while_a_probe_hangs_another_begins_each_minute_and_none_after_the_one_that_decides() -> None:
    """However low the limit has become."""
    work, begun = Work(*map(str, range(40)), limit=1), list[Try]()
    work.fail(work.begin(), others=0)

    async def hang() -> None:
        await work.queue.get()
        begun.append(work.begin())
        await trio.sleep_forever()

    with trio.move_on_after(10_000.0):
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(hang)
    assert [probe.started for probe in begun] == [0.5 + 60.0 * minute for minute in range(10)] + [600.0]
    begun[-1].ended = trio.current_time()
    assert work.breaker.is_down(begun[-1], is_final=False)


async def test_no_other_card_of_a_type_begins_while_four_failed_and_none_was_made_unless_nothing_else_is_left() -> None:
    fresh = [f"{number}:{card_type}" for number in range(6) for card_type in "ab"]
    work = Work(*fresh, engine="qa")
    failed = [work.put(f"bad{number}:a", 1000.0) for number in range(HELD_AT)]
    assert await work.take(2) == ["0:b", "1:b"]
    work.queue.finish(failed[0], is_done=False)
    assert await work.take(2) == ["0:a", "2:b"], "at most four of the type are tried"
    work.queue.finish(failed[1], is_done=True)
    assert await work.take(3) == ["1:a", "2:a", "3:a"]
    for number in range(HELD_AT):
        work.put(f"worse{number}:a", 1000.0)
    assert await work.take(5) == ["3:b", "4:b", "5:b", "5:a", "4:a"]


async def test_calls_begin_evenly_spread_and_a_batch_that_is_split_takes_no_place_of_its_own() -> None:
    work = Work(*"abcdef", per_minute=30)
    await work.play(4, seconds=0.0)
    assert [later - earlier for (_, earlier), (_, later) in pairwise(work.given)] == pytest.approx([2.0] * 5, abs=0.11)
    work = Work(per_minute=30, engine="trading")
    work.queue.batch_size = 1
    work.queue.put(PendingCall(trading(["A", "B", "C"]), ""), 0.0)
    began = trio.current_time()
    assert await work.take(3) == ["A", "B", "C"]
    assert trio.current_time() - began == pytest.approx(4.0, abs=0.2)


async def test_only_its_own_wait_for_a_turn_gives_a_call_more_time() -> None:
    """Not that of another part of its batch. An outage that is over does not count."""
    work = Work(engine="trading")
    batch = PendingCall(trading(["A", "B"]), "", tries=1, due=0.0)
    batch.retry.failing.add(FailureKind.FREE, 0.0)
    first, second = batch.split(1, lambda: "")
    work.queue.put(first, 0.0)
    work.fail(work.begin(), others=0)
    await trio.sleep(6.0)
    probe = work.begin()
    probe.ended = trio.current_time()
    assert work.breaker.succeed(probe)
    await trio.sleep(3.0)
    assert await work.take(1) == ["A"]
    assert (first.retry.failing.first, second.retry.failing.first) == (inf, 0.0)
