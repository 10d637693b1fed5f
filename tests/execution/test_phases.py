"""No card is requested before all data calls have succeeded, and every planned call is accounted for."""

import contextlib
import random
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import cycle
from typing import Any

import pytest
import trio

from job.day.result import EngineFailedError, ShutdownReason
from job.engines.answers import Response, TransportError
from job.engines.calls import ALL_ENGINES, DATA_ENGINES, DataEngineName, EngineName
from job.engines.failures import Cause
from job.execution.progress import Progress, report_each_minute
from job.execution.shutdown import LIMITS
from job.text.messages import message
from tests.support.fakes import FOREVER, Asked, Stage, reply, stage, target, well
from tests.support.results import result_of
from tests.support.virtual_time import in_virtual_time

pytestmark = pytest.mark.usefixtures("autojump_clock")

SCHEDULES = 24
"""Of latencies and failures, each from a seed that a failure shows."""


def chance(seed: int, share: float, longest: float = 30.0) -> Any:
    """Engines that take up to `longest` seconds and fail this share of all tries, in every possible way."""
    jitter = random.Random(seed)

    async def script(asked: Asked) -> Response:
        await trio.sleep(jitter.random() * longest)
        if jitter.random() >= share:
            return well(asked)
        failure = jitter.choice([500, 502, 503, 504, 429, 401, "reset", "html", "denied", "hang", "part"])
        if failure == "reset":
            raise TransportError(message("connection reset"))
        if failure == "hang":
            await trio.sleep_forever()
        if failure == "html":
            return Response(200, b"<html>")
        if failure == "part" and asked.engine == "trading":
            first = asked.tickers[0]
            return reply({"results": {name: {"status": "success"} for name in asked.tickers if name != first}})
        if isinstance(failure, int):
            return reply({"detail": "x"}, failure, retry_after=jitter.choice([None, 3.0]))
        return reply({"status": "failed", "message": "no"})

    return script


def random_stage(seed: int, share: float) -> Stage:
    jitter = random.Random(~seed)
    targets = [
        target(
            f"T{number}",
            jitter.sample(["a", "b", "c"], jitter.randint(0 if number else 1, 3)),
            jitter.sample(DATA_ENGINES, jitter.randint(0 if number else 3, 3)),
        )
        for number in range(jitter.randint(1, 12))
    ]
    changes: Mapping[EngineName, dict[str, Any]] = {
        name: {"concurrency": jitter.randint(1, 5), "timeout": 40.0, "attempts": jitter.randint(2, 5)}
        for name in ALL_ENGINES
    }
    changes["financial"]["batch_size"] = changes["trading"]["batch_size"] = jitter.randint(1, 5)
    return stage(targets, chance(seed, share), changes, random.Random(seed).random)


async def ended(made: Stage, *stops: tuple[float, ShutdownReason]) -> float:
    """When it has ended, maybe since a data engine failed."""
    with contextlib.suppress(EngineFailedError):
        await made.play(*stops)
    return trio.current_time()


def test_every_call_is_accounted_for_whenever_the_run_is_stopped() -> None:
    phases_met = set()
    reasons = cycle([ShutdownReason.SIGTERM, ShutdownReason.SIGINT, ShutdownReason.QA_DOWN])
    for seed, reason in zip(range(SCHEDULES), reasons, strict=False):
        made = random_stage(seed, 0.15)
        moment = random.Random(f"stop {seed}").random() * 200

        ended_at = in_virtual_time(partial(ended, made, (moment, reason)))
        stopped_at = moment if ended_at >= moment else FOREVER
        assert ended_at <= stopped_at + min(LIMITS[reason].cards, 40.0) + 1e-6, (
            f"seed {seed}: {ended_at - stopped_at} s too long"
        )
        assert all(asked.time <= stopped_at for asked in made.world.asked), f"seed {seed}: a call after the stop"
        data_at_stop = [asked for asked in made.world.asked if asked.engine != "qa" and asked.cut_off]
        assert all((asked.ended or 0) <= stopped_at for asked in data_at_stop if stopped_at < FOREVER)
        if stopped_at < FOREVER:
            phases_met.add(bool(made.world.of("qa")))
        for event in made.world.finished:
            if event.cause == Cause.INTERRUPTED:
                assert event.tries, f"seed {seed}: failed without having been asked for"
    assert phases_met == {True, False}, "the stops do not meet both phases"


@pytest.mark.parametrize("waiting_for", ["answer", "token", "backoff"])
async def test_a_data_engines_failure_cuts_off_all_others_at_once(waiting_for: str) -> None:
    failing = "news"

    async def script(asked: Asked) -> Response:
        if asked.engine == failing:
            await trio.sleep(7)
            return reply({"detail": "no"}, 400)
        if waiting_for == "backoff":
            await trio.lowlevel.checkpoint()
            return reply({}, 500, retry_after=30.0)
        await trio.sleep_forever()
        raise AssertionError

    async def token(audience: str, _rejected: str | None) -> str:
        await trio.sleep(FOREVER if waiting_for == "token" and failing not in audience else 0)
        return "token"

    made = stage([target(f"T{number}") for number in range(20)], script)
    made.world.token = token
    with pytest.raises(EngineFailedError) as error:
        await made.play()
    assert trio.current_time() == 7
    result = error.value.result
    assert result.engine == failing
    assert str(error.value) == (f"{failing} {', '.join(result.targets)}: HTTP 400: no")
    assert made.world.of("qa") == []
    assert made.cards.not_attempted == made.cards.planned == 20
    causes = {event.cause for event in made.world.finished if not event.done}
    assert causes <= {Cause.STATUS, Cause.INTERRUPTED}


async def test_the_engines_prepare_at_the_same_time() -> None:
    async def script(asked: Asked) -> Response:
        await trio.sleep(10)
        return well(asked)

    made = stage([target("A")], script)
    await made.play()
    assert {asked.engine: asked.time for asked in made.world.asked} == dict.fromkeys(DATA_ENGINES, 0.0) | {"qa": 10.0}


async def test_progress_is_reported_once_a_minute_with_the_time_that_is_left() -> None:
    """It is not known before one round of calls is done."""
    seen = list[tuple[float, float | None]]()

    async def script(asked: Asked) -> Response:
        await trio.sleep(11)
        return well(asked)

    def report(progress: Progress, now: float) -> None:
        seen.append((now, progress.seconds_left("qa", now)))

    made = stage([target(str(number), engines=()) for number in range(40)], script, {"qa": {"concurrency": 4}})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.play)
        nursery.start_soon(report_each_minute, made.live, report)
        await trio.sleep(10.9)
        report(made.live, 10.9)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert seen == [(10.9, None), (60.0, 60.0)]


async def test_two_engines_that_fail_at_the_same_moment_are_one_error() -> None:
    async def script(_: Asked) -> Response:
        await trio.sleep(1)
        return reply({}, 404)

    with pytest.raises(EngineFailedError):
        await stage([target(f"T{number}") for number in range(9)], script).play()


@pytest.mark.parametrize("engine", DATA_ENGINES)
async def test_a_barrier_with_one_item_open_is_not_passed(engine: DataEngineName) -> None:
    made = stage([target("A"), target("B")])
    for other in DATA_ENGINES:
        for call in made.ledger.plan.calls(other):
            if other != engine or "B" not in call.targets:
                made.phases.context.emit(result_of(call))
    assert not made.ledger.is_ready
    with pytest.raises(AssertionError, match="the barrier is closed"):
        await made.phases.generate()
    assert made.world.asked == []
    await made.play()
    assert Counter(asked.engine for asked in made.world.asked) == {engine: 1, "qa": 2}
