"""What days in virtual time have of trio that it promises nobody."""

from __future__ import annotations

from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import TYPE_CHECKING

import trio

from tests.support.world import VirtualProcess

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_trio_runs_nothing_of_a_process_that_is_paused_until_it_wakes_or_dies(autojump_clock: MockClock) -> None:
    steps: list[float] = []

    async def main() -> int:
        with trio.move_on_after(7):
            while True:
                steps.append(trio.current_time())
                await trio.sleep(2)
        steps.append(trio.current_time())
        await trio.sleep_forever()
        return 0

    process = VirtualProcess()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.run, main)
        await trio.sleep(3)
        process.send_signal(SIGSTOP)
        await trio.sleep(6)  # its deadline passes
        assert steps == [0, 2]
        process.send_signal(SIGCONT)
        await trio.sleep(0.5)
        assert steps == [0, 2, 9]
        process.send_signal(SIGSTOP)
        process.send_signal(SIGKILL)
        await process.wait()
    assert process.returncode == -SIGKILL
