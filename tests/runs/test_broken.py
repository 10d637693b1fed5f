"""A fault of one engine is never taken for a success of another call, and ends the process at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.simulators import broken, do, when
from tests.simulators.service import Fault
from tests.simulators.world import open_world
from tests.support.runs import QUICK, SMALL, at_once, ended, run
from tests.support.world import open_virtual_world

if TYPE_CHECKING:
    import trio
    from trio.testing import MockClock


async def test_a_second_answer_is_not_taken_for_that_of_the_next_batch(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The second answer says success, but the next batch is rejected: no card may be requested."""
    async with open_virtual_world(nursery, SMALL, latency=QUICK) as world:
        second = broken.answer(b'{"message": "Batch processing initiated for 1 tickers."}')
        world.financial.script.append(Fault(when.nth(1), broken.surplus(second)))
        world.financial.script.append(Fault(when.nth(2), do.status(400, after=0.3)))
        outcome = await run(world, 1, FINANCIAL_ENGINE_CONCURRENCY="1", FINANCIAL_ENGINE_BATCH_SIZE="1")
        assert "MSFT after 1 attempt: HTTP 400" in outcome.finished["detail"]
        assert world.qa.requests == []


@contextmanager
def black_hole() -> Iterator[str]:
    """The address of a port that answers no attempt to connect, as its accept queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        queued = [socket.socket() for _ in range(3)]
        try:
            for client in queued:
                client.setblocking(False)
                client.connect_ex(address)
            yield f"http://{address[0]}:{address[1]}"
        finally:
            for client in queued:
                client.close()


@contextmanager
def silent_port() -> Iterator[str]:
    """The address of a port that accepts connections and never sends a byte, not even of TLS."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        host, port = listener.getsockname()
        yield f"https://{host}:{port}"


@pytest.mark.alone
async def test_an_engines_failure_ends_the_process_at_once(nursery: trio.Nursery) -> None:
    """Also while connections to the others are being opened, which no real answer ends."""
    async with open_world(nursery, SMALL, latency=QUICK) as world:
        world.news.script.append(Fault(when.always, do.status(403, {"detail": "no"}, after=0.4)))
        with black_hole() as hole, silent_port() as silent:
            job = await world.start_job(env={"TRADING_ENGINE_URL": hole, "FINANCIAL_ENGINE_URL": silent})
            outcome, gone = await ended(world, job, 1)
        answers = [request.answered for request in world.news.requests if request.answered is not None]
        assert gone - min(answers) < at_once(job)
        assert outcome.stderr == ""
        assert outcome.finished["message"] == "The news engine failed: no card was made"
        assert world.qa.requests == []
