"""Blocking requests run in a few threads; an urgent one does not wait for others, nor a later one for all of them."""

import threading
import time

import pytest
import trio

from job.storage import store
from job.storage.store import THREADS, StorageError, in_thread
from tests.support.stores import Memory, read_many


async def test_an_urgent_request_does_not_queue_behind_others() -> None:
    gate = threading.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(2 * THREADS):
            nursery.start_soon(in_thread, gate.wait)
        await trio.testing.wait_all_tasks_blocked()
        try:
            with trio.fail_after(30):
                assert await in_thread(lambda: "done", urgent=True) == "done"
        finally:
            gate.set()


async def test_a_request_that_does_not_end_is_given_up_and_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ANSWER_SECONDS", 0.05)
    gate = threading.Event()
    try:
        for _ in range(2):  # the second does not queue behind the first
            with pytest.raises(StorageError, match=r"^storage did not answer in time$"), trio.fail_after(30):
                await in_thread(gate.wait, urgent=True)
    finally:
        gate.set()


async def test_a_read_that_fails_gives_up_the_others() -> None:
    down, begun = Memory(clock=trio.current_time), 0

    def read(_name: str, _limit: int | None = None) -> None:
        nonlocal begun
        begun += 1
        raise StorageError("down")

    down.read = read  # type: ignore[method-assign,assignment]
    with pytest.raises(StorageError, match=r"^down$"):
        await read_many(down, [f"n{number}" for number in range(20 * THREADS)])
    assert begun <= 2 * THREADS


async def test_a_request_waits_for_few_of_many_reads() -> None:
    """A long record is read while other requests are made: each of them gets a thread at its turn."""
    slow, done = Memory(clock=trio.current_time), 0

    def read(_name: str, _limit: int | None = None) -> None:
        nonlocal done
        time.sleep(0.01)
        done += 1

    slow.read = read  # type: ignore[method-assign,assignment]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_many, slow, [f"n{number}" for number in range(8 * THREADS)])
        await trio.testing.wait_all_tasks_blocked()
        assert await in_thread(lambda: done) <= 4 * THREADS
