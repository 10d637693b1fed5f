"""Each piece of work is given out once, parts before new pieces, until nothing is left or in progress."""

from __future__ import annotations

from math import inf

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from job.execution.work_queue import WorkQueue

pytestmark = pytest.mark.usefixtures("autojump_clock")


async def test_parts_come_before_new_pieces() -> None:
    queue = WorkQueue(iter("abc"))
    assert await queue.get() == "a"
    queue.put("a1", "a2")
    queue.task_done()
    assert [await queue.get() for _ in range(4)] == ["a1", "a2", "b", "c"]


async def test_a_worker_that_finds_nothing_waits_for_parts_of_the_pieces_in_progress() -> None:
    queue, given = WorkQueue(iter(["batch"])), []

    async def work() -> None:
        while (piece := await queue.get()) is not None:
            given.append((piece, trio.current_time()))
            await trio.sleep(5)
            if piece == "batch":
                queue.put("first", "second")
            queue.task_done()

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(work)
    assert [piece for piece, _ in given] == ["batch", "first", "second"]
    assert given[1][1] == given[2][1], "two workers at the same time"


async def test_new_pieces_are_held_back_while_the_limit_is_reached() -> None:
    room, given = [inf], []
    queue = WorkQueue(iter(range(10)), lambda: room[0])

    async def work() -> None:
        while (piece := await queue.get()) is not None:
            given.append((trio.current_time(), piece))
            await trio.sleep(1)
            room[0] = 2 if piece < 6 else inf
            queue.task_done()

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(work)
    assert [sum(time == moment for time, _ in given) for moment in range(5)] == [4, 2, 2, 2, 0]


async def test_one_piece_is_given_out_even_if_the_limit_is_zero() -> None:
    queue = WorkQueue(iter("ab"), lambda: 0)
    assert await queue.get() == "a"
    async with trio.open_nursery() as nursery:
        got: list[str | None] = []

        async def take() -> None:
            got.append(await queue.get())

        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        assert got == []
        queue.task_done()
    assert got == ["b"]
