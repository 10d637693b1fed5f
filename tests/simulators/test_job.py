"""The job is run as the platform runs it: a process that is started, signalled and reaped, its output read."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from tests.simulators import do, when
from tests.simulators.service import Fault
from tests.simulators.world import World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow  # the job's own tests depend on what the simulators promise

CONFIG = {"ticker_list.json": ["AAPL"], "card_types.json": ["news_card"]}


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    async with open_world(nursery, CONFIG) as opened:
        yield opened


async def test_a_run_gives_its_lines_and_its_exit_code(world: World) -> None:
    done = await world.run_job()
    assert done.exit_code == 0, done.stderr
    assert done.finished["exit_code"] == 0
    assert len(done.events("call.finished")) == 4
    assert done.lines[-1] == done.finished
    assert 0 < done.seconds < 30


async def test_under_a_terminal_the_job_draws(world: World) -> None:
    done = await world.run_job(terminal=True)
    assert done.exit_code == 0
    assert "\x1b[" in done.stdout
    assert (done.lines, done.stderr) == ([], "")


async def test_a_run_can_be_watched_and_killed(world: World) -> None:
    world.qa.script.append(Fault(when.always, do.hang()))
    job = await world.start_job("run")
    assert (await job.seen("run.started"))["planned"]["qa"] == 1
    with trio.fail_after(20):
        await world.qa.until(lambda requests: len(requests) == 1)
    job.send_signal(signal.SIGKILL)
    done = await job.outcome()
    assert done.exit_code == -signal.SIGKILL
    with pytest.raises(AssertionError, match="0 closing lines"):
        _ = done.finished
    with pytest.raises(AssertionError, match=r"no run\.finished"):
        await job.seen("run.finished")


async def test_a_run_that_takes_too_long_is_a_failure(world: World) -> None:
    world.qa.script.append(Fault(when.always, do.hang()))
    with pytest.raises(AssertionError, match="over 1"):
        await world.run_job(seconds=1.0)
