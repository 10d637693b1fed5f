"""The time at which all cards will be done is estimated from the pace so far, or not given if it cannot be known."""

import pytest
import trio

from job.engines.answers import Response
from job.execution.progress import REPORT_SECONDS, Progress, report_each_minute
from tests.support.fakes import Asked, Stage, stage, target, well

pytestmark = pytest.mark.usefixtures("autojump_clock")


def cards(count: int, seconds: float, in_flight: int = 4) -> Stage:
    async def answer(asked: Asked) -> Response:
        await trio.sleep(seconds)
        return well(asked)

    return stage(
        [target(str(number), engines=()) for number in range(count)], answer, {"qa": {"concurrency": in_flight}}
    )


async def estimate_after(made: Stage, after: float) -> float | None:
    """The estimate, this long after the start."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.play)
        await trio.sleep(after)
        left = made.live.seconds_left("qa", trio.current_time())
        nursery.cancel_scope.cancel()
    return left


async def test_there_is_no_estimate_before_one_round_of_calls_is_done() -> None:
    assert await estimate_after(cards(400, 10.0), 9.9) is None
    assert await estimate_after(cards(400, 10.0), 10.1) is not None
    assert await estimate_after(cards(3, 10.0), 5.0) is None


async def test_the_estimate_is_reported_once_a_minute() -> None:
    made, seen = cards(400, 10.0), list[float]()
    began = trio.current_time()

    def report(_: Progress, now: float) -> None:
        seen.append(now - began)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(report_each_minute, made.live, report)
        await made.play()
        nursery.cancel_scope.cancel()
    assert seen == pytest.approx([REPORT_SECONDS * minute for minute in range(1, 17)])
