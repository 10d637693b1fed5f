"""However many large answers arrive at once, together they take no more than their budget, and none waits forever."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from job.engines.answer_memory import ANSWERS_LIMIT, AnswerMemory, AnswerShare
from job.engines.answers import LARGE_ANSWER
from job.engines.http_connection import HttpConnection, Network
from job.engines.transport import ANSWER_LIMIT, Response, TransportError
from tests.simulators import broken, when
from tests.simulators.service import Fault, Service
from tests.simulators.wire import Reply

PIECE = 64 * 1024


@pytest.mark.parametrize("size", [ANSWER_LIMIT, ANSWER_LIMIT // 2, 3 * PIECE])
async def test_many_answers_at_once_stay_within_the_budget_and_all_end(size: int, autojump_clock: MockClock) -> None:
    memory, held, peak, ended = AnswerMemory(), 0, 0, 0

    async def read(number: int) -> None:
        nonlocal held, peak, ended
        share, mine = AnswerShare(memory), 0
        while mine < size:
            await trio.sleep(0.01 * (1 + number % 7))
            await share.grow(PIECE)
            mine += PIECE
            held += PIECE
            peak = max(peak, held)
        await trio.sleep(0.5)
        held -= mine
        ended += 1
        share.release()

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(read, number)
    assert ended == 100
    assert min(ANSWERS_LIMIT, 100 * size) * 0.8 < peak <= ANSWERS_LIMIT
    assert memory.free == ANSWERS_LIMIT - ANSWER_LIMIT


@pytest.fixture
async def service(nursery: trio.Nursery) -> AsyncIterator[Service]:
    opened = Service("engine", lambda _seen: Reply(200, b" " * 3 * LARGE_ANSWER))
    await opened.start(nursery)
    yield opened
    await opened.stop()


def connections(count: int) -> list[HttpConnection]:
    """They share memory for one answer only."""
    network = Network(memory=AnswerMemory(ANSWER_LIMIT))
    return [HttpConnection(network) for _ in range(count)]


async def ask(connection: HttpConnection, service: Service) -> Response:
    await connection.open(service.url)
    return await connection.request("POST", f"{service.url}/card/a", {}, None)


async def test_a_large_answer_is_read_on_when_another_one_is_judged(service: Service) -> None:
    first, second = connections(2)
    with trio.fail_after(10):
        answer = await ask(first, service)
        with trio.move_on_after(0.2) as scope:
            await ask(second, service)
        assert scope.cancelled_caught, "there was no memory"
        answer.release()
        answer = await ask(second, service)
        answer.release()
        assert len((await ask(first, service)).body) == 3 * LARGE_ANSWER
    for connection in (first, second):
        await connection.aclose()


async def test_an_answer_that_fails_or_is_cut_off_leaves_its_memory_to_others(service: Service) -> None:
    first, second = connections(2)
    service.script.append(Fault(when.nth(1), broken.huge(ANSWER_LIMIT + 1)))
    service.script.append(Fault(when.nth(2), broken.endless_body(0.01)))
    with trio.fail_after(10):
        with pytest.raises(TransportError):
            await ask(first, service)
        with trio.move_on_after(0.3):
            await ask(first, service)
        assert len((await ask(second, service)).body) == 3 * LARGE_ANSWER
    for connection in (first, second):
        await connection.aclose()


async def test_a_small_answer_needs_no_memory_of_the_budget(service: Service) -> None:
    first, second = connections(2)
    with trio.fail_after(10):
        await ask(first, service)
        service.respond = lambda _seen: Reply(200, b" " * LARGE_ANSWER)
        assert len((await ask(second, service)).body) == LARGE_ANSWER
    for connection in (first, second):
        await connection.aclose()
